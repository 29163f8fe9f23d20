"""Large workspaces that were never built: a store is written, and hardly any file."""

import os
import time
from pathlib import Path

from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.core.stamps import MISSING, Stamp
from redod.store.database import Store
from redod.store.lock import Owner
from redod.store.workspaces import Workspace


def record(directory: Path, targets: int) -> None:
    """A workspace whose store has so many targets, of a source each, all by one script."""
    (directory / ".redo").mkdir(parents=True)
    top, graph = os.fsencode(directory), Graph(time.time_ns() // 1000)
    store = Store.open(Workspace(top, top + b"/.redo"), 1, graph, Owner(b"", "", 0, 0), lambda _: MISSING)
    script = _file(graph, top + b"/default.o.do")
    for number in range(targets):
        target = _file(graph, top + b"/f%d.o" % number)
        source = _file(graph, top + b"/f%d.c" % number)
        target.kind, target.status, target.workspace, target.dofile = Kind.TARGET, 0, 1, script
        target.deps = tuple(Dep(DepKind.IFCHANGE, each, each.version) for each in (script, source))
        store.put(target)
    store.close()


def _file(graph: Graph, path: bytes) -> Node:
    node = graph.node(path)
    node.kind, node.version = Kind.SOURCE, graph.fresh_version()
    node.stamp = Stamp(node.version, 1, node.version, 0o100644, 0, 0, node.version, 1)
    return node
