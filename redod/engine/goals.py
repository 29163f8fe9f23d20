"""The goals: what a save hook may build.

They are the targets that `goals` in redod.toml names, those that somebody watches, and those that a redo-ifchange on a
command line has asked for; never those of a plain `redo X`, which may be install or clean. What was asked for is kept
in `.redo/goals`, a few names, so that it outlives the server. Whether a goal depends on a file is not known here.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable

from redod.core.graph import Graph, Kind, Node
from redod.core.paths import join, relative
from redod.engine.stores import OpenWorkspace, Stores
from redod.store.ownership import replace_file

_MOST = 100
"""Names that are kept for a workspace; the oldest go first."""
_log = logging.getLogger(__name__)


class Goals:
    """`watched`: how many clients watch each target."""

    def __init__(self, graph: Graph, stores: Stores) -> None:
        self.watched: Counter[Node] = Counter()
        self._graph = graph
        self._stores = stores
        self._asked: dict[bytes, dict[bytes, None]] = {}
        """By the store's directory: names relative to the root, the oldest first."""
        stores.on_renew.append(self._keep)

    def asked(self, nodes: Iterable[Node]) -> None:
        """A command line has asked for these; what is no target, or never ran, is none of its goals."""
        for node in list(nodes)[:_MOST]:
            workspace = self._stores.of(node)
            if workspace is None or (node.kind is not Kind.TARGET and node.status is None):
                continue
            known, name = self._known(workspace), relative(node.path, workspace.root)
            if name not in known:
                known[name] = None
                while len(known) > _MOST:
                    del known[next(iter(known))]
                _write(workspace.directory, known)

    def __call__(self) -> list[Node]:
        """The goals of the open workspaces. Raises ConfigError."""
        found = dict.fromkeys(+self.watched)
        for workspace in self._stores:
            names = [os.fsencode(name) for name in self._stores.configs.read(workspace.root).goals]
            names += self._known(workspace)
            found.update((self._graph.node(join(workspace.root, name)), None) for name in names)
        return list(found)

    def workspaces(self, goals: Iterable[Node] | None = None) -> set[bytes]:
        """The roots of the open workspaces of these goals (None: of what is watched), and of those that they need."""
        numbers = {node.workspace for node in (+self.watched if goals is None else goals)}
        todo = [workspace for workspace in self._stores if workspace.number in numbers]
        found: set[bytes] = set()
        while todo:
            here = todo.pop()
            if here.root not in found:
                found.add(here.root)
                todo += [workspace for workspace in map(self._stores.at, here.needs) if workspace is not None]
        return found

    def _keep(self, workspace: OpenWorkspace) -> None:
        known = self._asked.get(workspace.directory)
        if known:
            _write(workspace.directory, known)

    def _known(self, workspace: OpenWorkspace) -> dict[bytes, None]:
        known = self._asked.get(workspace.directory)
        if known is None:
            known = self._asked[workspace.directory] = _read(workspace.directory)
        return known


def _read(directory: bytes) -> dict[bytes, None]:
    try:
        with open(directory + b"/goals", "rb") as file:
            names = file.read(1 << 20).split(b"\0")
    except OSError:
        return {}
    return dict.fromkeys(name for name in names[-_MOST - 1 :] if name and not name.startswith(b"/"))


def _write(directory: bytes, names: Iterable[bytes]) -> None:
    """A goal that is not kept has to be asked for again: no more than that."""
    path = directory + b"/goals"
    try:
        replace_file(path, b"".join(name + b"\0" for name in names))
    except OSError as error:
        _log.warning("cannot keep the goals in %s: %s", os.fsdecode(path), error.strerror)
