"""Reading a store's rows into the graph.

It owns how rows meet nodes that the graph already has, from another workspace's store or from looking at the
disk. It does not know when a store is read, nor what is done about a damaged one.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from struct import error as StructError  # noqa: N812  (an exception's name that is not one)

from redod.core.graph import LOG_PLACE, Dep, Graph, Kind, Node
from redod.core.leaving import blank, is_blank
from redod.core.stamps import Stamp, source_difference
from redod.core.suspects import suspect
from redod.core.verdicts import Reason
from redod.store import StoreError
from redod.store.recovery import Observe
from redod.store.rows import (
    Edge,
    FileRow,
    Names,
    RecordRow,
    dep,
    plain_deps,
    unpack_edges,
    unpack_reason,
    unpack_stamps,
)
from redod.store.tables import Damaged, Tables

_KINDS = {kind.value: kind for kind in Kind}
UNWRITTEN = -1
"""In the place of a row's version: there is no such row."""
_MAX_ROWS = 1 << 26
_UNUSED, _USED = 1, 2
"""What is known of a row: nothing names it yet; a target does, or it is one."""


class Loading:
    """One load. Afterwards `ids` has each stored path's id, `versions` the version in the row of each id (row 0 is
    none), `targets` how many there are, `translated` those whose rows are to be written again, `directories` where the
    files are.

    Builds elsewhere may go on between two steps, so each step leaves the graph as it may be: a target is blank until
    all that is known of it is there.
    """

    def __init__(self, graph: Graph, names: Names, workspace: int, observe: Observe) -> None:
        self._graph = graph
        self._observe = observe
        self._names = names
        self._workspace = workspace
        self._plain: list[Dep] = []
        """By id, a dependency on what the row says. For an id without a row it is None, and using that is an error."""
        self._uses = bytearray(1)
        """By id."""
        self._kept: dict[int, tuple[int, int]] = {}
        """By id, where the graph knows the same state of the file by another version: the row's and the graph's."""
        self._others = _Deps(self._kept)
        self._reasons = _Reasons(names)
        self._found: set[Node] = set()
        """Nodes that keep what the graph knew of them."""
        self.ids: dict[bytes, int] = {}
        self.versions = array("q", [UNWRITTEN])
        self.targets = 0
        self.translated: list[Node] = []
        self.directories: set[bytes] = set()

    @property
    def unused(self) -> list[int]:
        """The ids of rows that nothing names."""
        uses, plain = self._uses, self._plain
        return [number for number, use in enumerate(uses) if use == _UNUSED and not plain[number].node.workspace]

    def steps(self, tables: Tables) -> Iterator[None]:
        """Read all, in steps of a few milliseconds.

        Raises Damaged and StoreError; the graph then has new nodes, but knows nothing of them.
        """
        try:
            self._make_room(tables.last_id())
            for files in tables.files():
                self._read_files(files)
                yield
            for targets in tables.targets():
                self._enter(*zip(*targets, strict=True))
                yield
            for records in tables.records():
                self._read_records(records)
                yield
        except (Damaged, StoreError):
            self._undo()
            raise
        except (StructError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self._undo()
            raise Damaged(f"a row cannot be read: {error!r}") from error

    def _enter(self, numbers: Sequence[int], names: Sequence[bytes], versions: Sequence[int]) -> list[Node]:
        """The nodes of these rows."""
        self.directories.update({name[: name.rfind(b"/") + 1] for name in names})
        if min(numbers) < 1:
            raise ValueError(f"row id {min(numbers)}")
        nodes = self._graph.nodes(self._names.paths(names))
        self.ids.update(zip([node.path for node in nodes], numbers, strict=True))
        plain, uses, all_versions = self._plain, self._uses, self.versions
        for number, node, made, version in zip(numbers, nodes, plain_deps(nodes, versions), versions, strict=True):
            plain[number] = node.plain = made
            uses[number] = _UNUSED
            all_versions[number] = version
        return nodes

    def _read_files(self, found: list[FileRow]) -> None:
        numbers, names, kinds, versions, stamps = zip(*found, strict=True)
        nodes = self._enter(numbers, names, versions)
        rows = zip(numbers, nodes, kinds, versions, unpack_stamps(stamps), strict=True)
        for number, node, kind, version, stamp in rows:
            if node.version or not is_blank(node):
                self._meet(number, node, version, stamp)
            else:
                node.kind = _KINDS[kind]
                node.version = version
                node.stamp = stamp

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
            self._plain[number] = self._plain[number]._replace(version=node.version)

    def _is_now(self, path: bytes, stamp: Stamp) -> bool:
        try:
            return not source_difference(stamp, self._observe(path))
        except OSError:
            return False

    def _read_records(self, rows: list[RecordRow]) -> None:
        workspace, plain, uses, reasons = self._workspace, self._plain, self._uses, self._reasons
        stamps = unpack_stamps([row[2] for row in rows])
        for row, stamp in zip(rows, stamps, strict=True):
            number, kind, _, edges, dofile, status, always, checksum, log, why = row
            _, node, version, _ = plain[number]
            uses[number] = _USED
            if node.workspace not in (0, workspace):
                self._found.add(node)
                continue
            self._found.discard(node)
            if node.watched:
                suspect(node)
            node.workspace = workspace
            node.kind = _KINDS[kind]
            node.version = version
            node.stamp = stamp
            node.status = status
            node.always = bool(always)
            node.checksum = checksum or b""
            if log and len(log) != LOG_PLACE.size:
                raise ValueError("a log's place")
            node.log = log or b""
            node.reason = reasons[why]
            node.deps = self._deps(edges)
            if dofile is not None:
                node.dofile = plain[dofile].node
                uses[dofile] = _USED
            if self._kept and any(edge[1] in self._kept for edge in unpack_edges(edges)):
                self.translated.append(node)
            self.targets += 1

    def _deps(self, edges: bytes) -> tuple[Dep, ...]:
        deps, plain, uses = [], self._plain, self._uses
        for edge in unpack_edges(edges):
            version, number, flags = edge
            most = plain[number]
            uses[number] = _USED
            deps.append(self._others[edge] if flags or most.version != version else most)
        return tuple(deps)

    def _make_room(self, rows: int) -> None:
        if not 0 <= rows < _MAX_ROWS:
            raise ValueError(f"row id {rows}")
        self.versions = array("q", [UNWRITTEN]) * (rows + 1)
        self._uses = bytearray(rows + 1)
        self._plain = [None] * (rows + 1)  # type: ignore[list-item]  # see there
        self._others.plain = self._plain

    def _undo(self) -> None:
        for node in [each.node for each in self._plain if each]:
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

    def __init__(self, kept: dict[int, tuple[int, int]]) -> None:
        super().__init__()
        self.plain: list[Dep] = []
        self._kept = kept

    def __missing__(self, edge: Edge) -> Dep:
        version, number, _ = edge
        node = self.plain[number].node
        if number in self._kept and self._kept[number][0] == version:
            version = self._kept[number][1]
        made = self[edge] = dep(edge, node, version)
        return made


def named_by(node: Node) -> Iterator[Node]:
    """The nodes that a target's row refers to."""
    named = (each.node for each in node.deps)
    return chain(named, (node.dofile,)) if node.dofile else named


def _is_same(stored: Stamp, known: Stamp) -> bool:
    # Without the same content hash nothing tells whether a racy stamp missed a write: then they are not the same.
    return stored.content == known.content and not source_difference(stored, known)
