"""Writing the graph's state into rows.

It owns which row each path has, and what version each row is known to say. It does not know when that is written, nor
what is done when it cannot be.
"""

from array import array
from collections.abc import Iterable

from redod.core.graph import Node
from redod.store.loading import UNWRITTEN, Loading, named_by
from redod.store.made import Mark
from redod.store.rows import Names, TargetRow, file_row, foreign_row, target_row
from redod.store.tables import Tables

_UNUSED_ROWS = 1000


class Writing:
    """`workspace`: the number of the store's workspace in the graph."""

    def __init__(self, names: Names, workspace: int) -> None:
        self.ids: dict[bytes, int] = {}
        """By path."""
        self._names = names
        self._workspace = workspace
        self._versions = array("q", [UNWRITTEN])
        """By id."""
        self._unused: list[int] = []
        """Ids of rows to be removed."""
        self._begun: set[bytes] = set()
        """Targets that are ours, and of which there is no result to be stored yet. There may never be one."""

    def continue_from(self, loading: Loading) -> None:
        """The rows are now those that this has read."""
        self.ids = loading.ids
        self._versions = loading.versions
        unused = loading.unused
        self._unused = unused if len(unused) > max(_UNUSED_ROWS, len(loading.ids) // 4) else []

    def begin(self, path: bytes) -> None:
        """It is a target of ours from now on."""
        self._begun.add(path)

    def paths(self) -> list[bytes]:
        """All that have a row, in that order, and the targets that have begun."""
        return [*self.ids, *self._begun]

    def write(self, tables: Tables, changed: Iterable[Node], mark: Mark) -> None:
        """The one transaction. Nothing that is known of rows changes before it has succeeded.

        Raises StoreError, Damaged.
        """
        rows = self._rows(changed)
        unused = [number for number in self._unused if number not in rows]
        tables.write(list(rows.values()), mark, unused)
        for number, row in rows.items():
            self._versions[number] = row.version
        for number in unused:
            self._versions[number] = UNWRITTEN
        self._unused = []

    def _rows(self, changed: Iterable[Node]) -> dict[int, TargetRow]:
        """The rows of these nodes, and of all that they name whose row is missing or of another version.

        An edge names a version, and only in one transaction with the row that says what that version was is it true.
        """
        rows: dict[int, TargetRow] = {}
        versions, ours = self._versions, (0, self._workspace)
        waiting = list(changed)
        while waiting:
            node = waiting.pop()
            number = self._id(node)
            if number in rows:
                continue
            if node.workspace == self._workspace:
                rows[number] = target_row(number, node, self._names, self._id)
                for named in named_by(node):
                    if versions[self._id(named)] != (named.version if named.workspace in ours else 0):
                        waiting.append(named)  # noqa: PERF401 - a generator costs a call for each
            elif node.workspace:
                rows[number] = foreign_row(number, self._names.name(node.path))
            else:
                rows[number] = file_row(number, self._names.name(node.path), node)
        return rows

    def _id(self, node: Node) -> int:
        number = self.ids.get(node.path)
        if number is None:
            self._begun.discard(node.path)
            number = self.ids[node.path] = len(self._versions)
            self._versions.append(UNWRITTEN)
        return number
