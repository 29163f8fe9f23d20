"""Failures: what is worth saying again of a failed target when the build is over. It does not know how it is shown."""

from redod.logs.joblog import JobLog, Span
from redod.logs.records import Message
from redod.logs.transcript import Failure

LAST_LINES = 10
"""Lines of its log that are said again."""
_LAST_BYTES = 4096


def own_failure(log: JobLog) -> Failure | None:
    """What to say of an ended log; None where it did not fail, or only because a target that it asked for did."""
    done = log.done
    if done is None or done.status == 0 or log.blames_another or any(_has_failed(entry) for entry in log.entries):
        return None
    return Failure(log.path, log.dofile, done.status, last_lines(log))


def _has_failed(entry: object) -> bool:
    return isinstance(entry, JobLog) and entry.done is not None and entry.done.status != 0


def last_lines(log: JobLog) -> list[bytes]:
    """The last lines that the script printed and that were said of it, without newlines."""
    lines: list[bytes] = []
    for entry in reversed(log.entries):
        if isinstance(entry, Span):
            start = max(entry.start, entry.end - _LAST_BYTES)
            lines[:0] = log.text(entry, start, entry.end - start).splitlines()
        elif isinstance(entry, Message):
            lines[:0] = entry.text.split(b"\n")
        if len(lines) >= LAST_LINES:
            break
    return lines[-LAST_LINES:]
