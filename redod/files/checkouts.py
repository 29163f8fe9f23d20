"""Version control: is the tree around a directory being rewritten just now? It runs no program and changes nothing."""

import os

from redod.core.paths import directory_of, join

_GIT, _HG = b".git", b".hg"
_LONGEST = 8192
"""Bytes of a `.git` that is a file: one path, at most (gitrepository-layout(5))."""


def lock_around(directory: bytes) -> bytes:
    """The lock file of git or Mercurial that says so; empty: there is none."""
    while True:
        for lock in (_git_lock(directory), join(directory, b".hg/wlock")):
            if os.path.lexists(lock):
                return lock
        if directory == b"/" or any(os.path.lexists(join(directory, name)) for name in (_GIT, _HG)):
            return b""
        directory = directory_of(directory)


def _git_lock(top: bytes) -> bytes:
    git = join(top, _GIT)
    try:
        # In a further worktree and in a submodule it is a file that tells where the directory is.
        with open(git, "rb") as file:
            name = file.read(_LONGEST).removeprefix(b"gitdir:").strip()
        git = os.path.join(top, name)
    except OSError:
        pass
    return os.path.join(git, b"index.lock")
