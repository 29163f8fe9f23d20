"""Reading a store's rows into the graph.

It owns how rows meet nodes that the graph already has, from another workspace's store or from looking at the
disk. It does not know when a store is read, nor what is done about a damaged one.
"""

from array import array
from collections.abc import Iterator
from itertools import chain
from struct import error as StructError  # noqa: N812  (an exception's name that is not one)

from redod.core.graph import Dep, Graph, Kind, Node
from redod.core.stamps import Stamp, source_difference
from redod.core.suspects import distrust, suspect
from redod.core.verdicts import Reason
from redod.store import StoreError
from redod.store.recovery import Observe
from redod.store.rows import Edge, Names, dep, unpack_edges, unpack_log, unpack_reason, unpack_stamp
from redod.store.tables import Damaged, Tables

_KINDS = {kind.value: kind for kind in Kind}
UNWRITTEN = -1
"""In the place of a row's version: there is no such row."""
_MAX_ROWS = 1 << 26


class Loading:
    """One load. Afterwards `ids` has each stored path's id, `versions` the version in the row of each id (row 0 is
    none), `translated` the targets whose rows are to be written again, `unused` the ids of rows that nothing names.
    """

    def __init__(self, graph: Graph, names: Names, workspace: int, observe: Observe) -> None:
        self._graph = graph
        self._observe = observe
        self._names = names
        self._workspace = workspace
        self._nodes: dict[int, Node] = {}
        self._kept: dict[int, tuple[int, int]] = {}
        """By id, where the graph knows the same state of the file by another version: the row's and the graph's."""
        self._found: set[Node] = set()
        """Nodes that keep what the graph knew of them."""
        self.ids: dict[bytes, int] = {}
        self.versions = array("q", [UNWRITTEN])
        self.translated: list[Node] = []
        self.unused: list[int] = []

    def read(self, tables: Tables) -> None:
        """Read all. Raises Damaged and StoreError; the graph then has new nodes, but knows nothing of them."""
        try:
            self._make_room(tables.last_id())
            self._read_files(tables)
            self._read_targets(tables)
        except (Damaged, StoreError):
            self._undo()
            raise
        except (StructError, LookupError, TypeError, ValueError, AttributeError) as error:
            self._undo()
            raise Damaged(f"a row cannot be read: {error!r}") from error

    def _read_files(self, tables: Tables) -> None:
        graph, path_of, nodes, ids, versions = self._graph, self._names.path, self._nodes, self.ids, self.versions
        for number, name, kind, version, stamp in tables.files():
            path = path_of(name)
            node = nodes[number] = graph.node(path)
            ids[node.path] = number
            versions[number] = version
            if node.version or not is_blank(node):
                self._meet(number, node, version, unpack_stamp(stamp))
            else:
                node.kind = _KINDS[kind]
                node.version = version
                node.stamp = unpack_stamp(stamp)

    def _meet(self, number: int, node: Node, version: int, stamp: Stamp | None) -> None:
        """A file that the graph knows already: what the graph knows stands, unless the row knows better."""
        self._found.add(node)
        if node.workspace or not stamp or not node.stamp:
            return
        if not _is_same(stamp, node.stamp):
            if self._is_now(node.path, stamp):
                # Another server, which had the workspace meanwhile, has seen the file change.
                suspect(node)
                node.stamp, node.version = stamp, version
            return
        if not node.version:
            suspect(node)
            node.version = version
        elif version != node.version:
            self._kept[number] = (version, node.version)

    def _is_now(self, path: bytes, stamp: Stamp) -> bool:
        try:
            return not source_difference(stamp, self._observe(path))
        except OSError:
            return False

    def _read_targets(self, tables: Tables) -> None:
        unlinked: list[tuple[Node, bytes, int | None]] = []
        reasons = _Reasons(self._names)
        graph, path_of, nodes, ids, versions = self._graph, self._names.path, self._nodes, self.ids, self.versions
        workspace = self._workspace
        for number, name, kind, version, stamp, edges, dofile, status, always, checksum, log, why in tables.targets():
            node = nodes[number] = graph.node(path_of(name))
            ids[node.path] = number
            versions[number] = version
            if node.workspace not in (0, workspace):
                self._found.add(node)
                continue
            self._found.discard(node)
            if node.watched:
                suspect(node)
            node.workspace = workspace
            node.kind = _KINDS[kind]
            node.version = version
            node.stamp = unpack_stamp(stamp)
            node.status = status
            node.always = bool(always)
            node.checksum = checksum or b""
            node.log = unpack_log(log)
            node.reason = reasons[why]
            unlinked.append((node, edges or b"", dofile))
        self._link(unlinked)

    def _link(self, unlinked: list[tuple[Node, bytes, int | None]]) -> None:
        deps = _Deps(self._nodes, self._kept)
        known = deps.__getitem__
        for node, edges, dofile in unlinked:
            node.deps = tuple(map(known, unpack_edges(edges)))
            node.dofile = None if dofile is None else self._nodes[dofile]
            if self._kept and any(edge[1] in self._kept for edge in unpack_edges(edges)):
                self.translated.append(node)
        used = {number for _, number, _ in deps}
        used.update(dofile for _, _, dofile in unlinked if dofile is not None)
        self.unused = [number for number, node in self._nodes.items() if number not in used and not node.workspace]

    def _make_room(self, rows: int) -> None:
        if not 0 <= rows < _MAX_ROWS:
            raise ValueError(f"row id {rows}")
        self.versions = array("q", [UNWRITTEN]) * (rows + 1)

    def _undo(self) -> None:
        for node in self._nodes.values():
            if node not in self._found and node.workspace in (0, self._workspace):
                blank(node)


class _Reasons(dict[bytes | None, Reason | None]):
    """Equal reasons of many targets are one object."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, blob: bytes | None) -> Reason | None:
        made = self[blob] = unpack_reason(blob, self._names)
        return made


class _Deps(dict[Edge, Dep]):
    """Equal edges of many targets (a header that all include) are one object: less time, a fraction of the memory."""

    def __init__(self, nodes: dict[int, Node], kept: dict[int, tuple[int, int]]) -> None:
        super().__init__()
        self._nodes = nodes
        self._kept = kept

    def __missing__(self, edge: Edge) -> Dep:
        version, number, _ = edge
        node = self._nodes[number]
        if number in self._kept and self._kept[number][0] == version:
            version = self._kept[number][1]
        # The node's own integer where it is equal: no second object.
        made = self[edge] = dep(edge, node, node.version if node.version == version else version)
        return made


def is_blank(node: Node) -> bool:
    """Whether nothing is known of a node but its path."""
    return not node.version and node.kind is Kind.UNKNOWN and not node.workspace and node.stamp is None


def blank(node: Node) -> None:
    """Forget what is known of a node but its path, and who depends on it."""
    distrust(node)
    suspect(node)
    # Not by hand: a field that is added to Node must not be left behind here.
    fresh = Node(node.path)
    for field in Node.__slots__:
        if field not in ("dependents", "listed"):
            setattr(node, field, getattr(fresh, field))


def named_by(node: Node) -> Iterator[Node]:
    """The nodes that a target's row refers to."""
    named = (each.node for each in node.deps)
    return chain(named, (node.dofile,)) if node.dofile else named


def _is_same(stored: Stamp, known: Stamp) -> bool:
    # Without the same content hash nothing tells whether a racy stamp missed a write: then they are not the same.
    return stored.content == known.content and not source_difference(stored, known)
