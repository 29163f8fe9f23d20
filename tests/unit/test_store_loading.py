"""Reading a store into a graph: rows of other versions, nodes of other stores, what is known between two steps."""

import gc
import shutil
import sqlite3

import pytest

from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.core.leaving import is_blank
from redod.core.stamps import Stamp
from redod.core.verdicts import NEVER_BUILT
from redod.store.database import Store
from tests.unit.stores import FILE, LINK, OWNER, RACY, nothing, portrait, portraits, source, start, target, workspace


def test_a_store_of_the_schema_without_reasons_is_read(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    built = target(graph, root + b"/t", source(graph, root + b"/s"))
    store.put(built)
    store.close()
    connection = sqlite3.connect(root + b"/.redo/redod.sqlite3", isolation_level=None)
    connection.execute("ALTER TABLE node DROP COLUMN reason")
    connection.execute("PRAGMA user_version=1")
    connection.close()
    again = Graph(9000)
    older = start(root, again)
    assert portraits(again) == portraits(graph)
    assert older.loaded.notice == ""
    again.node(root + b"/t").reason = NEVER_BUILT
    older.put(again.node(root + b"/t"))
    older.close()
    newest = Graph(9000)
    start(root, newest).close()
    assert newest.node(root + b"/t").reason == NEVER_BUILT


def test_a_reason_of_a_later_version_is_forgotten(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    built = target(graph, root + b"/t")
    built.reason = NEVER_BUILT
    store.put(built)
    store.close()
    connection = sqlite3.connect(root + b"/.redo/redod.sqlite3", isolation_level=None)
    connection.execute("UPDATE node SET reason = CAST(replace(reason, 'NEVER', 'SELDOM') AS BLOB)")
    connection.close()
    again = Graph(9000)
    start(root, again).close()
    assert again.node(root + b"/t").reason is None
    assert again.node(root + b"/t").kind is Kind.TARGET


def test_another_workspaces_target_is_stored_by_name_alone(root: bytes) -> None:
    graph = Graph(1000)
    ours, theirs = start(root + b"/ours", graph, 1), start(root + b"/theirs", graph, 2)
    library = target(graph, root + b"/theirs/lib", number=2)
    program = target(graph, root + b"/ours/prog", library)
    ours.put(program)
    theirs.put(library)
    ours.close()
    theirs.close()
    again = Graph(9000)
    start(root + b"/ours", again, 2).close()
    bare = again.node(root + b"/theirs/lib")
    assert portrait(bare) == portrait(Node(bare.path))
    start(root + b"/theirs", again, 1).close()
    assert (bare.kind, bare.version, bare.workspace) == (Kind.TARGET, library.version, 1)
    assert again.node(root + b"/ours/prog").deps == (Dep(DepKind.IFCHANGE, bare, library.version),)


def two_stores_with_one_source(root: bytes, first: Stamp, second: Stamp) -> None:
    for name, stamp, version in ((b"/a", first, 1000), (b"/b", second, 2000)):
        graph = Graph(version)
        store = start(root + name, graph)
        shared = source(graph, b"/shared", stamp)
        store.put(target(graph, root + name + b"/t", shared))
        store.put(target(graph, root + name + b"/u", shared))
        store.close()


def load_both(root: bytes) -> tuple[Graph, Store, Store]:
    graph = Graph(9000)
    return graph, start(root + b"/a", graph, 1), start(root + b"/b", graph, 2)


def test_equal_stamps_give_one_version_in_two_stores_and_stay_so(root: bytes) -> None:
    two_stores_with_one_source(root, FILE, FILE)
    graph, a, b = load_both(root)
    version = graph.node(b"/shared").version
    assert [graph.node(root + name).deps[0].version for name in (b"/a/t", b"/b/t", b"/b/u")] == [version] * 3
    # Only one of b's targets is built; the other must not come out as changed at the next start.
    b.put(target(graph, root + b"/b/t", graph.node(b"/shared"), number=2))
    a.close()
    b.close()
    alone = Graph(9000)
    start(root + b"/b", alone).close()
    shared = alone.node(b"/shared")
    assert [alone.node(root + name).deps[0].version for name in (b"/b/t", b"/b/u")] == [shared.version] * 2


@pytest.mark.parametrize(
    ("one", "other"), [(FILE, LINK), (FILE, RACY), (FILE._replace(nlink=1), FILE._replace(nlink=1, ctime_ns=0))]
)
def test_another_stamp_leaves_the_second_stores_targets_changed(root: bytes, one: Stamp, other: Stamp) -> None:
    two_stores_with_one_source(root, one, other)
    graph, a, b = load_both(root)
    shared = graph.node(b"/shared")
    assert shared.stamp == one
    assert graph.node(root + b"/a/t").deps[0].version == shared.version
    assert graph.node(root + b"/b/t").deps[0].version != shared.version
    a.close()
    b.close()


def test_what_the_graph_has_observed_stands(root: bytes) -> None:
    two_stores_with_one_source(root, FILE, FILE)
    graph = Graph(9000)
    shared = source(graph, b"/shared", LINK)
    version = shared.version
    start(root + b"/a", graph).close()
    assert (shared.stamp, shared.version) == (LINK, version)
    assert graph.node(root + b"/a/t").deps[0].version != version


def test_between_two_steps_of_a_load_a_target_is_blank_or_all_of_it_is_known(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    script = source(graph, root + b"/default.do")
    for number in range(1200):
        made = target(graph, root + b"/%d" % number, script, source(graph, root + b"/%d.c" % number))
        made.dofile = script
        store.put(made)
    store.close()
    expected = {node.path: portrait(node) for node in graph}
    again = Graph(9000)
    loading = Store(workspace(root), 1, again, OWNER, nothing)
    counts = []
    for _ in loading.load():
        known = [node for node in again if not is_blank(node)]
        assert all(portrait(node) == expected[node.path] for node in known)
        counts.append(len(known))
    assert len({count for count in counts if 1201 < count < 2401}) > 1
    assert {node.path: portrait(node) for node in again} == expected
    loading.close()


def test_a_load_that_is_given_up_leaves_the_lock_as_it_was_found(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    store.put(target(graph, root + b"/t"))
    shutil.copy(root + b"/.redo/lock", root + b"/killed")
    store.close()
    shutil.copy(root + b"/killed", root + b"/.redo/lock")
    steps = (given_up := Store(workspace(root), 1, Graph(9000), OWNER, nothing)).load()
    assert given_up.predecessor == OWNER
    next(steps)
    steps.close()
    after = start(root, Graph(9000))
    assert after.predecessor == OWNER
    after.close()


def test_the_collector_runs_again_after_a_load(root: bytes) -> None:
    assert gc.isenabled()
    start(root, Graph(1000)).close()
    assert gc.isenabled()
