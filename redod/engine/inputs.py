"""The files that some targets are made from, and which of them are not as the graph has them.

It looks at the disk and changes nothing; a build decides what a difference means.
"""

import asyncio
import time
from collections.abc import Iterable

from redod.core.graph import Graph, Kind, Node
from redod.core.paths import directory_of, is_below, name_of
from redod.core.stamps import difference, source_difference
from redod.engine.tasks import SLICE
from redod.files.observe import ObserveError, observe, observe_source


class Inputs:
    """Everything below `goals`: gathered once after each build, since builds change what targets are made from."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes: set[Node] = set()
        self.unwatched: list[bytes] = []
        """Those of which no news would come when they were gathered."""

    def __contains__(self, node: Node) -> bool:
        return node in self._nodes

    async def gather(self, goals: Iterable[Node]) -> None:
        """Walk down from the goals."""
        found = set(goals)
        todo = list(found)
        deadline = time.monotonic() + SLICE
        while todo:
            for dep in todo.pop().deps:
                if dep.node not in found:
                    found.add(dep.node)
                    todo.append(dep.node)
            if time.monotonic() > deadline:
                await asyncio.sleep(0)
                deadline = time.monotonic() + SLICE
        self._nodes = found
        self.unwatched = [node.path for node in found if not node.watched and node.stamp is not None]

    def all(self) -> list[bytes]:
        return [node.path for node in self._nodes]

    def matter(self, paths: Iterable[bytes]) -> list[bytes]:
        """Those of these paths that may mean something to the goals."""
        return [path for path in paths if self._graph.find(path) in self._nodes or self._may_be_script(path)]

    def changed(self, paths: Iterable[bytes]) -> list[bytes]:
        """Those of these paths that are not as they were when the goals were built."""
        found = []
        for path in paths:
            node = self._graph.find(path)
            if _differs(node) if node in self._nodes and node is not None else self._may_be_script(path):
                found.append(path)
        return found

    def _may_be_script(self, path: bytes) -> bool:
        """A script that comes before the one that a target has, or the first."""
        if not path.endswith(b".do"):
            return False
        name, directory = name_of(path), directory_of(path)
        if not name.startswith(b"default."):
            return self._graph.find(path.removesuffix(b".do")) in self._nodes
        extension = name[len(b"default") : -len(b".do")]
        return any(
            node.kind is not Kind.SOURCE and node.path.endswith(extension) and is_below(node.path, directory)
            for node in self._nodes
        )


def _differs(node: Node) -> bool:
    try:
        if node.stamp is None:
            return observe(node.path).exists
        if node.kind is Kind.TARGET:
            return bool(difference(node.stamp, observe(node.path)))
        return bool(source_difference(node.stamp, observe_source(node.path, time.time_ns(), node.stamp)))
    except ObserveError:
        return True
