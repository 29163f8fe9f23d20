"""A job that its client starts, not the server: it is a process of the terminal's own session, so that /dev/tty, job
control and passwords work as in a shell.

It owns what goes to the client and what is known of a process that is not a child of ours. It does not know frames.
"""

import os
import signal
from contextlib import suppress
from functools import partial

from redod.jobs.holders import read_process
from redod.jobs.process import NOBODY, JobProcess, Listener, PipeId
from redod.jobs.spawner import Order, SpawnError
from redod.readers import Readers

_UNKNOWN = -signal.SIGKILL
"""The status of a process whose parent is gone: nobody can learn it."""


class ClientProcess(JobProcess):
    """It is told by `started` and `ended`, or that nobody will tell by `lost`.

    Its process group and session are the client's, which is the user's shell's.
    """

    __slots__ = ("_pidfd", "_shared", "held")

    def __init__(self, readers: Readers, listener: Listener, stderr_id: PipeId) -> None:
        try:
            completion, self.held = os.pipe2(os.O_CLOEXEC)
        except OSError as problem:
            raise SpawnError(f"cannot make a pipe for it: {problem.strerror}") from problem
        os.set_blocking(completion, False)
        super().__init__(readers, listener, NOBODY, completion, -1, stderr_id)
        self._pidfd = -1
        self._shared: frozenset[int] = frozenset()

    @property
    def spared(self) -> frozenset[int]:
        return self._shared

    def started(self, pid: int) -> None:
        """The client has started it."""
        self.pid = pid
        process = read_process(pid)
        if process is not None:
            self._shared = frozenset((process.group, process.session))
        with suppress(OSError):
            self._pidfd = os.pidfd_open(pid)
        if self._listener is not None:
            self._listener.started()

    def ended(self, status: int) -> None:
        """The client says how it ended: an exit status, or a negative signal number."""
        if self.status is None:
            if self._pidfd >= 0:
                self._readers.drop(self._pidfd)
                os.close(self._pidfd)
                self._pidfd = -1
            self._ended(status)

    def printed(self, data: bytes) -> None:
        """Words for its log."""
        if self._listener is not None:
            self._listener.printed(data)

    def lost(self) -> None:
        """The client is gone: nobody tells how it ends, only that it does."""
        if self.status is None and self._pidfd >= 0:
            self._readers.add(self._pidfd, partial(self.ended, _UNKNOWN))
        else:
            self.ended(_UNKNOWN)

    def signal_group(self, number: int) -> bool:
        """To the script alone: its group is the client's, too."""
        if self.status is not None or self._pidfd < 0:
            return False
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def order_file(order: Order) -> int:
    """A file for the client: the directory, the arguments, the environment, each string with a NUL."""
    number = os.memfd_create("redod-job", os.MFD_CLOEXEC)
    strings = (order.cwd, *order.argv, *(name + b"=" + value for name, value in order.env.items()))
    data = memoryview(b"".join(string + b"\0" for string in strings))
    try:
        while data:
            data = data[os.write(number, data) :]
    except OSError:
        os.close(number)
        raise
    return number
