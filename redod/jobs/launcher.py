"""The launcher: a small process (client/launch.c) that starts scripts for the server.

Whoever starts a program waits until it has been executed. With the processors busy, as in every build, that takes
longer than all else that the server does for a script, and everybody who asks it something would wait as well. The
scripts are the server's own children all the same. It owns the launcher's process and the socket to it; what a script
is, and what its start means, it does not know.

An order is one message: the head, the limits, the numbers of what is inherited, then strings with a NUL each, which are
the program, the directory, the arguments and the environment; beside it the descriptors for standard output, standard
error and the completion pipe, those that are inherited, and that of the script's cgroup. Each is answered, in their
order: a pid, an errno, and whether it was the directory's. Numbers are big-endian.
"""

import errno
import os
import select
import signal
import socket
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from struct import Struct, pack
from typing import NamedTuple

from redod.jobs.limits import Changes
from redod.readers import Readers

_HEAD = Struct(">7I")
"""umask, niceness, how many arguments, variables, limits, descriptors that are inherited, and cgroups: one or none."""
_LIMIT = Struct(">IQQ")
_ANSWER = Struct(">3I")
_LARGEST = 1 << 16
_ORDERS = 3
"""The launcher's descriptor for the socket."""
_PATIENCE = 5.0
"""Seconds to wait for a launcher that does not answer: somebody has stopped it."""
_EXECUTABLE = b"\x7fELF"


class Answer(NamedTuple):
    """`error`: an errno, 0 where it was started. `pid`: 0 where there is nothing to reap."""

    pid: int
    error: int
    in_cwd: bool


class Launcher:
    """`program`: the redod command. `children`: the processes that the server reaps itself.

    Raises OSError where the program cannot do it (the client in Python) or is not there.
    """

    def __init__(self, readers: Readers, program: bytes, children: set[int]) -> None:
        with open(program, "rb") as file:
            if file.read(len(_EXECUTABLE)) != _EXECUTABLE:
                raise OSError(f"{os.fsdecode(program)} starts no scripts")
        self._readers = readers
        self._asked: deque[Callable[[Answer], None]] = deque()
        self._is_ready = False
        """It has begun. Until then it may be a launcher of another kind that ends at once."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._socket.setblocking(False)
            self._pid = _start(program, theirs.fileno())
        self._children = children
        children.add(self._pid)
        readers.add(self._socket.fileno(), self.read)

    def launch(self, order: bytes, files: Sequence[int], told: Callable[[Answer], None]) -> bool:
        """Start a script, and call `told` when that has been done or has failed. False where it must be started
        otherwise. The files stay the caller's.
        """
        if not self._is_ready or len(order) > _LARGEST:
            return False
        try:
            self._socket.sendmsg([order], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", files))])
        except OSError:
            return False
        self._asked.append(told)
        return True

    def read(self) -> None:
        """Take in one answer, if there is any: nearly always there is no second."""
        try:
            data = self._socket.recv(_ANSWER.size)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif self._is_ready:
            pid, error, in_cwd = _ANSWER.unpack(data)
            self._asked.popleft()(Answer(pid, error, bool(in_cwd)))
        else:
            self._is_ready = True

    def settle(self) -> None:
        """Return when all orders are answered: what was asked for is running."""
        while self._asked:
            if not select.select([self._socket], [], [], _PATIENCE)[0]:
                self.close()
                return
            self.read()

    def close(self) -> None:
        """End it. What it was asked for and has not said to be done counts as failed."""
        if not self._pid:
            return
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._children.discard(self._pid)
        self._pid, self._is_ready = 0, False
        self._readers.drop(self._socket.fileno())
        self._socket.close()
        while self._asked:
            self._asked.popleft()(Answer(0, errno.ECONNABORTED, False))


def encode(
    program: bytes, cwd: bytes, argv: Sequence[bytes], env: Mapping[bytes, bytes], umask: int, nice: int,
    limits: Changes, inherited: Sequence[int], cgroups: int,
) -> bytes:  # fmt: skip
    """An order."""
    head = _HEAD.pack(umask, nice & 0xFFFFFFFF, len(argv), len(env), len(limits), len(inherited), cgroups)
    values = b"".join([_LIMIT.pack(number, soft & _ALL, hard & _ALL) for number, soft, hard in limits])
    values += pack(f">{len(inherited)}I", *inherited)
    strings = [program, cwd, *argv, *map(b"=".join, env.items()), b""]
    return head + values + b"\0".join(strings)


_ALL = (1 << 64) - 1
"""RLIM_INFINITY, which Python has as -1."""


def _start(program: bytes, number: int) -> int:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        return os.posix_spawn(
            program,
            [b"redod", b"launch"],
            {},
            file_actions=[
                *((os.POSIX_SPAWN_DUP2, null, standard) for standard in range(_ORDERS)),
                (os.POSIX_SPAWN_DUP2, number, _ORDERS),
            ],
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
    finally:
        os.close(null)
