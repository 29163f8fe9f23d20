"""The lock by which one daemon owns a workspace's store.

It owns the lock file and what stands in it. It does not know how an owner is asked to give the store up. The lock is
flock(2), so that the kernel releases it however its holder dies.
"""

import fcntl
import json
import os
from typing import NamedTuple

from redod.core.paths import join, show
from redod.failpoints import reach
from redod.store import StoreError
from redod.store.ownership import open_file


class Owner(NamedTuple):
    """Who owns a store: the path of its socket, its host's name, its pid, and its start in seconds since the epoch."""

    socket: bytes
    host: str
    pid: int
    started: int


class WorkspaceBusy(StoreError):  # noqa: N818  (a fact about the workspace, like BlockingIOError's)
    """Another daemon owns the store. `owner` is None while it has not written its name yet: ask again."""

    def __init__(self, directory: bytes, owner: Owner | None, identity: bytes) -> None:
        who = f"pid {owner.pid} on {owner.host}, socket {show(owner.socket)}" if owner else "one that is just starting"
        super().__init__(
            f"{show(directory)} is in use by another build server (redod, {who}); run this again when its build has"
            " ended, or stop it with its `redod stop`"
        )
        self.directory = directory
        self.owner = owner
        self.identity = identity
        """Of the lock file: the owner may know the directory by another path."""


class Lock:
    """A lock that is held. `close` releases it."""

    def __init__(self, directory: bytes, owner: Owner) -> None:
        """Use `acquire`."""
        self._directory = directory
        self._owner = owner
        self._descriptor, self.predecessor = _take(directory, owner)
        """Who held the lock before and was killed; None after an orderly end."""

    def renew(self) -> None:
        """Hold the lock of the directory that has this name now, when the old one was removed.

        Raises WorkspaceBusy if somebody else was first, and StoreError; then the lock of the old directory is kept.
        """
        if not _is_at(self._descriptor, join(self._directory, b"lock")):
            old = self._descriptor
            self._descriptor, _ = _take(self._directory, self._owner)
            os.close(old)

    @property
    def is_replaced(self) -> bool:
        """Whether somebody else has made another one: whoever holds that owns the store."""
        path = join(self._directory, b"lock")
        return not _is_at(self._descriptor, path) and os.path.lexists(path)

    @property
    def identity(self) -> bytes:
        """See `WorkspaceBusy.identity`."""
        return _identity(self._descriptor)

    def give_back(self) -> None:
        """Release it as it was found: what is to be done after an owner that was killed is still to be done."""
        if self.predecessor is None:
            self.close()
        else:
            _sign(self._descriptor, self.predecessor)
            os.close(self._descriptor)
            self._descriptor = -1

    def close(self) -> None:
        if self._descriptor >= 0:
            reach("lock.release")
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def acquire(directory: bytes, owner: Owner) -> Lock:
    """Own the store in `directory`. Does not wait. Raises WorkspaceBusy, and StoreError where there can be no lock."""
    return Lock(directory, owner)


def read_owner(directory: bytes) -> Owner | None:
    """Whose name is in the lock file. It says nothing unless the lock was just found to be held: a killed owner's
    name stays, and a new owner writes its own a moment after it has the lock.
    """
    try:
        with open(join(directory, b"lock"), "rb") as file:
            fields = json.loads(file.readline())
        return Owner(os.fsencode(fields["socket"]), str(fields["host"]), int(fields["pid"]), int(fields["started"]))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _take(directory: bytes, owner: Owner) -> tuple[int, Owner | None]:
    path = join(directory, b"lock")
    try:
        while True:
            descriptor = open_file(path, os.O_RDWR)
            try:
                _flock(descriptor, directory)
                if _is_at(descriptor, path):
                    predecessor = read_owner(directory)
                    _sign(descriptor, owner)
                    reach("lock.taken")
                    return descriptor, predecessor
            except BaseException:
                os.close(descriptor)
                raise
            # The directory was removed between open and lock; a lock on an unlinked file excludes nobody.
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"cannot lock {show(path)}: {error.strerror}") from error


def _flock(descriptor: int, directory: bytes) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkspaceBusy(directory, read_owner(directory), _identity(descriptor)) from None


def _identity(descriptor: int) -> bytes:
    found = os.fstat(descriptor)
    return b"%d:%d" % (found.st_dev, found.st_ino)


def _is_at(descriptor: int, path: bytes) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _sign(descriptor: int, owner: Owner) -> None:
    fields = {**owner._asdict(), "socket": os.fsdecode(owner.socket)}
    line = json.dumps(fields).encode() + b"\n"
    # Written over the last owner's line, then cut: whoever reads meanwhile finds one whole line.
    os.pwrite(descriptor, line, 0)
    os.ftruncate(descriptor, len(line))
