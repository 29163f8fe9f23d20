"""The search for the script of a target.

For `dir/foo.a.b` the names are, in `dir`, `foo.a.b.do`, `default.a.b.do`, `default.b.do`, `default.do`; then the
`default*` names in each
parent directory up to `/`. Every name of a nearer directory comes before any of a farther one.
"""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from redod.core import paths


class Candidate(NamedTuple):
    """One place where the script may be, and what it would be called with."""

    path: bytes
    """Absolute."""
    directory: bytes
    """Where the script runs."""
    target: bytes
    """`$1`: the target, relative to `directory`."""
    stem: bytes
    """`$2`: the same without the extension that a `default` name matched."""


def default_names(name: bytes) -> list[tuple[bytes, int]]:
    """The `default*` names for a file name, the longest extension first, each with the length of its extension."""
    found = []
    dot = name.find(b".")
    while dot >= 0:
        extension = name[dot:]
        if extension != b".":
            found.append((b"default" + extension + b".do", len(extension)))
        dot = name.find(b".", dot + 1)
    found.append((b"default.do", 0))
    return found


def candidates(target: bytes) -> Iterator[Candidate]:
    """All candidates of a canonical absolute path, nearest first."""
    return chain.from_iterable(by_directory(target))


def by_directory(target: bytes) -> Iterator[list[Candidate]]:
    """The same, those of one directory at a time."""
    directory, name = paths.directory_of(target), paths.name_of(target)
    names = default_names(name)
    found = [Candidate(paths.join(directory, name + b".do"), directory, name, name)]
    relative = name
    while True:
        for default, length in names:
            stem = relative[: len(relative) - length]
            found.append(Candidate(paths.join(directory, default), directory, relative, stem))
        yield found
        if directory == b"/":
            return
        found = []
        relative = paths.name_of(directory) + b"/" + relative
        directory = paths.directory_of(directory)
