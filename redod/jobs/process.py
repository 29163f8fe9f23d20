"""One job's process: it is listened to, waited for, and let go here.

It owns the server's side of the process's descriptors: the completion pipe, the stderr pipe and the pidfd. It does not
know targets, sessions or logs: what happens is told to a `Listener`, on the loop's thread.
"""

import os
import signal
from functools import partial
from resource import struct_rusage
from typing import NamedTuple, Protocol

from redod.jobs.cgroups import Cgroup
from redod.readers import Readers

_READ_SIZE = 65536
_DRAIN_READS = 16
"""Times `_READ_SIZE` is 1 MiB, the largest pipe an ordinary user can make: a drain reads all that was printed before
it, and a process that never stops printing cannot keep the loop in it."""


class Listener(Protocol):
    """Told what happens to a job, on the loop's thread. After both `exited` and `pipe_closed` nothing more is told."""

    def exited(self, status: int) -> None:
        """The script has ended: its exit status, or the negative number of the signal that killed it."""

    def pipe_closed(self) -> None:
        """The last holder of the completion pipe has closed it."""

    def started(self) -> None:
        """The script has been started; where that is known only later than `Spawner.start` returns."""

    def not_started(self, text: str) -> None:
        """It could not be started, as a SpawnError says. Nothing more is told."""

    def printed(self, data: bytes) -> None:
        """Somebody wrote this to the job's standard error. At most 65,536 bytes, never empty."""


class PipeId(NamedTuple):
    """A pipe's identity, as fstat(2) gives it for either end."""

    device: int
    inode: int


NOWHERE = PipeId(0, 0)
"""Of a descriptor that is closed."""


NOBODY = -1
"""The pid of a job that is being started."""
NOT_STARTED = 127
"""The status of one that could not be."""


class JobProcess:
    """A running or ended job. `status` is None until the script's end is known. `stderr`: the end to read of what it
    prints; -1: it prints elsewhere.
    """

    __slots__ = (
        "_completion", "_listener", "_readers", "_stderr",
        "cgroup", "leaves_holders", "pid", "status", "stderr_id", "usage",
    )  # fmt: skip

    def __init__(
        self,
        readers: Readers,
        listener: Listener,
        pid: int,
        completion: int,
        stderr: int,
        stderr_id: PipeId,
    ) -> None:
        self._readers = readers
        self._listener: Listener | None = listener
        self._completion = completion
        self._stderr = stderr
        self.pid = pid
        """Also the number of the job's process group."""
        self.status: int | None = None
        self.usage: struct_rusage | None = None
        """What the script, and what it waited for, has used: known with `status`."""
        self.stderr_id = stderr_id
        """Tells a nested client whose descriptor 2 is still this job's from one that was redirected."""
        self.cgroup: Cgroup | None = None
        """Its own, if it has one, until it is given back."""
        self.leaves_holders = False
        """The job is over, and processes that it started live on with descriptors of its."""
        readers.add(completion, self._on_completion)
        if stderr >= 0:
            readers.add(stderr, self._on_stderr)

    @property
    def spared(self) -> frozenset[int]:
        """Process groups and sessions that it shares with strangers: being in one makes nobody part of the job."""
        return frozenset()

    @property
    def completion_id(self) -> PipeId:
        """Whoever has this pipe open holds it; NOWHERE: nobody does."""
        return identity(self._completion) if self._completion >= 0 else NOWHERE

    def begin(self, pid: int, pidfd: int, children: set[int]) -> None:
        """It has been started."""
        self.pid = pid
        self.watch(pidfd, children)
        if self._listener is not None:
            self._listener.started()
        else:
            # Given up meanwhile.
            self.signal_group(signal.SIGKILL)

    def fail(self, text: str) -> None:
        """It could not be started."""
        listener, self._listener, self.status = self._listener, None, NOT_STARTED
        self._close_completion()
        self._discard_stderr()
        if listener is not None:
            listener.not_started(text)

    def watch(self, pidfd: int, children: set[int]) -> None:
        """It is a child of ours, in `children` until it is reaped; takes over `pidfd`."""
        self._readers.add(pidfd, partial(self._on_exit, pidfd, children))

    @property
    def is_over(self) -> bool:
        """The script has ended and nobody holds the completion pipe."""
        return self.status is not None and self._completion < 0

    def drain_stderr(self) -> None:
        """Tell the listener all that has been printed so far, now: before something else is put into the log."""
        for _ in range(_DRAIN_READS):
            if not self._on_stderr():
                return

    def signal_group(self, number: int) -> bool:
        """Send a signal to the job's process group; False when there is none of that number that is surely ours.

        Once the script has been reaped its pid may belong to somebody else, so nothing is sent then.
        """
        if self.status is not None or self.pid == NOBODY:
            return False
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def release(self) -> None:
        """Wait for those no longer who hold the completion pipe after the script's end; what they write is ignored."""
        self.leaves_holders = True
        self._close_completion()
        if self.status is not None:
            self._finish()

    def let_go(self) -> None:
        """Stop listening: nothing more is told, nobody's writes fail, and the script is reaped when it ends."""
        self._listener = None
        self._close_completion()
        self._discard_stderr()

    def _on_exit(self, pidfd: int, children: set[int]) -> None:
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            return
        children.discard(pid)
        self._readers.drop(pidfd)
        os.close(pidfd)
        self.usage = usage
        self._ended(os.waitstatus_to_exitcode(status))

    def _ended(self, status: int) -> None:
        listener, self.status = self._listener, status
        # Whoever is told of the end wants to know whether the script was the last to hold the pipe.
        if self._completion >= 0:
            self._on_completion()
        else:
            self._finish()
        if listener is not None:
            listener.exited(status)

    def _on_completion(self) -> None:
        # What a script writes to a descriptor it does not know means nothing.
        if _read(self._completion) != b"":
            return
        listener = self._listener
        self._close_completion()
        if self.status is not None:
            self._finish()
        if listener is not None:
            listener.pipe_closed()

    def _on_stderr(self) -> bool:
        """Read once; whether there may be more."""
        if self._stderr < 0:
            return False
        data = _read(self._stderr)
        if data == b"":
            self._readers.drop(self._stderr)
            os.close(self._stderr)
            self._stderr = -1
        elif data is not None and self._listener is not None:
            self._listener.printed(data)
        return bool(data)

    def _finish(self) -> None:
        """It is over: nothing that is printed from now on is told."""
        self.drain_stderr()
        self._discard_stderr()
        # The listener refers to us, and what refers to each other waits for the collector.
        self._listener = None

    def _close_completion(self) -> None:
        if self._completion >= 0:
            self._readers.drop(self._completion)
            os.close(self._completion)
            self._completion = -1

    def _discard_stderr(self) -> None:
        """A detached process that kept descriptor 2 must not get SIGPIPE, so its end is read while we live."""
        if self._stderr >= 0:
            self.leaves_holders = True
            # This takes the place of the reader that refers to the job, so nothing of the job is kept alive.
            self._readers.add(self._stderr, partial(_discard, self._readers, self._stderr))
            self._stderr = -1


def identity(number: int) -> PipeId:
    found = os.fstat(number)
    return PipeId(found.st_dev, found.st_ino)


def _read(number: int) -> bytes | None:
    """Empty at end of file, None when there is nothing yet."""
    try:
        return os.read(number, _READ_SIZE)
    except BlockingIOError:
        return None


def _discard(readers: Readers, number: int) -> None:
    if _read(number) == b"":
        readers.drop(number)
        os.close(number)
