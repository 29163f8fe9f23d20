"""The names of `$3`, by which it is also known again. No file is touched here."""

import os

SUFFIX = b".redo.tmp"
_UNIQUE = 8
"""Characters of the unique part, which stands between the target's name and `SUFFIX`."""
_NAME_MAX = 255
"""Bytes in a file's name, on every file system that matters."""


def temporary_name(target: bytes) -> bytes:
    """A new name for `$3`: the target's path (absolute or relative) and a unique suffix.

    When that would be too long for a file name, the target's own name is shortened; the directory stays.
    """
    directory, slash, name = target.rpartition(b"/")
    suffix = b"." + os.urandom(_UNIQUE // 2).hex().encode() + SUFFIX
    return directory + slash + name[: _NAME_MAX - len(suffix)] + suffix


def temporary_in(entry: bytes) -> bytes:
    """Of an entry with `SUFFIX` in its name, all up to there: the `$3` that it is, or that it stands beside."""
    return entry[: entry.index(SUFFIX) + len(SUFFIX)]


def target_in(temporary: bytes) -> bytes:
    """The target's name, or its shortened one; the whole of what is no `$3` name."""
    start = temporary[: -len(SUFFIX)]
    return start[: -_UNIQUE - 1] if start[-_UNIQUE - 1 : -_UNIQUE] == b"." else temporary
