"""Ending a job with everything that it started.

It knows how processes are found to belong to a job: they are in its cgroup, descend from it, carry its token in their
environment, hold its completion pipe, or share a process group or session with one that does. It does not know why a
job is ended, nor what may outlive a target that was committed.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from redod.jobs.cgroups import Cgroup
from redod.jobs.holders import Identity, Process, read_process
from redod.jobs.scan import Scan, Seen, look

GRACE = 1.5
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
    spared: frozenset[int] = frozenset()
    """Process groups and sessions that hold strangers, too."""
    since: int = 0
    """When the job began, in ticks since boot."""
    cgroup: Cgroup | None = None
    """All that is in it is the job's."""


class Group(NamedTuple):
    """A job's process group. `is_reaped`: its script is. `latest`: when its end began, in ticks since boot.

    A process that is just ending has lost its environment and descriptors, but not its group: nothing else marks it.
    """

    number: int
    is_reaped: bool
    latest: int

    def members(self, seen: Iterable[Process]) -> set[Process]:
        """Those of the job among `seen`.

        The number is not given to another process while the group has members. When it has none any more, it may name a
        stranger's group: one that has its leader, or whose members are younger than the end of ours.
        """
        found = {process for process in seen if process.group == self.number}
        if self.is_reaped and any(process.pid == self.number for process in found):
            return set()
        return {process for process in found if not self.is_reaped or process.started <= self.latest}


async def end(job: Running, marks: Marks, grace: float = GRACE, scan: Scan | None = None) -> frozenset[int]:
    """End a job's processes: SIGTERM, SIGKILL after `grace` seconds, until none is left. `scan`: shared with others.

    Returns the pids that could not be ended (another user's, or stuck in the kernel), normally none. A stopped process
    is continued, or it would not see its SIGTERM.
    """
    loop, scan = asyncio.get_running_loop(), scan or Scan()
    # The script cannot be another process while it is not reaped, and only this thread reaps it.
    script = read_process(job.pid) if job.status is None else None
    known = {script.identity} if script is not None else set()
    # The fast way first: most jobs are one process group and are gone before the scan has begun.
    group = job.pid if job.signal_group(signal.SIGTERM) and job.signal_group(signal.SIGCONT) else 0
    began = loop.time()
    latest = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
    while True:
        members = Group(job.pid, job.status is not None, latest)
        found = find_processes(await scan.look(marks.since), marks, frozenset(known), members)
        force = loop.time() >= began + grace
        if force:
            # All at once: one that sees another's end might still do what follows in its script.
            job.signal_group(signal.SIGKILL)
            if marks.cgroup is not None:
                marks.cgroup.kill()
        # Once is enough: a second SIGTERM would cut short what a script's trap cleans up.
        fresh = {one.identity for one in found if force or (one.group != group and one.identity not in known)}
        known |= {process.identity for process in found}
        refused = {one for one in fresh if not _signal(one, signal.SIGKILL if force else signal.SIGTERM)}
        waited_for = {process.identity for process in found} - refused
        # One that forks and ends all the time may not be found, but it is there.
        is_over = not waited_for and (found or not marks.cgroup or not marks.cgroup.is_populated)
        if is_over or loop.time() >= began + grace + _LAST_WAIT:
            return frozenset(process.pid for process in found)
        await _wait_for_ends(waited_for, _LAST_WAIT if force else began + grace - loop.time())


async def end_holders(pipe: int, grace: float = GRACE) -> None:
    """End the processes that have this completion pipe open: SIGTERM, SIGKILL after `grace` seconds.

    Returns when none is left but those that we may not look at, or not signal.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    known: set[Identity] = set()
    while True:
        found = {one.process.identity for one in await asyncio.to_thread(look) if pipe in one.pipes}
        force = loop.time() >= began + grace
        refused = {
            one for one in found if (force or one not in known)
            and not _signal(one, signal.SIGKILL if force else signal.SIGTERM)
        }  # fmt: skip
        known |= found
        if not found - refused or loop.time() >= began + grace + _LAST_WAIT:
            return
        await _wait_for_ends(found - refused, _LAST_WAIT if force else began + grace - loop.time())


def find_processes(seen: Iterable[Seen], marks: Marks, known: frozenset[Identity], group: Group) -> set[Process]:
    """All live processes of a job among `seen`. `known`: those that have been found before."""
    everyone = [one.process for one in seen]
    # Now, when the others have been looked at: one that has been started meanwhile must not be missed.
    inside = [process for pid in marks.cgroup.pids() if (process := read_process(pid))] if marks.cgroup else []
    everyone += inside
    marked = {one.process for one in seen if one.token == marks.token or marks.pipe in one.pipes}
    marked |= group.members(everyone) | set(inside)
    marked |= {process for process in everyone if process.identity in known}
    return {process for process in _with_relatives(marked, everyone, marks.spared) if process.is_live}


def _with_relatives(marked: set[Process], seen: Iterable[Process], spared: frozenset[int]) -> set[Process]:
    """Add descendants, and members of the groups and sessions that the marked ones have made."""
    # The server's own group and session hold all jobs (a job only gets a group), so they tie nothing together.
    ours = {os.getpgrp(), os.getsid(0), 0} | spared
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


def _signal(process: Identity, number: int) -> bool:
    """False when it may not be signalled."""
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


def _open_verified(process: Identity) -> int | None:
    """A pidfd of exactly this process; None when it has ended."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        return None
    present = read_process(process.pid)
    if present is not None and present.identity == process and present.is_live:
        return pidfd
    os.close(pidfd)
    return None


async def _wait_for_ends(found: set[Identity], seconds: float) -> None:
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
