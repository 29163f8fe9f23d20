"""The store of a tree on read-only media, which is gone on with as a copy: else its targets would pass for sources."""

import fcntl
import os
import shutil
from contextlib import suppress

from redod.core.paths import join
from redod.store.tables import DATABASE

_NAMES = (b"made", DATABASE + b"-wal", DATABASE)
"""The database last: without it there is no store."""


def copy_store(inside: bytes, outside: bytes) -> None:
    """Copy the store in the directory `inside`, if there is one there that nobody uses and that can be read, to the
    directory `outside`, which is the user's own. Each time anew: whoever can write the medium may have built since.
    """
    with suppress(OSError):
        os.stat(join(inside, DATABASE))
        lock = os.open(join(inside, b"lock"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in _NAMES:
                with suppress(FileNotFoundError):
                    os.unlink(join(outside, name))
            for name in _NAMES:
                with suppress(FileNotFoundError):
                    shutil.copyfile(join(inside, name), join(outside, name + b".new"))
                    os.rename(join(outside, name + b".new"), join(outside, name))
        finally:
            os.close(lock)


def is_read_only(directory: bytes) -> bool:
    """Whether the whole file system is, here."""
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return False
