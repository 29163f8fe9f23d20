"""Segments: the finished logs of one workspace, appended to a few numbered files.

It owns `.redo/log`: which files there are, what a record looks like, how much is kept. It does not know what is in a
log. Creating a file is the dearest thing that a job does on ext4 (20 to 800 us, an append 1 us), hence not a file per
target. Nothing is synced: a log that a power cut tore is recognised and counts as not kept.
"""

import os
import re
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

from redod.core.graph import LogPlace
from redod.failpoints import reach

SEGMENT_SIZE = 4 << 20
"""Bytes after which the next segment begins; a longer log has one of its own."""
TOTAL_SIZE = 64 << 20
"""Bytes in all segments, above which the oldest are deleted."""

_MAGIC = b"rlog"
_HEADER = struct.Struct(">4sII8s")
_NAME = re.compile(rb"[0-9]{6,}")
_HIGHEST = 1 << 31


@dataclass(frozen=True, slots=True)
class NotKept:
    """A log could not be stored; the build goes on without it."""

    reason: str


class Segment:
    """An open segment file. It closes with its last reader, so viewers can still read one that was deleted."""

    __slots__ = ("descriptor",)

    def __init__(self, path: bytes, flags: int, mode: int = 0) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode)

    def record(self, place: LogPlace, target: bytes) -> bytes | None:
        """The log of `target` stored there; None when it is torn, or of something else."""
        if place.length < _HEADER.size:
            return None
        try:
            if place.offset + place.length > os.fstat(self.descriptor).st_size:
                return None
            record = os.pread(self.descriptor, place.length, place.offset)
        except OSError:
            return None
        if len(record) != place.length:
            return None
        magic, length, checksum, named = _HEADER.unpack_from(record)
        data = record[_HEADER.size :]
        if magic != _MAGIC or length != len(data) or checksum != zlib.crc32(data) or named != _hash(target):
            return None
        return data

    def piece(self, place: LogPlace, offset: int, length: int) -> bytes:
        """Bytes of the log stored there; none where the disk cannot give them back."""
        try:
            return os.pread(self.descriptor, length, place.offset + _HEADER.size + offset)
        except OSError:
            return b""

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


class Segments:
    """The log store in `directory`, which is made when the first log is. One process at a time may append.

    `mode` is for new files, before the process's umask.
    """

    def __init__(
        self, directory: bytes, segment_size: int = SEGMENT_SIZE, total_size: int = TOTAL_SIZE, mode: int = 0o666
    ) -> None:
        self._directory = directory
        self._segment_size = segment_size
        self._total_size = total_size
        self._mode = mode
        self._sizes: dict[int, int] | None = None
        """Of each segment, oldest first; read from the directory on first use."""
        self._current: Segment | None = None
        self._number = 0
        self._end = 0
        self._keeps_all = False

    @property
    def size(self) -> int:
        """Bytes in all segments."""
        return sum(self._known().values())

    def begin_anew(self) -> frozenset[int]:
        """Begin a segment behind all that there are: their numbers. None is deleted until `end_anew`.

        Raises OSError.
        """
        old = frozenset(self._known())
        if old:
            self._current = self._next()
        self._keeps_all = True
        return old

    def end_anew(self) -> None:
        self._keeps_all = False

    def delete(self, numbers: Iterable[int]) -> None:
        """Delete these segments. Who reads one goes on."""
        for number in numbers:
            with suppress(OSError):
                os.unlink(self.path(number))
            self._known().pop(number, None)

    def append(self, target: bytes, data: bytes) -> LogPlace | NotKept:
        """Store the encoded log of `target` (a path relative to the workspace, so that it survives a move)."""
        header = _HEADER.pack(_MAGIC, len(data), zlib.crc32(data), _hash(target))
        length = len(header) + len(data)
        try:
            segment = self._room_for(length)
            offset = self._end
            self._write(segment, header, data)
            reach("log.written")
        except OSError as error:
            self.close()
            return NotKept(error.strerror or str(error))
        self._end += length
        self._known()[self._number] = self._end
        self._delete_oldest()
        return LogPlace(self._number, offset, length)

    def read(self, place: LogPlace, target: bytes) -> bytes | None:
        """The log of `target` stored there; None when it is no longer kept, torn, or of something else."""
        segment = self.find(place.segment)
        return None if segment is None else segment.record(place, target)

    def find(self, number: int) -> Segment | None:
        """The segment of this number, open; None where there is none."""
        if number == self._number and self._current is not None:
            return self._current
        try:
            return Segment(self.path(number), os.O_RDONLY)
        except OSError:
            return None

    def clear(self) -> None:
        """Delete all logs."""
        self.close()
        self.delete(list(self._known()))
        self._sizes = None

    def close(self) -> None:
        """Let go of the current segment and of what is known of the others; the next append looks again."""
        self._current = None
        self._sizes = None

    def _room_for(self, length: int) -> Segment:
        """The segment to append to, `_end` and `_number` set. Raises OSError."""
        segment = self._current or self._reopen()
        if segment is not None and os.fstat(segment.descriptor).st_nlink == 0:
            # Somebody cleaned the tree: what would be appended there would be lost at our exit.
            segment, self._sizes = None, None
        if segment is None or (self._end and self._end + length > self._segment_size):
            segment = self._next()
        self._current = segment
        return segment

    def _reopen(self) -> Segment | None:
        """Go on with the newest segment. What a crash left half-written at its end stays: no place points at it."""
        newest = max(self._known(), default=None)
        if newest is None:
            return None
        segment = Segment(self.path(newest), os.O_RDWR)
        self._number, self._end = newest, os.fstat(segment.descriptor).st_size
        return segment

    def _next(self) -> Segment:
        try:
            return self._create()
        except FileNotFoundError:
            os.mkdir(self._directory)  # Not its parents: a `.redo` that was removed is for the store to make again.
            self._own(self._directory, os.path.dirname(self._directory))
            return self._create()

    def _create(self) -> Segment:
        number = max(self._number, *self._known(), 0) + 1
        path = self.path(number)
        segment = Segment(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, self._mode)
        reach("log.created")
        self._own(path, self._directory)
        self._number, self._end = number, 0
        self._known()[number] = 0
        return segment

    @staticmethod
    def _own(path: bytes, parent: bytes) -> None:
        """What root makes in a user's workspace is the user's, or the user's next build could not write it."""
        if os.geteuid() == 0:
            owner = os.stat(parent)
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _write(self, segment: Segment, header: bytes, data: bytes) -> None:
        length = len(header) + len(data)
        try:
            written = os.pwritev(segment.descriptor, (header, data), self._end)
            while written < length:
                # A short write is how a full disk announces itself; the rest of it then raises.
                rest = memoryview(header + data)[written:]
                written += os.pwrite(segment.descriptor, rest, self._end + written)
        except OSError:
            os.ftruncate(segment.descriptor, self._end)
            raise

    def _delete_oldest(self) -> None:
        if self._keeps_all:
            return
        sizes = self._known()
        total = sum(sizes.values())
        for number in list(sizes):
            if total <= self._total_size or number == self._number:
                return
            total -= sizes.pop(number)
            try:
                os.unlink(self.path(number))
            except OSError:
                # Gone already, or not ours to delete: either way it is not counted any more.
                continue

    def _known(self) -> dict[int, int]:
        if self._sizes is None:
            self._sizes = dict(sorted(self._scan()))
        return self._sizes

    def _scan(self) -> list[tuple[int, int]]:
        try:
            with os.scandir(self._directory) as entries:
                return [
                    (int(entry.name), entry.stat(follow_symlinks=False).st_size)
                    for entry in entries
                    if _NAME.fullmatch(entry.name) and int(entry.name) < _HIGHEST
                ]
        except FileNotFoundError:
            return []

    def path(self, number: int) -> bytes:
        """The file of a segment."""
        return b"%s/%06d" % (self._directory, number)


def _hash(target: bytes) -> bytes:
    return blake2b(target, digest_size=8).digest()
