"""Failpoints: the steps between which a crash must lose nothing, by name, and a way for a test to have the server die
at one of them.

It owns the list and the death. It does not know what the steps do. Nothing is ever armed but by `REDOD_FAILPOINT` in
the environment in which a server starts; a value that names no point is an error, and an armed server says so in its
log.
"""

import logging
import os
import signal

from redod.errors import UsageError

VARIABLE = "REDOD_FAILPOINT"
"""`NAME` or `NAME:N`: die when the point is reached for the Nth time."""
POINTS: dict[str, str] = {
    "redo.made": "`.redo` is made, and not yet hidden from git",
    "redo.ignored": "`.redo/.gitignore` is written",
    "lock.taken": "our name is in the lock file",
    "lock.release": "the store is closed, and the lock still held",
    "made.empty": "the journal is made, without its first line",
    "made.created": "the journal has its first line",
    "database.empty": "the database is made, with nothing in it",
    "database.created": "the database has its tables",
    "aside.done": "a damaged database is set aside",
    "stage.created": "the copy of a script's stdout is begun",
    "stage.copied": "the copy is whole",
    "intent.before": "the output is ready, and its line in the journal not written",
    "intent.after": "the line is written, and nothing renamed",
    "install.renamed": "the output is in place",
    "install.exchanged": "a directory is in place, and the old one not deleted",
    "install.removed": "the old target is removed, because its script made nothing",
    "record.before": "the result is known to the graph",
    "record.after": "the result is marked for the next commit",
    "commit.before": "the transaction is not begun",
    "commit.rows": "the rows are written, and the transaction is open",
    "commit.after": "the transaction is committed",
    "compaction.written": "the new journal is written, and the old one in place",
    "compaction.renamed": "the new journal is in place, and the database knows the old one",
    "compaction.marked": "the database knows the new journal",
    "checkpoint.before": "everything is in the write-ahead log",
    "checkpoint.after": "everything is in the database",
    "log.created": "a new segment of the logs is made",
    "log.written": "a log is written, and nothing refers to it",
    "reply.before": "a session's results are committed, and its client does not know",
    "reply.after": "the client's answer is on its way",
    "forget.removed": "the database is removed, because the user wants to start over",
}

_log = logging.getLogger(__name__)


class _Fuse:
    """What is armed. One for the process, as the points are all over it."""

    name = ""
    left = 0


def arm(value: str | None) -> None:
    """Read the variable's value, once, at the start. Raises UsageError."""
    if not value:
        return
    name, _, number = value.partition(":")
    if name not in POINTS or not (number or "1").isdecimal():
        raise UsageError(f"{VARIABLE} is {value!r}, which is no failpoint; unset it")
    _Fuse.name, _Fuse.left = name, int(number or "1")
    _log.warning("this server kills itself for a test: %s, time %d", name, _Fuse.left)


def reach(name: str) -> None:
    """The server is at this point."""
    if name == _Fuse.name:
        _Fuse.left -= 1
        if _Fuse.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
