"""One service's process: started in a session of its own, watched through a pidfd, stopped.

It owns the process and its descriptors. It does not know targets, builds or records. A process that an earlier server
started is watched like one of ours; only its exit status cannot be had.
"""

import asyncio
import os
import select
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from typing import NamedTuple

from redod.errors import RedodError
from redod.jobs.holders import Identity, environ_of, processes, read_process
from redod.jobs.limits import GATE, Limiter, Limits

GRACE = 5.0
"""Seconds between the stop signal and SIGKILL."""
_UNKNOWN = 256
"""Stands for the exit status of a process that is not our child."""

_ENTER = b'cd -- "$1" && umask "$2" && shift 2 && exec "$@"'
"""What posix_spawn(3) cannot set: the working directory and the umask."""


class ServiceError(RedodError):
    """A service could not be started, or is not what it should be."""


class Order(NamedTuple):
    """What to run. `ready`: a descriptor and the number under which the command finds it."""

    argv: tuple[bytes, ...]
    cwd: bytes
    environment: Mapping[bytes, bytes]
    umask: int
    limits: Limits
    ready: tuple[int, int] | None = None


class ServiceProcess:
    """A process and its session. `ended` is called once, on the loop, when it has ended. Raises ServiceError."""

    def __init__(
        self, loop: AbstractEventLoop, identity: Identity, ended: Callable[[], None], *, is_child: bool
    ) -> None:
        self.identity = identity
        self.status: int | None = None
        """None while it runs; then its exit status, a signal's negative number, or 256 where that is not known."""
        self._loop = loop
        self._ended = ended
        self._is_child = is_child
        self._over = loop.create_future()
        try:
            self._pidfd = os.pidfd_open(identity.pid)
        except OSError as error:
            raise ServiceError(f"process {identity.pid} cannot be watched: {error.strerror}") from error
        found = read_process(identity.pid)
        if not is_child and (found is None or found.identity != identity or not found.is_live):
            os.close(self._pidfd)
            raise ServiceError(f"process {identity.pid} is not running any more")
        loop.add_reader(self._pidfd, self._exited)

    @property
    def pid(self) -> int:
        return self.identity.pid

    @property
    def has_exited(self) -> bool:
        """Whether it has, also when the loop does not know it yet."""
        if self.status is not None:
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def members(self) -> list[int]:
        """The pids of its session, itself included: what it has started and not let go. Reads all of /proc."""
        return [process.pid for process in processes() if process.session == self.pid and process.is_live]

    async def wait_end(self) -> None:
        await asyncio.shield(self._over)

    async def stop(self, number: int, grace: float = GRACE) -> None:
        """End it and everything in its session: this signal first, SIGKILL after `grace` seconds."""
        if self.status is None:
            self._signal(number)
            self._signal(signal.SIGCONT)
            await asyncio.wait([self._over], timeout=grace)
        if self.status is None:
            self._signal(signal.SIGKILL)
            await asyncio.wait([self._over], timeout=grace)

    def kill(self) -> None:
        """End it now; `ended` is called as always."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.status is not None:
            return
        # While the leader is not reaped its pid, and so the number of its session, cannot be anybody else's.
        for pid in self.members():
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        # What it leaves behind would keep its ports.
        self._signal(signal.SIGKILL)
        self.status = _UNKNOWN
        if self._is_child:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        self._over.set_result(None)
        self._ended()


def spawn(order: Order, log: int, limiter: Limiter) -> Identity:
    """Start the command with standard output and error on `log`; returns when it is about to be executed.

    A command that cannot be executed ends with status 126 or 127, and the log says why. Raises ServiceError.
    """
    gate, opener = os.pipe2(os.O_CLOEXEC)
    try:
        imposed, lent = limiter.plan(order.limits, opener)
        argv = (*GATE, b"/bin/sh", b"-c", _ENTER, b"sh", order.cwd, b"%o" % order.umask, *order.argv)
        passed = [] if order.ready is None else [(os.POSIX_SPAWN_DUP2, *order.ready)]
        pid = os.posix_spawn(
            argv[0],
            argv,
            order.environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, gate, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                *passed,
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        limiter.impose(pid, imposed or lent)
        process = read_process(pid)
        os.write(opener, b"\n")
    except (OSError, ValueError) as error:
        raise ServiceError(f"cannot start {os.fsdecode(order.argv[0])}: {error}") from error
    finally:
        os.close(gate)
        os.close(opener)
    assert process is not None  # it is not reaped
    return process.identity


def find_with(variable: bytes) -> Identity | None:
    """The oldest process that has this in its environment, `NAME=value`."""
    marker = b"\0" + variable + b"\0"
    found = [process for process in processes() if process.is_live and marker in environ_of(process.pid)]
    return min(found, key=lambda process: process.started).identity if found else None
