"""What a server that was killed has left running: the jobs that nobody will ever install.

It knows how they are told from what may live on: somebody still holds the job's completion pipe, and nobody reads it
any more. A process that outlived a committed target holds none. It does not know workspaces.
"""

import asyncio
import os
import select

from redod.jobs.cgroups import cgroup_of
from redod.jobs.ending import Marks, end
from redod.jobs.holders import Process, environ_of, processes, read_process
from redod.jobs.spawner import LOWEST_PIPE


async def end_leftovers(server: int, socket: bytes) -> None:
    """End the jobs of the server that had this pid and socket, and is dead."""
    for marks in await asyncio.to_thread(_find, server, socket):
        await end(_Gone(), marks)


class _Gone:
    """The job itself: its script may be anybody's child now, and its process group anybody's."""

    pid = -1
    status = 0

    def signal_group(self, number: int) -> bool:
        return False


def _find(server: int, socket: bytes) -> set[Marks]:
    found = set()
    session, listening = b"\0REDO_SESSION=%d." % server, b"\0REDOD_SOCKET=%s\0" % socket
    for process in processes():
        environ = environ_of(process.pid)
        if session in environ and listening in environ and (pipe := _orphaned_pipe(process.pid)):
            token = environ.partition(b"\0REDO_JOB=")[2].partition(b"\0")[0]
            found.add(Marks(token, pipe, _shared(process, session), cgroup=cgroup_of(process.pid, server)))
    return found


def _shared(process: Process, session: bytes) -> frozenset[int]:
    """Its process group and session where a stranger leads them: a console job's are those of the user's shell."""
    leaders = frozenset((process.group, process.session))
    return frozenset(pid for pid in leaders if read_process(pid) is not None and session not in environ_of(pid))


def _orphaned_pipe(pid: int) -> int:
    """The inode of a completion pipe that the process holds and nobody reads; 0 if there is none."""
    directory = b"/proc/%d/fd/" % pid
    try:
        numbers = [number for number in os.listdir(directory) if int(number) >= LOWEST_PIPE]
    except OSError:
        return 0
    for number in numbers:
        try:
            if os.readlink(directory + number).startswith(b"pipe:") and _has_no_reader(directory + number):
                return os.stat(directory + number).st_ino
        except OSError:
            continue
    return 0


def _has_no_reader(path: bytes) -> bool:
    """poll(2): POLLERR on the write end of a pipe. To open it never fails, unlike that of a named one."""
    number = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        ready = select.poll()
        ready.register(number, 0)
        return any(event & select.POLLERR for _, event in ready.poll(0))
    finally:
        os.close(number)
