"""What a simulated server would find on disk when it starts: rows as of the last commit, and the journal of intents.

The decisions are the real store's (`Intents`, `recover`); only the files are missing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.core.stamps import Stamp
from redod.store.intents import Intents
from redod.store.loading import named_by
from redod.store.made import Entry, print_of
from redod.store.recovery import recover

WORKSPACE = 1


class _Row(NamedTuple):
    kind: Kind
    version: int
    stamp: Stamp | None
    workspace: int
    status: int | None
    always: bool
    checksum: bytes
    dofile: bytes | None
    deps: tuple[tuple[DepKind, bytes, int, bool], ...]


@dataclass(slots=True)
class Storage:
    rows: dict[bytes, _Row] = field(default_factory=dict)
    _changed: set[Node] = field(default_factory=set)
    _journal: list[Entry] = field(default_factory=list)
    _intents: Intents = field(default_factory=Intents)
    _settled: int = 0
    """Up to which line of the journal."""

    def record(self, node: Node) -> None:
        if node.workspace:
            self._changed.add(node)

    def intend(self, path: bytes, stamp: Stamp) -> None:
        self._intents.add(path, len(self._journal), print_of(stamp))
        self._journal.append(Entry(print_of(stamp), path))

    def commit(self) -> None:
        """As `Store.commit`: the marked nodes, and what they name whose row is of another version."""
        if not self._changed:
            return
        waiting, written = list(self._changed), set()
        while waiting:
            node = waiting.pop()
            if node in written:
                continue
            written.add(node)
            self.rows[node.path] = _row(node)
            if node.workspace:
                waiting.extend(named for named in named_by(node) if self._is_stale(named))
        settled = self._intents.settled_by(self._changed)
        self._settled = self._intents.start(len(self._journal), settled)
        self._intents.settle(settled)
        self._changed.clear()

    def load(self, graph: Graph, observe: Callable[[bytes], Stamp]) -> None:
        """As at the start of a server: what was not committed is lost, what was put in place is known as ours."""
        self._changed.clear()
        self._intents = Intents()
        for path, row in self.rows.items():
            node = graph.node(path)
            node.kind, node.version, node.stamp, node.workspace = row.kind, row.version, row.stamp, row.workspace
            node.status, node.always, node.checksum = row.status, row.always, row.checksum
            node.dofile = None if row.dofile is None else graph.node(row.dofile)
            node.deps = tuple(Dep(kind, graph.node(path), version, late) for kind, path, version, late in row.deps)
        lines = self._journal[self._settled :]
        self._changed.update(recover(lines, graph, WORKSPACE, lambda name: name, observe))

    def _is_stale(self, node: Node) -> bool:
        row = self.rows.get(node.path)
        return row is None or row.version != node.version


def _row(node: Node) -> _Row:
    if not node.workspace:
        return _Row(node.kind, node.version, node.stamp, 0, None, False, b"", None, ())
    return _Row(
        node.kind, node.version, node.stamp, node.workspace, node.status, node.always, node.checksum,
        None if node.dofile is None else node.dofile.path,
        tuple((dep.kind, dep.node.path, dep.version, dep.late) for dep in node.deps),
    )  # fmt: skip
