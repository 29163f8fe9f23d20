"""Ending a job with everything that it started.

It knows how processes are found to belong to a job: they descend from it, carry its token in their environment, hold
its completion pipe, or share a process group or session with one that does. It does not know why a job is ended, nor
what may outlive a target that was committed.
"""

import asyncio
import os
import signal
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from redod.jobs.holders import Process, holds_pipe, processes, read_process

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
_LAST_WAIT = 5.0
"""Seconds after which a process that SIGKILL does not end (it hangs in the kernel) is given up."""


class Running(Protocol):
    """What has to be known of a job's process; `redod.jobs.process.JobProcess` is one."""

    @property
    def pid(self) -> int: ...
    @property
    def status(self) -> int | None: ...
    def signal_group(self, number: int) -> bool: ...


class Marks(NamedTuple):
    """What a job's processes are known by: the value of REDO_JOB, and the inode of the completion pipe."""

    token: bytes
    pipe: int


async def end(job: Running, marks: Marks, grace: float = GRACE) -> frozenset[int]:
    """End a job's processes: SIGTERM, SIGKILL after `grace` seconds, until none is left.

    Returns the pids that could not be ended (another user's, or stuck in the kernel), normally none. A stopped process
    is continued, or it would not see its SIGTERM.
    """
    loop = asyncio.get_running_loop()
    # The fast way first: most jobs are one process group and are gone before the scan has begun.
    group = job.pid if job.signal_group(signal.SIGTERM) and job.signal_group(signal.SIGCONT) else 0
    began = loop.time()
    termed: set[Process] = set()
    while True:
        found = await _scan(job, marks)
        force = loop.time() >= began + grace
        # Once is enough: a second SIGTERM would cut short what a script's trap cleans up.
        fresh = found if force else {process for process in found - termed if process.group != group}
        refused = _signal_all(fresh, signal.SIGKILL if force else signal.SIGTERM)
        termed |= fresh
        waited_for = found - refused
        if not waited_for or loop.time() >= began + grace + _LAST_WAIT:
            return frozenset(process.pid for process in found)
        await _wait_for_ends(waited_for, _LAST_WAIT if force else began + grace - loop.time())


async def _scan(job: Running, marks: Marks) -> set[Process]:
    while True:
        leader = job.pid if job.status is None else 0
        found = await asyncio.to_thread(find_processes, marks, leader)
        if leader and job.status is not None:
            # Reaped while we looked: its number may have stood for somebody else at the end of the scan.
            continue
        return found


def find_processes(marks: Marks, leader: int) -> set[Process]:
    """All live processes of a job. `leader`: the script's pid while it is not reaped, else 0. Call it in a thread."""
    own = os.getpid()
    seen = [process for process in processes() if process.pid != own and process.state not in b"ZX"]
    marked = {process for process in seen if process.pid == leader or _is_marked(process.pid, marks)}
    if leader:
        marked |= {process for process in seen if process.group == leader}
    return _with_relatives(marked, seen)


def _with_relatives(marked: set[Process], seen: Iterable[Process]) -> set[Process]:
    """Add descendants, and members of the groups and sessions that the marked ones have made."""
    # The server's own group and session hold all jobs (a job only gets a group), so they tie nothing together.
    ours = {os.getpgrp(), os.getsid(0), 0}
    while True:
        pids = {process.pid for process in marked}
        groups = {process.group for process in marked} - ours
        sessions = {process.session for process in marked} - ours
        more = {
            process
            for process in seen
            if process.parent in pids or process.group in groups or process.session in sessions
        }
        if more <= marked:
            return marked
        marked |= more


def _is_marked(pid: int, marks: Marks) -> bool:
    try:
        with open(b"/proc/%d/environ" % pid, "rb", buffering=0) as file:
            environ = b"\0" + file.readall() + b"\0"
    except OSError:
        environ = b""
    return b"\0REDO_JOB=%s\0" % marks.token in environ or bool(holds_pipe(pid, marks.pipe))


def _signal_all(found: set[Process], number: int) -> set[Process]:
    """Signal each; those that may not be signalled are returned."""
    return {process for process in found if not _signal(process, number)}


def _signal(process: Process, number: int) -> bool:
    pidfd = _open_verified(process)
    if pidfd is None:
        return True
    try:
        signal.pidfd_send_signal(pidfd, number)
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    finally:
        os.close(pidfd)
    return True


def _open_verified(process: Process) -> int | None:
    """A pidfd of exactly this process; None when it has ended. Its pid alone may have been given to another since."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        return None
    present = read_process(process.pid)
    if present is not None and present.started == process.started and present.state not in b"ZX":
        return pidfd
    os.close(pidfd)
    return None


async def _wait_for_ends(found: set[Process], seconds: float) -> None:
    """Return when all of them have ended, or when the time is over."""
    loop = asyncio.get_running_loop()
    everyone_ended = loop.create_future()
    open_ones: set[int] = set()

    def ended(pidfd: int) -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        open_ones.discard(pidfd)
        if not open_ones and not everyone_ended.done():
            everyone_ended.set_result(None)

    for process in found:
        pidfd = _open_verified(process)
        if pidfd is not None:
            open_ones.add(pidfd)
            loop.add_reader(pidfd, ended, pidfd)
    try:
        if open_ones:
            await asyncio.wait((everyone_ended,), timeout=max(0.0, seconds))
    finally:
        for pidfd in tuple(open_ones):
            ended(pidfd)
