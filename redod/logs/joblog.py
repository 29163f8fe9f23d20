"""The log of one run of one target, while it runs and afterwards.

It owns the order of what happened: text, notes, the targets asked for, the end; and that of a success that is stored
only its place stays in memory. It does not know who looks at it (see `viewer`), nor where finished logs are stored (see
`segments`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard
from weakref import ref

from redod.core.graph import LogPlace
from redod.logs.kept import Kept
from redod.logs.records import (
    CHILD,
    HEADER,
    MESSAGE,
    NOTE,
    TEXT,
    UNCHANGED,
    Child,
    Done,
    Message,
    Note,
    Started,
    Text,
    Unchanged,
    encode_done,
    encode_path,
    encode_paths,
    encode_record,
    encode_started,
)
from redod.logs.segments import Segment
from redod.logs.spool import Spool

MAX_ENTRIES = 1 << 20
"""Entries in one log; later ones of ours are dropped, so a script that loops costs bounded memory."""


class Room(NamedTuple):
    """How much one log may take: `memory` and `total` bytes of text, and the directory for what is
    above `memory` (None: the system's temporary directory).
    """

    directory: bytes | None = None
    memory: int = 256 << 10
    total: int = 16 << 20


ROOM = Room()


@dataclass(slots=True, eq=False)
class Span:
    """A piece of the log's text, `start` and `end` counted in bytes of text; it grows while nothing follows it."""

    start: int
    end: int
    stored: int = 0
    """Where it begins in the encoded log, once that has been made."""


class Start:
    """The mark at which the target's script was started: `JobLog.started` says when, since its pid comes later."""

    __slots__ = ()


START = Start()
NEVER = Started(0.0, 0)
"""When a script was started that was not."""
_UNREADABLE = b"redo: what was printed here cannot be read any more"


class AllUnchanged(NamedTuple):
    """Targets that one call asked for and that were up to date."""

    paths: list[bytes]


LiveEntry = Span | Message | Note | AllUnchanged | Start

_NOTHING: "tuple[list[LiveEntry | JobLog | Kept], ...]" = ([], [START])
"""What happens to a script that says and asks for nothing."""


class JobLog:
    """An ordered list of entries that only grows, until `finish` or `give_up` ends it.

    Each log must be ended by one of the two: a viewer that has reached it waits for that. A session's own log, the
    root of what it shows, is one without `start`, and with the targets of the command line as children.
    The text of a script must be added before the child that the script asked for next: drain its pipe first.
    """

    __slots__ = (
        "__weakref__", "_hung", "_kept", "_room", "_spool", "_unchanged", "_waiting",
        "blames_another", "dofile", "done", "ended", "entries", "lost", "path", "size", "started", "stays",
    )  # fmt: skip
    # What it says of itself is to be read only. Viewers ask for it a dozen times for each target: no properties.

    def __init__(self, path: bytes, room: Room = ROOM) -> None:
        self.path = path
        """The target's canonical absolute path."""
        self.dofile = b""
        """The script's canonical absolute path; empty: a session's own log."""
        self.started = NEVER
        """When the script was started, and its pid, once it runs."""
        self.done: Done | None = None
        """How the run ended; None while it lasts, and where nothing ran."""
        self.ended = False
        """Nothing comes any more."""
        self.entries: list[LiveEntry | JobLog | Kept] = []
        """What happened, in order; a child is its own log, or what is kept of that."""
        self.size = 0
        """Bytes of text kept."""
        self.lost = 0
        """Bytes of text dropped, because of the limit or of a full disk."""
        self.blames_another = False
        """It asked for a target that had failed before in the same session."""
        self.stays = False
        """It stays in memory when it is stored: it is shown in several places, or its start in none."""
        self._hung: tuple[ref[JobLog], int] | None = None
        """Whose child it became last, and as which of the entries there. Weak: what refers to each other waits for the
        collector.
        """
        self._room = room
        self._unchanged = 0
        """How many targets its entries say were up to date."""
        self._spool: Spool | None = None
        self._kept: Kept | None = None
        self._waiting: tuple[Callable[[], None], ...] = ()

    @property
    def ran(self) -> bool:
        """A script was started, or it failed before one could be."""
        return self.done is not None or self.started is not NEVER

    def start(self, when: float, is_shown: bool = True) -> None:
        """The script is being started, `when` in seconds since the epoch: `redo  NAME` is shown here. Before it stands
        what was said while the target waited. `is_shown` False: the script's own process says it.
        """
        # As exact as a place can tell it (see `kept`): whoever comes late is shown the same.
        self.started = Started(round(when, 6), 0)
        if is_shown:
            self._add(START)
        else:
            self.stays = True

    def runs_as(self, pid: int) -> None:
        """The script has been started."""
        self.started = Started(self.started.when, pid)
        self._grew()

    def write(self, data: bytes) -> None:
        """The script's stderr, as it came; ignored after the end.

        Once something had to be dropped all that follows is: no gaps.
        """
        if not data or self.ended:
            return
        kept = 0 if self.lost else self._keep(data[: self._room.total - self.size])
        if not self.lost and kept < len(data):
            # At once: it may go on printing for ever.
            self.entries.append(Message(b"redo: from here on its output is dropped: " + self._why_lost()))
            self._grew()
        self.lost += len(data) - kept
        if kept:
            self._grew()

    def message(self, text: bytes) -> None:
        """Words of ours for the user, one line or more, without the last newline."""
        if len(self.entries) < MAX_ENTRIES:
            self._add(Message(text))

    def note(self, text: bytes) -> None:
        """Words about the build, such as a reason, for those who ask for them; as `message`."""
        if len(self.entries) < MAX_ENTRIES:
            self._add(Note(text))

    def child(self, log: "JobLog") -> None:
        """A nested call asked for this target, which is to run: its log is shown here."""
        log.stays = log.stays or log._hung is not None
        log._hung = ref(self), len(self.entries)
        self._add(log)

    def unchanged(self, paths: list[bytes]) -> None:
        """A nested call asked for these targets, which are up to date."""
        if len(self.entries) + self._unchanged < MAX_ENTRIES:
            self._unchanged += len(paths)
            self._add(AllUnchanged(paths))

    def finish(self, status: int, seconds: float) -> None:
        """The run is over: an exit status, or a negative signal number; and how long it took."""
        if self.lost:
            self._tell_lost()
        self.done = Done(status, round(seconds, 4))
        self._end()

    def give_up(self) -> None:
        """It never ran and will not, or was cancelled: the build ended before. Of a long text nothing is kept, since
        the file that it is in would stay open as long as anybody remembers the build.
        """
        if self._spool is not None and self._spool.spilled:
            self._spool = None
        self._end()

    def text(self, span: Span, offset: int, length: int) -> bytes:
        """Up to `length` bytes of the text from `offset` (in bytes of text) on, which lies in `span`."""
        length = min(length, span.end - offset)
        kept = self._kept
        if kept is not None and kept.segment is not None:
            return kept.segment.piece(LogPlace.unpacked(kept.place), span.stored + offset - span.start, length)
        return self._spool.read(offset, length) if self._spool is not None else b""

    def wait(self, callback: Callable[[], None]) -> None:
        """Call back once, at the next growth or end."""
        self._waiting += (callback,)

    def stop_waiting(self, callback: Callable[[], None]) -> None:
        self._waiting = tuple(other for other in self._waiting if other != callback)

    def encode(self, root: bytes) -> bytes:
        """The stored form of an ended log, paths relative to the workspace `root`; empty: nothing to keep.

        A success that said nothing and asked for nothing is not worth a record.
        """
        done = self.done
        if done is not None and done.status == 0 and self.entries in _NOTHING:
            return b""
        parts: list[bytes] = []
        position = 0
        for entry in self.entries:
            part = self._encode_entry(entry, root, position)
            position += len(part)
            parts.append(part)
        if done is not None:
            parts.append(encode_done(done))
        return b"".join(parts)

    def settle(self, root: bytes, place: bytes, segment: Segment | None) -> None:
        """What `encode` returned last is stored; the arguments are as in `Kept`. The text here is let go of, and who
        comes to a success later finds only what is kept of it. Of a failure more may have to be said at the end.
        """
        below = () if segment is None else tuple([entry for entry in self.entries if _has_run(entry)])
        self._kept = kept = Kept(self.path, root, place, segment, below)
        self._spool = None
        if self._hung is not None and not self.stays and self.done is not None and self.done.status == 0:
            hung, index = self._hung
            if (parent := hung()) is not None:
                parent.entries[index] = kept

    @classmethod
    def again(cls, kept: Kept) -> "JobLog":
        """The log of which this is kept, to be shown once more."""
        log, below = cls(kept.path), iter(kept.below)
        entries = kept.entries()
        for entry in (Message(_UNREADABLE),) if entries is None else entries:
            match entry:
                case Started(when, pid):
                    log.start(when)
                    log.runs_as(pid)
                case Text(data):
                    log.write(data)
                case Message(text):
                    log.message(text)
                case Note(text):
                    log.note(text)
                case Child():
                    log.entries.append(next(below))
                case Unchanged(path):
                    log.unchanged([path])
                case Done(status, seconds):
                    log.finish(status, seconds)
        if not log.ended:
            log.give_up()
        return log

    def _encode_entry(self, entry: "LiveEntry | JobLog | Kept", root: bytes, position: int) -> bytes:
        match entry:
            case Span(start, end):
                data = self.text(entry, start, end - start)
                entry.stored = position + HEADER.size
                return encode_record(TEXT, data)
            case Message(text):
                return encode_record(MESSAGE, text)
            case Note(text):
                return encode_record(NOTE, text)
            case AllUnchanged(paths):
                return encode_paths(UNCHANGED, paths, root)
            case Kept():
                return encode_path(CHILD, entry.path, root)
            case JobLog():
                return encode_path(CHILD, entry.path, root) if entry.ran else b""
            case Start():
                return encode_started(self.started)

    def _keep(self, data: bytes) -> int:
        if not data:
            return 0
        if self._spool is None:
            self._spool = Spool(self._room.directory, self._room.memory)
        kept = self._spool.append(data)
        if not kept:
            return 0
        last = self.entries[-1] if self.entries else None
        if isinstance(last, Span):
            last.end += kept
        else:
            self.entries.append(Span(self.size, self.size + kept))
        self.size += kept
        return kept

    def _tell_lost(self) -> None:
        line = b"redo: %d bytes of output were dropped after the first %d: " % (self.lost, self.size)
        self.entries.append(Message(line + self._why_lost()))

    def _why_lost(self) -> bytes:
        return b"a log keeps no more" if self.size >= self._room.total else b"there is no space to keep it"

    def _add(self, entry: "LiveEntry | JobLog") -> None:
        self.entries.append(entry)
        self._grew()

    def _end(self) -> None:
        self.ended = True
        self._room = ROOM
        self._grew()

    def _grew(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, ()
            for callback in waiting:
                callback()


def _has_run(entry: LiveEntry | JobLog | Kept) -> TypeGuard[JobLog | Kept]:
    return isinstance(entry, Kept) or (isinstance(entry, JobLog) and entry.ran)
