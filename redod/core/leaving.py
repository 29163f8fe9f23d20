"""Leaving the graph: what was known of one workspace is forgotten, and its files go.

It owns which nodes may go: those to which nothing refers but the graph. Whatever else needs one (a target of another
workspace that was made from it, a session, somebody who watches it) keeps it, blank. It does not know why a workspace
is given up.
"""

from collections.abc import Generator
from sys import getrefcount

from redod.core.graph import Graph, Kind, Node
from redod.core.paths import directory_of
from redod.core.suspects import distrust, suspect

_SOME = 100
"""Nodes of one step: less than a millisecond."""


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


class Leaving:
    """`workspace`: the number of the one that leaves. `paths`: of all files that its store names.

    Builds elsewhere may go on between two steps. Afterwards `directories` has those in which no file is watched now.
    """

    def __init__(self, graph: Graph, workspace: int, paths: list[bytes]) -> None:
        self._graph = graph
        self.workspace = workspace
        self._paths = paths
        self.directories: list[bytes] = []

    def steps(self) -> Generator[None, None, None]:
        graph, paths = self._graph, self._paths
        for start in range(0, len(paths), _SOME):
            for node in map(graph.find, paths[start : start + _SOME]):
                if node is not None and node.workspace == self.workspace:
                    blank(node)
            # Or the last one would be held while the others are looked at.
            node = None
            yield
        directories: set[bytes] = set()
        for start in range(0, len(paths), _SOME):
            for path in paths[start : start + _SOME]:
                if _references(graph, path) == _ALONE:
                    graph.remove(path)
                    directories.add(directory_of(path))
            yield
        self._paths = []
        graph.tidy(directories)
        self.directories = [directory for directory in directories if directory not in graph.watched]


def _references(graph: Graph, path: bytes) -> int:
    """How many refer to a node, beside those of the graph's own that not every node has; 0: there is none."""
    node = graph.find(path)
    if node is None:
        return 0
    # A dependency on it that is anybody's refers to it still.
    node.plain = None
    return getrefcount(node) - node.listed - (node in graph.changes)


def _alone() -> int:
    """The interpreter's number for a node to which nothing refers but its graph. It counts what looks, too."""
    graph = Graph(0)
    graph.node(b"/")
    return _references(graph, b"/")


_ALONE = _alone()
