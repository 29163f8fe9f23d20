"""Stores with targets and sources in them, and all that is known of a node, to compare."""

import os
from collections.abc import Callable

from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.core.stamps import MISSING, Stamp
from redod.store.database import Store
from redod.store.lock import Owner
from redod.store.workspaces import Workspace

OWNER = Owner(b"/run/s.sock", "here", 1, 2)
FILE = Stamp(1_700_000_000_000_000_001, 2**40, 2**64 - 1, 0o100644, 2**32 - 1, 1000, -5, 2)
LINK = Stamp(1, 2, 3, 0o120777, 0, 0, 4, 1, referent=FILE)
RACY = FILE._replace(content=b"\0hash\n")


def nothing(_: bytes) -> Stamp:
    return MISSING


def workspace(root: bytes) -> Workspace:
    os.makedirs(root + b"/.redo", exist_ok=True)
    return Workspace(root, root + b"/.redo")


def start(root: bytes, graph: Graph, number: int = 1, observe: Callable[[bytes], Stamp] = nothing) -> Store:
    return Store.open(workspace(root), number, graph, OWNER, observe)


def source(graph: Graph, path: bytes, stamp: Stamp = FILE) -> Node:
    node = graph.node(path)
    node.kind, node.stamp, node.version = Kind.SOURCE, stamp, graph.fresh_version()
    return node


def target(graph: Graph, path: bytes, *deps: Node, number: int = 1, stamp: Stamp = FILE) -> Node:
    node = graph.node(path)
    node.kind, node.stamp, node.version, node.status = Kind.TARGET, stamp, graph.fresh_version(), 0
    node.workspace = number
    node.deps = tuple(Dep(DepKind.IFCHANGE, each, each.version) for each in deps)
    return node


Portrait = tuple[object, ...]


def portrait(node: Node) -> Portrait:
    """All that is known of a node, the nodes it names by their paths."""
    deps = tuple((dep.kind, dep.node.path, dep.version, dep.late) for dep in node.deps)
    dofile = node.dofile.path if node.dofile else None
    plain = (getattr(node, name) for name in Node.__slots__ if name not in ("deps", "dofile", "plain"))
    return (*plain, dofile, deps)


def portraits(graph: Graph) -> set[Portrait]:
    return {portrait(node) for node in graph}
