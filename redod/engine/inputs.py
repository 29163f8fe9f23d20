"""The files that some targets are made from, and which of them are not as the graph has them.

It decides nothing: a build finds out what a difference means.
"""

import asyncio
import time
from collections.abc import Collection, Iterable

from redod.core.graph import Graph, Kind, Node
from redod.core.paths import directory_of, is_below, name_of
from redod.engine.judging import Judging
from redod.engine.tasks import SLICE
from redod.files.observe import ObserveError


class Inputs:
    """Everything below `goals`: gathered once after each build, since builds change what targets are made from."""

    def __init__(self, graph: Graph, judging: Judging) -> None:
        self._graph = graph
        self._judging = judging
        self._nodes: set[Node] = set()
        self.directories: frozenset[bytes] = frozenset()
        """Those that hold them."""
        self.unwatched: list[bytes] = []
        """Those of which no news would come when they were gathered."""
        self._scripts: set[bytes] = {b""}
        """Those that were found to have come, though a build may not get to their targets."""

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
        self.directories = frozenset([directory_of(node.path) for node in found])
        self.see()

    def see(self) -> None:
        """Which of them are watched by now."""
        self.unwatched = [node.path for node in self._nodes if not node.watched and node.stamp is not None]

    def within(self, directories: Collection[bytes]) -> list[bytes]:
        """Those that these directories hold."""
        if self.directories.isdisjoint(directories):
            return []
        return [node.path for node in self._nodes if directory_of(node.path) in directories]

    def matter(self, paths: Iterable[bytes]) -> list[bytes]:
        """Those of these paths that may mean something to the goals."""
        return [path for path in paths if self._graph.find(path) in self._nodes or self._may_be_script(path)]

    def changed(self, paths: Iterable[bytes]) -> list[bytes]:
        """What is not as the graph had it: those of these paths, and scripts that would come before theirs. Each change
        is told once. News of what comes later follow, where that is possible.
        """
        found: dict[bytes, None] = {}
        absent: set[bytes] = set()
        for path in paths:
            node = self._graph.find(path)
            if node in self._nodes and node is not None:
                if self._judging.has_changed(node):
                    found[path] = None
                elif script := self._new_script(node, absent):
                    found[script] = None
            elif self._may_be_script(path):
                found[path] = None
        return list(found)

    def _new_script(self, node: Node, absent: set[bytes]) -> bytes:
        try:
            script = self._judging.script_before(node, absent)
        except ObserveError:
            return b""
        if script in self._scripts:
            return b""
        self._scripts.add(script)
        return script

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
