"""What a store remembers: everything, exactly, wherever its workspace is."""

import os
import sqlite3

import pytest

from redod.core.graph import Dep, DepKind, Graph, Kind, LogPlace, Node
from redod.core.stamps import DIRECTORY, MISSING
from redod.core.verdicts import NEVER_BUILT, Reason, Why
from redod.store.lock import WorkspaceBusy
from tests.unit.stores import FILE, LINK, RACY, portrait, portraits, source, start, target

DANGLING = LINK._replace(referent=MISSING)
STAMPS = [None, MISSING, DIRECTORY, FILE, RACY, LINK, DANGLING, LINK._replace(referent=RACY, content=b"x")]


def test_everything_is_read_back(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    names = [b"plain", b"dir/\xff\xfe name", b"new\nline", b"-dash", b".hidden"]
    files = [source(graph, root + b"/" + name, stamp) for name, stamp in zip(names, STAMPS[1:], strict=False) if stamp]
    files += [
        source(graph, b"/outside/\xff.h"),
        source(graph, root),
        source(graph, os.path.dirname(root) + b"/sibling"),
    ]
    absent = graph.node(root + b"/absent")
    absent.stamp = MISSING
    full = target(graph, root + b"/full", *files)
    full.deps += (Dep(DepKind.IFCREATE, absent, 0), Dep(DepKind.IFCHANGE, files[0], 7, late=True))
    full.dofile, full.log, full.checksum, full.always = files[1], LogPlace(3, 2**40, 17).packed(), b"\0sum", True
    failed = target(graph, root + b"/failed")
    failed.kind, failed.status, failed.stamp = Kind.UNKNOWN, 206, None
    full.reason, failed.reason = Reason(Why.CHANGED, files[1].path, "mtime"), Reason(Why.LATE, b"/outside/\xff.h")
    edited = target(graph, root + b"/edited", full)
    edited.kind, edited.status, edited.reason = Kind.OVERRIDDEN, None, NEVER_BUILT
    for node in (full, failed, edited):
        store.put(node)
    store.commit()
    expected = portraits(graph)
    store.close()
    again = Graph(9000)
    start(root, again).close()
    assert portraits(again) == expected


def test_pending_tells_whether_a_commit_has_something_to_do(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    assert not store.pending
    store.put(target(graph, root + b"/t"))
    assert store.pending
    assert store.commit() == ""
    assert not store.pending
    store.close()


def test_the_state_at_the_commit_is_written_not_that_at_the_put(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    node = target(graph, root + b"/t")
    store.put(node)
    node.checksum = b"later"
    store.close()
    again = Graph(9000)
    start(root, again).close()
    assert again.node(root + b"/t").checksum == b"later"


def test_a_named_file_is_written_again_when_its_version_is_another(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    header = source(graph, root + b"/h")
    first, second = target(graph, root + b"/1", header), target(graph, root + b"/2", header)
    store.put(first)
    store.put(second)
    store.commit()
    old = header.version
    source(graph, root + b"/h", LINK)
    store.put(target(graph, root + b"/1", header))
    store.close()
    again = Graph(9000)
    start(root, again).close()
    found = again.node(root + b"/h")
    assert (found.version, found.stamp) == (header.version, LINK)
    assert again.node(root + b"/1").deps[0].version == header.version
    assert again.node(root + b"/2").deps[0].version == old


def test_a_named_target_that_nobody_put_comes_with_all_that_it_names(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    leaf = source(graph, root + b"/leaf")
    middle = target(graph, root + b"/middle", leaf)
    store.put(target(graph, root + b"/top", middle))
    store.close()
    again = Graph(9000)
    start(root, again).close()
    assert portraits(again) == portraits(graph)


def test_a_target_that_became_a_source_is_one(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    node = target(graph, root + b"/t", source(graph, root + b"/s"))
    store.put(node)
    store.commit()
    node.kind, node.workspace, node.deps, node.status = Kind.SOURCE, 0, (), None
    store.put(node)
    store.close()
    again = Graph(9000)
    start(root, again).close()
    found = again.node(root + b"/t")
    assert (found.kind, found.workspace, found.deps) == (Kind.SOURCE, 0, ())


def test_a_moved_workspace_works_in_its_new_place(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    store.put(target(graph, root + b"/d/t", source(graph, root + b"/s"), source(graph, b"/usr/include/x.h")))
    store.intend(root + b"/lost", FILE)
    store.commit()
    store.close()
    moved = os.path.dirname(root) + b"/elsewhere/deeper"
    os.makedirs(os.path.dirname(moved))
    os.rename(root, moved)
    again = Graph(9000)
    start(moved, again, observe=lambda path: FILE if path == moved + b"/lost" else MISSING).close()
    found = again.node(moved + b"/d/t")
    assert [dep.node.path for dep in found.deps] == [moved + b"/s", b"/usr/include/x.h"]
    assert again.node(moved + b"/lost").kind is Kind.TARGET
    assert again.find(root + b"/d/t") is None


def test_a_store_has_one_owner(root: bytes) -> None:
    store = start(root, Graph(1000))
    with pytest.raises(WorkspaceBusy):
        start(root, Graph(1000))
    store.close()
    start(root, Graph(1000)).close()


def test_rows_that_nothing_names_go_away(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    many = [source(graph, root + b"/s%d" % i) for i in range(3000)]
    store.put(target(graph, root + b"/t", *many))
    store.commit()
    store.put(target(graph, root + b"/t", many[5]))
    store.close()
    again = Graph(9000)
    store = start(root, again)
    store.put(again.node(root + b"/t"))
    store.commit()
    store.put(target(again, root + b"/t", *(again.node(each.path) for each in many[5:7])))
    store.close()
    last = Graph(9000)
    start(root, last).close()
    assert {node.path for node in last} == {root + b"/t", root + b"/s5", root + b"/s6"}


def test_forget_keeps_what_is_ours_and_nothing_else(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph, observe=lambda path: FILE if path == root + b"/t" else MISSING)
    node = target(graph, root + b"/t", source(graph, root + b"/s"))
    phony = target(graph, root + b"/phony", stamp=MISSING)
    store.intend(node.path, FILE)
    store.put(node)
    store.put(phony)
    store.commit()
    assert store.forget() == 1
    assert (node.kind, node.status, node.deps, node.stamp) == (Kind.TARGET, None, (), FILE)
    assert portrait(phony) == portrait(Node(phony.path))
    store.close()
    store = start(root, Graph(9000))
    store.close()
    assert store.loaded.targets == 1


def test_a_checkpoint_empties_the_write_ahead_log(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    store.put(target(graph, root + b"/t"))
    store.commit()
    assert os.path.getsize(root + b"/.redo/redod.sqlite3-wal") > 0
    store.checkpoint()
    assert os.path.getsize(root + b"/.redo/redod.sqlite3-wal") == 0
    store.close()
    with sqlite3.connect(root + b"/.redo/redod.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM node").fetchone() == (1,)
    database.close()
