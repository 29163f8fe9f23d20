"""The intents that wait for their result: targets whose `made` line is written and whose row is not.

It owns how far the journal is settled. It knows neither the journal's file nor the database. A commit may come
between one target's intent and its result, so the database must not remember the journal's length at the commit, but
where the first line begins whose target's row does not yet tell of that very file.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from redod.core.graph import Node
from redod.store.made import Print, print_of


class _Intent(NamedTuple):
    offset: int
    """Of the first line that is not settled: its file may still be the one in place."""
    file: Print
    """Of the last line."""


class Intents:
    """The open intents of one journal, by path. Offsets are in bytes."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Intent] = {}

    def add(self, path: bytes, offset: int, file: Print) -> None:
        earlier = self._open.get(path)
        self._open[path] = _Intent(earlier.offset if earlier else offset, file)

    def settled_by(self, nodes: Iterable[Node]) -> set[bytes]:
        """The paths whose result is among these nodes' states. The intent of an install that failed stays open, which
        costs one look at the file at the next start.
        """
        return {node.path for node in nodes if self._is_settled(node)} if self._open else set()

    def start(self, end: int, settled: Collection[bytes] = ()) -> int:
        """Where the first open line begins, those of `settled` not counted; `end` if there is none."""
        return min((intent.offset for path, intent in self._open.items() if path not in settled), default=end)

    def settle(self, paths: Iterable[bytes]) -> None:
        for path in paths:
            del self._open[path]

    def move(self, distance: int) -> None:
        """The open lines begin that many bytes later now."""
        for path, intent in self._open.items():
            self._open[path] = intent._replace(offset=intent.offset + distance)

    def take(self) -> list[tuple[bytes, Print]]:
        """Give up all open intents, to be added again to another journal."""
        taken = [(path, intent.file) for path, intent in self._open.items()]
        self._open.clear()
        return taken

    def _is_settled(self, node: Node) -> bool:
        intent = self._open.get(node.path)
        if intent is None or node.stamp is None:
            return False
        # A directory's stamp says only that it exists.
        return node.stamp.is_directory or print_of(node.stamp) == intent.file
