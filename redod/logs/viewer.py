"""Viewer: makes one stream for one reader out of a tree of logs that are still growing.

It owns the reader's place: where a target was asked for, all of its log is shown, to its end, before what comes after;
the others wait in their logs. So no two targets' lines mix, the order does not depend on how many run at a time, and a
slow reader costs no more than the logs themselves. It does not know how the bytes reach the reader.
"""

from collections.abc import Callable
from typing import assert_never

from redod.logs.failures import own_failure
from redod.logs.joblog import AllUnchanged, JobLog, Span, Start
from redod.logs.kept import Kept
from redod.logs.records import Message, Note
from redod.logs.transcript import Failure, Style, Transcript

_MOST_FAILURES = 10
"""Failed targets that are said again at the end; of others only how many there are."""


class _Place:
    """How far one log has been shown: the next entry, and in a text how many bytes of the log's text are behind us."""

    __slots__ = ("depth", "index", "log", "offset")

    def __init__(self, log: JobLog, depth: int) -> None:
        self.log = log
        self.depth = depth
        self.index = 0
        self.offset = 0


class Viewer:
    """Shows the log `root` and all below it, each log once. To be read; after an empty read wait for `on_ready`.

    `on_ready` is called once after a read that gave nothing, as soon as another may give something or the root has
    ended; from within the call that added to a log, so it should only schedule. `recursive`: what the targets below the
    root asked for is shown, too.
    """

    def __init__(
        self, root: JobLog, style: Style, on_ready: Callable[[], None] | None = None, recursive: bool = True
    ) -> None:
        self._transcript = Transcript(style)
        self._on_ready = on_ready
        self._recursive = recursive
        # Depth -1: a session's own log has no line of its own, and its children are at depth 0.
        self._places = [_Place(root, -1)]
        self._seen: set[JobLog] = {root}
        """Those that are in `_places`, or may be met again."""
        self._waits_for: JobLog | None = None
        self._failures: list[Failure] = []
        self._more_failures = 0

    @property
    def is_midline(self) -> bool:
        """What was read last does not end with a newline."""
        return self._transcript.is_midline

    def is_at(self, log: JobLog) -> bool:
        """All before this log was read, and some of it may have been."""
        return bool(self._places) and self._places[-1].log is log

    @property
    def finished(self) -> bool:
        """The root has ended and everything has been read."""
        return not self._places and not self._transcript.size

    def read(self, limit: int) -> bytes:
        """Up to `limit` bytes that can be shown now; none: nothing yet, or `finished`."""
        self._stop_waiting()
        while self._places and self._transcript.size < limit:
            if not self._advance(self._places[-1], limit - self._transcript.size):
                break
        data = self._transcript.take(limit)
        if not data and self._places:
            self._waits_for = self._places[-1].log
            self._waits_for.wait(self._ready)
        return data

    def close(self) -> None:
        """The reader is gone, or has read all: wait for nothing any more, and let go of the logs."""
        self._stop_waiting()
        self._on_ready = None
        self._places.clear()
        self._seen.clear()
        self._transcript = Transcript(self._transcript.style)

    def _advance(self, place: _Place, limit: int) -> bool:
        """Show one entry, or a piece of a text; False where nothing more can be shown yet."""
        entries = place.log.entries
        if place.index == len(entries):
            return self._leave(place)
        entry = entries[place.index]
        if isinstance(entry, Span):
            return self._show_text(place, entry, limit)
        if isinstance(entry, Start) and self._transcript.shows_pids and not (place.log.started.pid or place.log.ended):
            return False
        place.index += 1
        if isinstance(entry, JobLog | Kept):
            if self._recursive or place.depth < 0:
                self._enter(entry, place.depth + 1)
        else:
            self._show(place, entry)
        return True

    def _enter(self, entry: JobLog | Kept, depth: int) -> None:
        if isinstance(entry, Kept) and entry.segment is None:
            start, done = entry.silence()
            self._transcript.started(entry.path, depth, start)
            self._transcript.ended(entry.path, depth, start, done)
            return
        log = JobLog.again(entry) if isinstance(entry, Kept) else entry
        if log not in self._seen:
            self._seen.add(log)
            self._places.append(_Place(log, depth))

    def _leave(self, place: _Place) -> bool:
        log = place.log
        if not log.ended:
            return False
        self._places.pop()
        if not log.stays:
            self._seen.discard(log)
        if place.depth < 0:
            self._transcript.failed(self._failures, self._more_failures)
        elif log.done is not None:
            self._transcript.ended(log.path, place.depth, log.started, log.done)
            if log.done.status and self._transcript.style.failures:
                self._remember(log)
        return True

    def _remember(self, log: JobLog) -> None:
        if len(self._failures) == _MOST_FAILURES:
            self._more_failures += own_failure(log) is not None
        elif (failure := own_failure(log)) is not None:
            self._failures.append(failure)

    def _show_text(self, place: _Place, span: Span, limit: int) -> bool:
        offset = place.offset
        if offset == span.end:
            if span is place.log.entries[-1] and not place.log.ended:
                return False
            place.index += 1
            return True
        data = place.log.text(span, offset, limit)
        self._transcript.text(place.log, data)
        # A disk that fails to give a text back costs that text, not the session.
        place.offset = offset + len(data) if data else span.end
        return True

    def _show(self, place: _Place, entry: Message | Note | AllUnchanged | Start) -> None:
        match entry:
            case Message(text):
                self._transcript.message(text)
            case Note(text):
                self._transcript.note(text)
            case Start():
                self._transcript.started(place.log.path, place.depth, place.log.started)
            case AllUnchanged():
                pass
            case _:
                assert_never(entry)

    def _ready(self) -> None:
        self._waits_for = None
        if self._on_ready is not None:
            self._on_ready()

    def _stop_waiting(self) -> None:
        if self._waits_for is not None:
            self._waits_for.stop_waiting(self._ready)
            self._waits_for = None
