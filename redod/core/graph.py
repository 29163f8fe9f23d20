"""The graph: every file that builds have named, and what each target was made from.

It knows what was recorded. It does not know what is true on disk now (see `stamps`, `check`), what is being
built (`scheduler`), or how it is stored (`redod.store`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from redod.core.stamps import Stamp

if TYPE_CHECKING:
    from redod.core.verdicts import Reason


class Kind(IntEnum):
    """What a file is to us. The store holds these numbers."""

    UNKNOWN = 0
    """Named by something (an ifcreate, a target that was wanted and never built), never made and never a source."""
    SOURCE = 1
    """Exists, and we did not make it."""
    TARGET = 2
    """The last build that succeeded made it, or found that there is nothing to make (a phony target)."""
    OVERRIDDEN = 3
    """A target that the user edited: a source until it is deleted."""


class DepKind(IntEnum):
    """The store holds these numbers."""

    IFCHANGE = 0
    IFCREATE = 1


class Dep(NamedTuple):
    """One recorded dependency: the other file and its version as the dependent saw it.

    `late`: the file, a source, changed after the job that declares it had started, so the job may have read the older
    bytes. Such a dependency counts as changed once.
    """

    kind: DepKind
    node: "Node"
    version: int
    late: bool = False


class LogPlace(NamedTuple):
    """Where a target's last log is kept: segment number, then offset and length in bytes."""

    segment: int
    offset: int
    length: int

    def packed(self) -> bytes:
        return LOG_PLACE.pack(*self)

    @classmethod
    def unpacked(cls, packed: bytes) -> "LogPlace":
        return cls._make(LOG_PLACE.unpack(packed))


LOG_PLACE = Struct("<IQQ")
"""Packed, as nodes and stores have it, a place takes half of the memory."""


class Node:
    """A file, known by its canonical absolute path.

    `version` names the file's present content: it gets a fresh number whenever the file changes (a source's stamp
    differs, a target was rebuilt without the same checksum), and dependents compare the number they saw.
    Versions are unique across workspaces and restarts, so equality is all they are good for. 0: never seen.
    """

    __slots__ = (
        "always",
        "checksum",
        "dependents",
        "deps",
        "dofile",
        "doubts",
        "kind",
        "listed",
        "log",
        "observed",
        "path",
        "plain",
        "reason",
        "stamp",
        "status",
        "verified",
        "version",
        "watched",
        "workspace",
    )  # fmt: skip

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.kind = Kind.UNKNOWN
        self.stamp: Stamp | None = None
        """As it was last observed (a source) or left by its last build (a target)."""
        self.version = 0
        self.checksum = b""
        """What redo-stamp was given in the last build; empty: it was not called."""
        self.status: int | None = None
        """The last run's status: 0 succeeded, else failed; None: never built, or out of date for sure."""
        self.always = False
        """The last build called redo-always."""
        self.reason: Reason | None = None
        """Why the last build was made."""
        self.dofile: Node | None = None
        """The script of the last build. The names of the search before it were absent then (not stored: they follow
        from the rule).
        """
        self.deps: tuple[Dep, ...] = ()
        """The dofile first, then in the order of declaration."""
        self.log = b""
        """Where the last build's log is, a packed `LogPlace`; empty: nowhere."""
        self.workspace = 0
        """The number of the open workspace whose store holds this target; 0: none yet."""
        self.observed = 0
        """The epoch in which `stamp` was last compared with the disk. Not stored."""
        self.verified = 0
        """A session that began in this epoch or before may take the target for up to date. Not stored."""
        self.watched = False
        """A change since `stamp` was compared with the disk would have been heard of. This and the rest: not stored."""
        self.doubts: set[Node] | frozenset[Node] | None = None
        """See `suspects`: what a target was made from that is not known to be as it was then; None: nothing is known.
        """
        self.dependents: Node | set[Node] | None = None
        """The targets that have `doubts`, if only none, and this file among their dependencies. Derived from those."""
        self.plain: Dep | None = None
        """See `now`."""
        self.listed = False
        """It stands in the graph's `watched`."""

    def __repr__(self) -> str:
        return f"<{self.kind.name} {self.path!r} v{self.version}>"

    @property
    def is_target(self) -> bool:
        return self.kind is Kind.TARGET

    @property
    def now(self) -> Dep:
        """A dependency on its present content: one object for all who have it (a header that all include)."""
        plain = self.plain
        if plain is None or plain.version != self.version:
            plain = self.plain = Dep(DepKind.IFCHANGE, self, self.version)
        return plain


NO_DOUBTS: frozenset[Node] = frozenset()
"""The one empty set of doubts."""


class Graph:
    """All nodes by path, and the source of fresh versions.

    `first_version` is above every version handed out by an earlier graph; microseconds since the epoch do, since no
    daemon
    hands out a million versions a second.
    """

    def __init__(self, first_version: int) -> None:
        self._nodes: dict[bytes, Node] = {}
        self._in_order: list[Node] = []
        """The same, so that one can be picked by its number."""
        self._version = first_version
        self.ended_services: set[Node] = set()
        """Targets whose last build started a process that runs no more. Not stored."""
        self.changes: dict[Node, str] = {}
        """By which field of its stamp a file was last seen to have changed. Not stored."""
        self.watched: dict[bytes, list[Node]] = {}
        """By directory, the nodes that are or were watched."""
        self.arrivals = 0
        """Counts the times when a script may have come that targets had passed over, unless they began to look later.
        """

    def node(self, path: bytes) -> Node:
        """The node of this canonical path; made on first use."""
        found = self._nodes.get(path)
        if found is None:
            found = self._nodes[path] = Node(path)
            self._in_order.append(found)
        return found

    def nodes(self, paths: Sequence[bytes]) -> list[Node]:
        """`node` for many; where none is known yet that takes half of the time."""
        if len(set(paths)) < len(paths) or not self._nodes.keys().isdisjoint(paths):
            return [self.node(path) for path in paths]
        made = [Node(path) for path in paths]
        self._nodes.update(zip(paths, made, strict=True))
        self._in_order += made
        return made

    def remove(self, path: bytes) -> None:
        """The node of this path, to which nothing refers any more, is gone; `tidy` is to follow."""
        node = self._nodes.pop(path)
        node.watched = node.listed = False
        node.plain = None
        self.changes.pop(node, None)

    def tidy(self, directories: Iterable[bytes]) -> None:
        """Nodes of these directories were removed: nothing is kept for them."""
        # Copied, since neither becomes smaller by itself.
        self._nodes = dict(self._nodes)
        self._in_order = list(self._nodes.values())
        for directory in directories:
            left = [node for node in self.watched.pop(directory, ()) if node.listed]
            if left:
                self.watched[directory] = left

    def find(self, path: bytes) -> Node | None:
        return self._nodes.get(path)

    def sample(self, size: int, choose: Callable[[Sequence[Node], int], list[Node]]) -> list[Node]:
        """Some nodes, `size` at most; `choose` takes so many out of a list."""
        return choose(self._in_order, min(size, len(self._in_order)))

    @property
    def version(self) -> int:
        """The last one handed out."""
        return self._version

    def fresh_version(self) -> int:
        self._version += 1
        return self._version

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())
