"""A run: the shell's side of one job, with everything that must be given back when it is over."""

import os
import secrets
import time
from asyncio import AbstractEventLoop, TimerHandle, to_thread
from typing import Protocol

from redod.core import events
from redod.core.model import Job
from redod.engine import telling
from redod.engine.client import Client
from redod.engine.tasks import Tasks
from redod.files.captures import Capture
from redod.jobs.holders import find_holders, notice
from redod.jobs.process import JobProcess
from redod.logs.joblog import JobLog, Room
from redod.trace.feed import Feed

GRACE = 1.0
"""Seconds between the end of a script and the notice that somebody still holds its completion pipe."""


class Host(Protocol):
    """What a run needs of the engine."""

    loop: AbstractEventLoop
    tasks: Tasks
    feed: Feed

    def post(self, event: events.Event) -> None: ...


class Run:
    """`job` as it runs for `client`. It listens to the job's process."""

    def __init__(self, job: Job, client: Client, depth: int, directory: bytes | None, engine: Host) -> None:
        self.job = job
        self.client = client
        self.depth = depth
        """0 for a target of the command line."""
        self.token = secrets.token_hex(16).encode()
        """Unguessable: it admits nested calls."""
        self.log = JobLog(job.node.path, Room(directory))
        self.log.dofile = job.dofile.path
        self.process: JobProcess | None = None
        self.temporary = b""
        """`$3`, absolute."""
        self.capture: Capture | None = None
        self.began = time.monotonic()
        self._engine = engine
        self._timer: TimerHandle | None = None

    @property
    def stdout(self) -> int:
        """What the script has written to its standard output."""
        assert self.capture is not None
        return self.capture.own

    @property
    def name(self) -> bytes:
        """`$1`."""
        return self.job.dofile.target

    def exited(self, status: int) -> None:
        self._engine.post(events.JobExited(self.job, status))
        if not self.job.pipe_closed and not self.job.cancelled:
            # Somebody still holds the completion pipe: if that lasts, tell the user who, once.
            self._timer = self._engine.loop.call_later(GRACE, self._engine.tasks.start, self._report_holders)

    def pipe_closed(self) -> None:
        self._stop_timer()
        self._engine.post(events.PipeClosed(self.job))

    def printed(self, data: bytes) -> None:
        self.log.write(data)

    async def _report_holders(self) -> None:
        process = self.process
        if process is None or process.status is None:
            return
        holders = await to_thread(find_holders, process.completion_id.inode, process.pid, frozenset({os.getpid()}))
        if self.job.pipe_closed:
            return
        telling.held(self._engine.feed, self.job, holders)
        self.log.message(b"\n".join(notice(self.name, process.status, holders)))
        self._engine.post(events.HoldersReported(self.job))

    def close(self) -> None:
        """Give everything back."""
        self._stop_timer()
        if self.process is not None and not self.process.is_over:
            self.process.let_go()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
