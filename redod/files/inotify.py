"""inotify(7), as much of it as watching needs: Python has no binding, and a read must never wait.

It owns the descriptor and the layout of events. It does not know what is watched, nor why.
"""

import ctypes
import errno
import os
from enum import IntEnum
from struct import Struct

_HEAD = Struct("iIII")
_BUFFER = 1 << 16
_LARGEST = _HEAD.size + 256
"""Bytes of one event at most: a name has up to 255 and a NUL. The kernel fills a buffer while the next one fits."""

_Statfs = ctypes.c_long * 64
"""A type, and as such garbage for the collector when it is made for each call."""


class Mask(IntEnum):
    """The bits of <sys/inotify.h>. Not IntFlag, whose operators are dear: each event is asked for several."""

    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    UNMOUNT = 0x2000
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x1000000
    DONT_FOLLOW = 0x2000000
    MASK_CREATE = 0x10000000
    """Fail with EEXIST where the inode is watched already (Linux 4.18)."""


Event = tuple[int, int, bytes]
"""The watch, as `add` returned it, -1 for an overflow; the mask; the name in the watched directory, empty: itself."""


class Inotify:
    """One queue of events. Raises OSError where there is none to be had."""

    def __init__(self) -> None:
        self._c = ctypes.CDLL(None, use_errno=True)
        self._number = self._checked(self._c.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        return self._number

    def add(self, path: bytes, mask: int) -> int:
        """Watch a file; the number of the watch. Raises OSError."""
        return self._checked(self._c.inotify_add_watch(self._number, path, ctypes.c_uint32(mask)))

    def remove(self, watch: int) -> None:
        """Watch no more; nothing happens where the kernel has ended the watch itself."""
        self._c.inotify_rm_watch(self._number, watch)

    def read(self) -> list[Event]:
        """All events until now, the oldest first. Never waits."""
        found: list[Event] = []
        while True:
            try:
                data = os.read(self._number, _BUFFER)
            except BlockingIOError:
                return found
            place, end = 0, len(data)
            while place < end:
                watch, mask, _, length = _HEAD.unpack_from(data, place)
                place += _HEAD.size + length
                found.append((watch, mask, data[place - length : place].rstrip(b"\0")))
            if end <= _BUFFER - _LARGEST:
                return found

    def close(self) -> None:
        os.close(self._number)

    def file_system(self, path: bytes) -> int:
        """The type of the file system that holds a file, as statfs(2) numbers it; 0: unknown."""
        # struct statfs begins with the type, a long on the architectures that Python runs on (int on s390x).
        buffer = _Statfs()
        if self._c.statfs(path, buffer) != 0:
            return 0
        return int(buffer[0]) & 0xFFFFFFFF

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


LACK = (errno.ENOSPC, errno.ENOMEM)
"""What `add` fails with when there are no watches left (fs.inotify.max_user_watches)."""
