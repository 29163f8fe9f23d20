"""A run: the shell's side of one job, with everything that must be given back when it is over."""

import logging
import os
import time
from asyncio import AbstractEventLoop, TimerHandle, to_thread
from typing import Protocol

from redod.config.model import Background
from redod.core import events
from redod.core.model import Job
from redod.core.stamps import MISSING
from redod.engine import telling
from redod.engine.client import Client, Starter
from redod.engine.limit import TimeLimit
from redod.engine.tasks import Tasks
from redod.files.captures import Capture
from redod.jobs.ending import end_holders
from redod.jobs.holders import Holder, find_holders, killed_notice, waiting_notice
from redod.jobs.process import JobProcess
from redod.logs.joblog import JobLog, Room
from redod.trace.feed import Feed

_TICKS = os.sysconf("SC_CLK_TCK")
_log = logging.getLogger(__name__)

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
        self.token = os.urandom(16).hex().encode()
        """Unguessable: it admits nested calls."""
        self.log = JobLog(job.node.path, Room(directory))
        self.log.dofile = job.dofile_node.path
        self.process: JobProcess | None = None
        self.starter: Starter | None = None
        self.temporary = b""
        """`$3`, absolute."""
        self.made = MISSING
        """What it was when the job was over."""
        self.capture: Capture | None = None
        self.began = time.monotonic()
        self.since = int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS) - 1
        """When it began, in ticks since boot: none of its processes is older."""
        self.ended: float | None = None
        """When the script ended, by the monotonic clock, if somebody held the target then."""
        self.holders: list[Holder] = []
        """Who they are, since the user was told."""
        self.background: Background = "wait"
        self.limit: TimeLimit | None = None
        self._engine = engine
        self._timer: TimerHandle | None = None
        self._has_exited = False
        self._is_closed = False
        """Nobody holds the completion pipe."""
        self._searches = 0

    @property
    def stdout(self) -> int:
        """What the script has written to its standard output."""
        assert self.capture is not None
        return self.capture.own

    @property
    def pid(self) -> int:
        """The script's; 0 while it is not known."""
        return max(0, self.process.pid) if self.process is not None else 0

    @property
    def name(self) -> bytes:
        """`$1`."""
        return self.job.dofile.target

    @property
    def is_held(self) -> bool:
        """Its script has ended, and processes that it has started keep the target from being done."""
        return self.ended is not None and not self.job.pipe_closed

    def started(self) -> None:
        self.log.runs_as(self.pid)
        telling.job_started(self._engine.feed, self.job, self)

    def not_started(self, text: str) -> None:
        self._engine.post(events.StartFailed(self.job, text))

    def exited(self, status: int) -> None:
        job = self.job
        self._has_exited = True
        # Nearly always the pipe is closed by now, and one event tells both.
        self._engine.post(events.JobExited(job, status, self._is_closed and not self._searches))
        if self._is_closed or job.cancelled or job.timed_out:
            return
        # Somebody still holds the completion pipe.
        self.ended = time.monotonic()
        match self.background:
            case "wait":
                # If that lasts, tell the user who, once.
                self._timer = self._engine.loop.call_later(GRACE, self._engine.tasks.start, self._report_holders)
            case "release":
                self._release()
            case "kill":
                self._engine.tasks.start(self._end_holders)

    def pipe_closed(self) -> None:
        self._stop_timer()
        self._is_closed = True
        self._tell_closed()

    def search_begins(self) -> None:
        """Its processes are looked for and ended. Those that have closed the pipe are among them, so its end does not
        count before they are gone: who gave the job up is to find nothing left.
        """
        self._searches += 1

    def search_ends(self) -> None:
        self._searches -= 1
        self._tell_closed()

    def _tell_closed(self) -> None:
        """If the script still runs, its end tells it."""
        if self._is_closed and self._has_exited and not self._searches and not self.job.pipe_closed:
            self._engine.post(events.PipeClosed(self.job))

    def printed(self, data: bytes) -> None:
        self.log.write(data)

    def set_limit(self, seconds: float, source: str) -> None:
        """End the job when it has taken so long; `source`: what says so."""

        def over() -> None:
            text = f"it took longer than {seconds:g} s and was ended ({source})"
            self._engine.post(events.TimedOut(self.job, text))

        self.limit = TimeLimit(self._engine.loop, seconds, over)

    async def look_for_holders(self) -> None:
        """Bring `holders` up to date."""
        process = self.process
        assert process is not None
        age = time.monotonic() - self.began
        self.holders = await to_thread(find_holders, process.completion_id.inode, process.pid, age)

    async def _report_holders(self) -> None:
        await self.look_for_holders()
        process = self.process
        if self.job.pipe_closed or process is None or process.status is None:
            return
        telling.held(self._engine.feed, self.job, self.holders)
        self.log.message(b"\n".join(waiting_notice(self.name, process.status, self.holders)))
        self._engine.post(events.HoldersReported(self.job))

    async def _end_holders(self) -> None:
        process = self.process
        assert process is not None
        try:
            await self.look_for_holders()
            if self.job.pipe_closed:
                return
            self.log.message(b"\n".join(killed_notice(self.name, self.holders)))
            await end_holders(process.completion_id.inode)
        except OSError as error:
            # Without descriptors to look at /proc with, they cannot be found; the target must not wait for them.
            _log.error("cannot look for the holders of %s: %s", os.fsdecode(self.name), error.strerror)
        if not self.job.pipe_closed:
            self._release()

    def _release(self) -> None:
        assert self.process is not None
        self.process.release()
        self.pipe_closed()

    def close(self) -> None:
        """Give everything back."""
        self._stop_timer()
        if self.limit is not None:
            self.limit.stop()
        if self.process is not None and not self.process.is_over:
            self.process.let_go()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
