"""All processes at one moment, with what ties them to jobs; looked at once for all who ask at the same time.

To end one job means to look at every process of the machine, some 50 us each. When a session with many jobs is given up
they are all ended at once, and a look for each of them would take longer than their ends.
"""

import asyncio
import os
import time
from asyncio import Task
from typing import NamedTuple

from redod.jobs.holders import Process, environ_of, pids, pipes_of, read_process

_TOKEN = b"\0REDO_JOB="
_ROUNDS = 8
"""Listings of /proc in one look, where processes are being started all the time."""
_EXEC_PAUSE = 0.004
"""Seconds in which a process in the midst of execve(2) should have its new environment."""


class Seen(NamedTuple):
    """`token`: its REDO_JOB, or empty; `pipes`: the inodes of those that it has open for writing. Of a zombie: none."""

    process: Process
    token: bytes
    pipes: frozenset[int]
    is_bare: bool = False
    """It lives and has no environment: it was started so, or is just executing another program."""


def look(since: int = 0) -> list[Seen]:
    """All processes but our own. Call it in a thread. Of those that were started before `since`, in ticks since boot,
    only that they exist is looked at, which costs a fifth: what is older than a job is none of its processes.
    """
    own = os.getpid()
    found: dict[int, Seen | None] = {own: None}
    for _ in range(_ROUNDS):
        # One that forks and ends after the listing, and before it is looked at, has left another in its place.
        fresh = [pid for pid in pids() if pid not in found]
        if not fresh:
            break
        found.update((pid, _seen(pid, since)) for pid in fresh)
    _look_again_at_the_bare(found, own)
    return [seen for seen in found.values() if seen is not None]


def _look_again_at_the_bare(found: dict[int, Seen | None], own: int) -> None:
    """Where the parent lives its child is known by it. An orphan is ours (`redod.jobs.reaper`), and while it executes
    another program nothing may be left to tell whose it was.
    """
    for _ in range(_ROUNDS):
        bare = [pid for pid, seen in found.items() if seen is not None and seen.is_bare and seen.process.parent == own]
        if not bare:
            return
        time.sleep(_EXEC_PAUSE)
        found.update((pid, _seen(pid)) for pid in bare)


def _seen(pid: int, since: int = 0) -> Seen | None:
    process = read_process(pid)
    if process is None or not process.is_live or process.started < since:
        return None if process is None else Seen(process, b"", frozenset())
    environ = environ_of(pid)
    at = environ.find(_TOKEN)
    token = environ[at + len(_TOKEN) : environ.index(b"\0", at + 1)] if at >= 0 else b""
    return Seen(process, token, pipes_of(pid), not environ.strip(b"\0"))


class Scan:
    """Shares looks between those who ask while one is under way: they get the next one, which begins after it."""

    def __init__(self) -> None:
        self._running: Task[list[Seen]] | None = None
        self._next: Task[list[Seen]] | None = None
        self._since = 0
        """Of the next one."""

    async def look(self, since: int = 0) -> list[Seen]:
        """All processes, looked at after this was called; `since`: see `look`."""
        self._since = since if self._next is None else min(since, self._since)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._after(self._running))
        return await asyncio.shield(self._next)

    async def _after(self, running: "Task[list[Seen]] | None") -> list[Seen]:
        if running is not None:
            await asyncio.wait([running])
        # Whoever asks from now on may want to know what happens later than this.
        self._running, self._next = self._next, None
        return await asyncio.to_thread(look, self._since)
