"""The server as the parent of its jobs' orphans: it adopts them, and reaps them when they end, so that no zombie stays.

Without that they go to process 1, which in a container often reaps nothing, or is the server itself. It owns SIGCHLD,
taken by signalfd(2): uvloop refuses a handler for it. It does not know what the children are; those that the server has
started itself are waited for by whoever did so.
"""

import ctypes
import os
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable, Set
from contextlib import suppress

PAUSE = 0.2
"""Seconds between two looks; in between, children of ours end without further ado."""
_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2)."""
_SIGSET_SIZE = 128
"""Bytes of a sigset_t in glibc and musl."""


class Reaper:
    """Make it before any other thread starts: SIGCHLD must be blocked in all of them. `own`: pids that others reap.
    `settle` is called before they are looked at, and has all of them there.
    """

    def __init__(self, loop: AbstractEventLoop, own: Set[int], settle: Callable[[], None]) -> None:
        self._loop = loop
        self._own = own
        self._settle = settle
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        self._signals = _signal_descriptor(signal.SIGCHLD)
        loop.add_reader(self._signals, self._ended)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def close(self) -> None:
        self._loop.remove_reader(self._signals)
        os.close(self._signals)
        self._signals = -1

    def _ended(self) -> None:
        """A child has ended. During a build that is said all the time, so once is enough until the next look."""
        self._loop.remove_reader(self._signals)
        self._loop.call_later(PAUSE, self._look)

    def _look(self) -> None:
        if self._signals < 0:
            return
        with suppress(BlockingIOError):
            os.read(self._signals, 1024)
        self._loop.add_reader(self._signals, self._ended)
        self._settle()
        try:
            while (child := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if child.si_pid in self._own:
                    # Whoever started it learns of its end at the same time as we do, and hides others from us until
                    # then.
                    self._ended()
                    return
                os.waitpid(child.si_pid, 0)
        except ChildProcessError:
            return


def _signal_descriptor(number: int) -> int:
    """A descriptor that can be read when the signal is pending. Python has no signalfd(2). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    mask = ctypes.create_string_buffer(_SIGSET_SIZE)
    libc.sigemptyset(mask)
    libc.sigaddset(mask, number)
    descriptor: int = libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor
