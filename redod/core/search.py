"""Walks of one step: the search for a dofile, and the look at a target that must run in any case.

Like a `Check` they ask (`run` returns paths), are told (`observed`) and answer.
"""

from redod.core.dofiles import Candidate, by_directory
from redod.core.graph import Graph, Kind, Node
from redod.core.settle import settle
from redod.core.stamps import Moment, Stamp
from redod.core.suspects import is_watchable
from redod.core.verdicts import FORCED, Clean, Dirty, Source


class NoDofile:
    """The search ended without one."""


class Search:
    """Looks for the dofile of `node`, one directory at a time, as the disk is now."""

    __slots__ = ("_asked", "_directories", "_graph", "_result", "arrivals", "changed", "is_watched", "node")

    def __init__(self, graph: Graph, node: Node) -> None:
        self.node = node
        self.changed: list[Node] = []
        self.arrivals = graph.arrivals
        self.is_watched = True
        """Of a script that comes under one of the names passed over it would be told, that is, counted as arrival."""
        self._graph = graph
        self._directories = by_directory(node.path)
        self._asked: list[Candidate] = []
        self._result: Candidate | None = None

    def run(self) -> Candidate | NoDofile | list[bytes]:
        if self._result is not None:
            return self._result
        self._asked = next(self._directories, [])
        return [candidate.path for candidate in self._asked] or NoDofile()

    def observed(self, stamps: list[Stamp], moment: Moment) -> None:
        for candidate, stamp in zip(self._asked, stamps, strict=False):
            if stamp.leads_to_file:
                node = self._graph.node(candidate.path)
                if settle(self._graph, node, stamp, moment):
                    self.changed.append(node)
                self._result = candidate
                return
            self.is_watched &= candidate.directory in moment.watched and is_watchable(stamp)
            known = self._graph.find(candidate.path)
            # Or a script that comes there later would seem to be the one that the graph knows (see `suspects.heard`).
            if known is not None and known.kind is not Kind.TARGET and settle(self._graph, known, stamp, moment):
                self.changed.append(known)


class Look:
    """Looks at the target only: what `redo X` does, which runs X unless it is a source."""

    __slots__ = ("_graph", "_looked", "changed", "node")

    def __init__(self, graph: Graph, node: Node) -> None:
        self.node = node
        self.changed: list[Node] = []
        self._graph = graph
        self._looked = False

    def run(self) -> Source | Dirty | Clean | list[bytes]:
        if not self._looked:
            return [self.node.path]
        node = self.node
        if node.kind is not Kind.TARGET and node.stamp is not None and node.stamp.exists:
            return Source(edited=node.kind is Kind.OVERRIDDEN)
        return Dirty(FORCED)

    def observed(self, stamps: list[Stamp], moment: Moment) -> None:
        self._looked = True
        if settle(self._graph, self.node, stamps[0], moment):
            self.changed.append(self.node)
