"""Logs that are stored, as the engine stores them."""

from redod.core.graph import LogPlace
from redod.core.paths import relative
from redod.logs.joblog import JobLog
from redod.logs.kept import silent_place
from redod.logs.segments import Segments

ROOT = b"/w"


def keep(log: JobLog, segments: Segments) -> None:
    data = log.encode(ROOT)
    if not data and log.done is not None:
        log.settle(ROOT, silent_place(log.started, log.done), None)
        return
    place = segments.append(relative(log.path, ROOT), data)
    assert isinstance(place, LogPlace)
    log.settle(ROOT, place.packed(), segments.find(place.segment))
