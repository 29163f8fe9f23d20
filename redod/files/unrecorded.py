"""Files that a dofile could have made: what may be adopted when nothing tells any more which files redo has built.

It looks through directories. It does not know which of the files are targets already.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from redod.core.dofiles import default_names
from redod.core.paths import directory_of, join

_OTHERS = (b".redo", b".git", b".hg", b".svn", b".bzr", b".jj", b"_darcs")
_ALL = b"default.do"
_MOST = 200_000
"""Files that are looked at; a tree may be of any size, and somebody waits."""


class Match(NamedTuple):
    """A file, absolute. `is_certain`: not only `default.do` matches, which matches every source, too."""

    path: bytes
    is_certain: bool


def matches(top: bytes) -> Iterator[Match]:
    """The files below `top`, or `top` itself, that a dofile matches; dofiles and other workspaces are left out."""
    if not os.path.isdir(top) or os.path.islink(top):
        directory = directory_of(top)
        yield from _matches_in(directory, [top[len(directory.rstrip(b"/")) + 1 :]], _defaults_above(directory))
        return
    defaults = {top: _defaults_above(directory_of(top))}
    seen = 0
    for directory, names, files in os.walk(top):
        here = defaults.pop(directory) | _defaults(files)
        if directory != top and b".redo" in names:
            names.clear()
            continue
        names[:] = [name for name in names if name not in _OTHERS]
        defaults.update((join(directory, name), here) for name in names)
        yield from _matches_in(directory, files, here)
        seen += len(files)
        if seen > _MOST:
            return


def _matches_in(directory: bytes, names: list[bytes], defaults: frozenset[bytes]) -> Iterator[Match]:
    for name in names:
        if name.endswith(b".do") or b".redo.tmp" in name or not os.path.lexists(join(directory, name)):
            continue
        found = {default for default, _ in default_names(name)} & defaults
        if os.path.isfile(join(directory, name + b".do")) or found - {_ALL}:
            yield Match(join(directory, name), True)
        elif found:
            yield Match(join(directory, name), False)


def _defaults_above(directory: bytes) -> frozenset[bytes]:
    """The `default*.do` of a directory and of all above it."""
    found: set[bytes] = set()
    while True:
        with suppress(OSError):
            found |= _defaults(os.listdir(directory))
        if directory == b"/":
            return frozenset(found)
        directory = directory_of(directory)


def _defaults(names: list[bytes]) -> frozenset[bytes]:
    return frozenset(name for name in names if name.startswith(b"default.") and name.endswith(b".do"))
