"""How a store's files and directories are made: readable by all, and never root's in somebody else's workspace.

It owns modes and owners. It does not know what is in the files.
"""

import os
import stat


def make_directory(path: bytes) -> None:
    """Make a directory as under umask 022, owned as its parent is. Raises OSError; an existing one is left alone."""
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        return
    # The daemon's own umask is nobody's choice. A set-group-id bit that the parent handed down stays.
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | 0o755)
    _own_as(path, os.path.dirname(path))


def open_file(path: bytes, flags: int) -> int:
    """Open a file of the store, made as under umask 022 if it does not exist. Raises OSError."""
    try:
        return os.open(path, flags & ~os.O_CREAT | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(descriptor, 0o644)
        _own_as(path, os.path.dirname(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def replace_file(path: bytes, content: bytes) -> None:
    """Write a small file of the store, atomically. Raises OSError."""
    descriptor = open_file(path + b".new", os.O_WRONLY | os.O_TRUNC | os.O_CREAT)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
    os.rename(path + b".new", path)


def _own_as(path: bytes, directory: bytes) -> None:
    """After `sudo redo install` the user must still be able to build."""
    if os.geteuid() == 0:
        like = os.stat(directory)
        os.chown(path, like.st_uid, like.st_gid, follow_symlinks=False)
