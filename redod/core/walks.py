"""Walks over the recorded graph for those who ask what is known: what lies below files, and which targets lie above.

They decide nothing and are iterative. Each is a generator: who drives it may let others go on between two items.
"""

from collections.abc import Iterable, Iterator

from redod.core.dofiles import candidates
from redod.core.graph import DepKind, Node
from redod.core.paths import directory_of, is_below

_PIECE = 1000
"""Dependencies to go through at a time."""


def below(roots: Iterable[Node], *, recursive: bool) -> Iterator[Node]:
    """The roots and what they depend on (not on what must not exist), each once. `recursive`: all the way down."""
    todo = list(dict.fromkeys(roots))
    seen = set(todo)
    yield from todo
    for node in todo:
        for dep in node.deps:
            if dep.kind is DepKind.IFCHANGE and dep.node not in seen:
                seen.add(dep.node)
                yield dep.node
                if recursive:
                    # The loop goes on over what is appended.
                    todo.append(dep.node)


class Dependents:
    """Which targets depend on a file, be it on its content or on its absence. Derived from the targets added."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[Node, Node | list[Node]] = {}
        """Most files have one dependent: a list for each would be most of the memory."""

    def add(self, target: Node) -> Iterator[None]:
        """To be driven to its end."""
        for start in range(0, len(target.deps), _PIECE):
            for _, node, _, _ in target.deps[start : start + _PIECE]:
                found = self._found.get(node)
                if found is None:
                    self._found[node] = target
                elif isinstance(found, list):
                    found.append(target)
                elif found is not target:
                    self._found[node] = [found, target]
            yield

    def of(self, node: Node) -> list[Node]:
        found = self._found.get(node, [])
        return found if isinstance(found, list) else [found]

    def above(self, files: Iterable[Node], first: Iterable[Node] = ()) -> Iterator[set[Node]]:
        """The targets that depend on these files: the nearest, then those that depend on them, and so on.

        `first`: more that are nearest.
        """
        known = set(files)
        level = {target for node in known for target in self.of(node)}.union(first)
        while level := level - known:
            known |= level
            yield level
            level = {target for node in level for target in self.of(node)}


def passes_over(target: Node, path: bytes) -> bool:
    """Whether a file of this path, were it there, would be the target's script instead of the recorded one."""
    if target.dofile is None or not is_below(target.path, directory_of(path)):
        return False
    for candidate in candidates(target.path):
        if candidate.path == target.dofile.path:
            return False
        if candidate.path == path:
            return True
    return False
