"""One jobserver's pipe: bytes that stand for tokens. It does not know who waits for them, nor why.

We read through an open file description of our own, which does not block. Jobs get another one: make 4.3 sets
O_NONBLOCK on the read end that it inherits, and so for all who share it, while others rely on blocking reads.
"""

import fcntl
import os
import stat
import termios
from contextlib import suppress

from redod.errors import RedodError

LOWEST = 100
"""Jobs find a jobserver's descriptors at this number or a higher one, so that scripts' own never clash with them."""


class DeadJobserverError(RedodError):
    """The jobserver that MAKEFLAGS names is not there, or is none. The text says why."""


class Pipe:
    """`read`: ours, never blocks. `ends`: the read and the write end that jobs get. `fifo`: its path, if it has one.

    `is_ours`: else it is that of a make around us.
    """

    def __init__(self, read: int, ends: tuple[int, int], fifo: bytes, *, is_ours: bool) -> None:
        self.read = read
        self.ends = ends
        self._fifo = fifo
        self._is_ours = is_ours
        self._taken = bytearray()
        """The bytes that we have: a make may tell its tokens apart."""

    def auth(self, by_fifo: bool) -> bytes:
        """What MAKEFLAGS is to name: the descriptors; `by_fifo`: its path, where it has one."""
        return b"fifo:" + self._fifo if by_fifo and self._fifo else b"%d,%d" % self.ends

    @property
    def is_changed(self) -> bool:
        """A make has set O_NONBLOCK on the jobs' read end."""
        return bool(fcntl.fcntl(self.ends[0], fcntl.F_GETFL) & os.O_NONBLOCK)

    def renew(self) -> None:
        """Give later jobs another read end. A changed one is not set back: the make that has changed it relies on
        that, for blocked in read(2) it could not reap its own jobs.
        """
        fresh = _end(self.ends[0], os.O_RDONLY)
        os.close(self.ends[0])
        self.ends = (fresh, self.ends[1])

    def take(self) -> bool:
        """Take a token; False when there is none."""
        try:
            byte = os.read(self.read, 1)
        except BlockingIOError:
            return False
        self._taken += byte
        return bool(byte)

    def put(self, number: int) -> None:
        """Give so many of the taken tokens back."""
        given = bytes(self._taken[-number:])
        del self._taken[-number:]
        os.write(self.ends[1], given)

    def refill(self, size: int) -> int:
        """Have exactly `size` tokens in it, when nobody has any; how many were missing, or too many (negative)."""
        found = int.from_bytes(fcntl.ioctl(self.read, termios.FIONREAD, bytes(4)), "little")
        self._taken.clear()
        if found < size:
            os.write(self.ends[1], b"+" * (size - found))
        elif found > size:
            os.read(self.read, found - size)
        return size - found

    def close(self) -> None:
        """What we have of a make's goes back."""
        if self._taken and not self._is_ours:
            self.put(len(self._taken))
        for number in (self.read, *self.ends):
            os.close(number)
        if self._fifo and self._is_ours:
            with suppress(OSError):
                os.unlink(self._fifo)


def create(tokens: int, fifo: bytes) -> Pipe:
    """A jobserver of ours; `fifo`: the path of the FIFO to make for it, empty: none. Raises OSError."""
    if fifo:
        with suppress(FileNotFoundError):
            os.unlink(fifo)
        os.mkfifo(fifo, 0o600)
        ends = [os.open(fifo, os.O_RDWR | os.O_CLOEXEC)]
    else:
        ends = list(os.pipe2(os.O_CLOEXEC))
    try:
        pipe = _opened(ends[0], fifo, is_ours=True)
    finally:
        for number in ends:
            os.close(number)
    os.write(pipe.ends[1], b"+" * tokens)
    return pipe


def borrow(read: int, write: int) -> Pipe:
    """The jobserver of a make that has these descriptors. The caller keeps them. Raises DeadJobserverError."""
    ends = (os.fstat(read), os.fstat(write))
    if not all(stat.S_ISFIFO(end.st_mode) for end in ends) or not os.path.samestat(*ends):
        raise DeadJobserverError("its descriptors are not the two ends of one pipe")
    try:
        return _opened(read, b"", is_ours=False)
    except OSError as problem:
        raise DeadJobserverError(f"its descriptors cannot be used: {problem.strerror}") from problem


def borrow_fifo(path: bytes) -> Pipe:
    """The jobserver of a make that has made this FIFO. Raises DeadJobserverError."""
    try:
        held = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISFIFO(os.fstat(held).st_mode):
                raise DeadJobserverError(f"{os.fsdecode(path)} is not a FIFO")
            return _opened(held, path, is_ours=False)
        finally:
            os.close(held)
    except OSError as problem:
        raise DeadJobserverError(f"cannot open {os.fsdecode(path)}: {problem.strerror}") from problem


def _opened(held: int, fifo: bytes, *, is_ours: bool) -> Pipe:
    """A pipe, opened anew through any descriptor of it. Raises OSError."""
    opened: list[int] = []
    try:
        opened.append(os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        opened.append(_end(held, os.O_RDONLY))
        opened.append(_end(held, os.O_WRONLY))
    except OSError:
        for number in opened:
            os.close(number)
        raise
    return Pipe(opened[0], (opened[1], opened[2]), fifo, is_ours=is_ours)


def _end(held: int, flags: int) -> int:
    """An end for jobs, of its own open file description, at a high number."""
    # With O_NONBLOCK, opening an end of a FIFO does not wait for the other one.
    low = os.open(f"/proc/self/fd/{held}", flags | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        number = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, LOWEST)
    finally:
        os.close(low)
    os.set_blocking(number, True)
    return number
