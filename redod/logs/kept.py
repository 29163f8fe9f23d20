"""Kept logs: what stays in memory of a log that is over and stored, while somebody may still have it shown.

It owns what a log's place says. It does not know how a log is written (see `joblog`), nor where the bytes are (see
`segments`).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from redod.core.graph import LOG_PLACE, LogPlace
from redod.core.paths import relative
from redod.logs.records import Done, Entry, Started, decode
from redod.logs.segments import Segment

if TYPE_CHECKING:
    from redod.logs.joblog import JobLog

SILENT = 0
"""No segment has this number: of a success that said and asked for nothing, its place itself says when it began (in
microseconds since the epoch), how long it took (in tenths of milliseconds: the lower 40 bits) and its pid.
"""
_DURATION_BITS = 40
_LONGEST = (1 << _DURATION_BITS) - 1


class Kept(NamedTuple):
    """A stored log of the target `path` in the workspace `root`. `place`: a packed `LogPlace`. `segment`: None if that
    is SILENT.
    """

    path: bytes
    root: bytes
    place: bytes
    segment: Segment | None
    below: "tuple[Kept | JobLog, ...]" = ()
    """Those of the targets that the script asked for and that ran, in order."""

    def entries(self) -> Iterable[Entry] | None:
        """None: they cannot be read any more."""
        if self.segment is None:
            return self.silence()
        data = self.segment.record(LogPlace.unpacked(self.place), relative(self.path, self.root))
        return None if data is None else decode(data, self.root)

    def silence(self) -> tuple[Started, Done]:
        """All that there is where there is no segment."""
        _, began, length = LOG_PLACE.unpack(self.place)
        return Started(began / 1e6, length >> _DURATION_BITS), Done(0, (length & _LONGEST) / 1e4)


def silent_place(started: Started, done: Done) -> bytes:
    """The packed place of a log of no bytes."""
    duration = min(round(done.seconds * 1e4), _LONGEST)
    return LOG_PLACE.pack(SILENT, round(started.when * 1e6), started.pid << _DURATION_BITS | duration)
