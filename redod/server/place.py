"""The place of the socket: its name in the file system, whether that still leads to us, and its removal.

It does not know who connects there.
"""

import fcntl
import os
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress

_CHANGES = fcntl.DN_CREATE | fcntl.DN_DELETE | fcntl.DN_RENAME | fcntl.DN_MULTISHOT


class Place:
    """`path` of the listening socket. `is_own`: a client made it for us, so nobody else serves there after us;
    otherwise it belongs to whoever passed it (systemd), and stays when we end.
    """

    def __init__(self, path: bytes, is_own: bool) -> None:
        self.path = path
        self.is_own = is_own
        self._inode = _inode(path)
        self._directory = -1

    @property
    def is_lost(self) -> bool:
        """The name was removed, or leads to another server now: no client comes any more."""
        return self.is_own and (self._inode is None or _inode(self.path) != self._inode)

    def watch(self, loop: AbstractEventLoop, lost: Callable[[], None]) -> None:
        """Call `lost`, on the loop, when the place is lost, or was before.

        By dnotify (F_NOTIFY, fcntl(2)); where the kernel has none, a server that has lost its place ends when idle.
        """

        def look() -> None:
            if self.is_lost:
                lost()

        if not self.is_own:
            return
        with suppress(OSError):
            self._directory = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            loop.add_signal_handler(signal.SIGIO, look)
            fcntl.fcntl(self._directory, fcntl.F_NOTIFY, _CHANGES)
        loop.call_soon(look)

    def leave(self) -> None:
        """Remove the name, if it is ours: who comes now starts another server."""
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1
        if self.is_own and not self.is_lost:
            with suppress(OSError):
                os.unlink(self.path)


def _inode(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
