"""All processes at one moment, with what ties them to jobs; looked at once for all who ask at the same time.

To end one job means to look at every process of the machine, some 50 us each. When a session with many jobs is given up
they are all ended at once, and a look for each of them would take longer than their ends.
"""

import asyncio
import os
from asyncio import Task
from typing import NamedTuple

from redod.jobs.holders import Process, environ_of, pipes_of, processes

_TOKEN = b"\0REDO_JOB="


class Seen(NamedTuple):
    """`token`: its REDO_JOB, or empty; `pipes`: the inodes of those that it has open for writing. Of a zombie: none."""

    process: Process
    token: bytes
    pipes: frozenset[int]


def look() -> list[Seen]:
    """All processes but our own. Call it in a thread."""
    own = os.getpid()
    return [_seen(process) for process in processes() if process.pid != own]


def _seen(process: Process) -> Seen:
    if not process.is_live:
        return Seen(process, b"", frozenset())
    environ = environ_of(process.pid)
    at = environ.find(_TOKEN)
    token = environ[at + len(_TOKEN) : environ.index(b"\0", at + 1)] if at >= 0 else b""
    return Seen(process, token, pipes_of(process.pid))


class Scan:
    """Shares looks between those who ask while one is under way: they get the next one, which begins after it."""

    def __init__(self) -> None:
        self._running: Task[list[Seen]] | None = None
        self._next: Task[list[Seen]] | None = None

    async def look(self) -> list[Seen]:
        """All processes, looked at after this was called."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._after(self._running))
        return await asyncio.shield(self._next)

    async def _after(self, running: "Task[list[Seen]] | None") -> list[Seen]:
        if running is not None:
            await asyncio.wait([running])
        # Whoever asks from now on may want to know what happens later than this.
        self._running, self._next = self._next, None
        return await asyncio.to_thread(look)
