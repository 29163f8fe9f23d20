"""What a store remembers: everything, exactly, wherever its workspace is."""

import gc
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from redod.core.graph import Dep, DepKind, Graph, Kind, LogPlace, Node
from redod.core.leaving import is_blank
from redod.core.stamps import DIRECTORY, MISSING, Stamp
from redod.core.verdicts import NEVER_BUILT, Reason, Why
from redod.store.database import Store
from redod.store.lock import Owner, WorkspaceBusy, acquire
from redod.store.workspaces import Workspace

OWNER = Owner(b"/run/s.sock", "here", 1, 2)
FILE = Stamp(1_700_000_000_000_000_001, 2**40, 2**64 - 1, 0o100644, 2**32 - 1, 1000, -5, 2)
LINK = Stamp(1, 2, 3, 0o120777, 0, 0, 4, 1, referent=FILE)
RACY = FILE._replace(content=b"\0hash\n")
DANGLING = LINK._replace(referent=MISSING)
STAMPS = [None, MISSING, DIRECTORY, FILE, RACY, LINK, DANGLING, LINK._replace(referent=RACY, content=b"x")]


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


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    return os.path.realpath(os.fsencode(tmp_path)) + b"/w"


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


def test_a_removed_store_is_written_anew_from_memory(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    leaf = source(graph, root + b"/s")
    for name in (b"/t", b"/u"):
        store.put(target(graph, root + name, leaf))
    store.commit()
    shutil.rmtree(root + b"/.redo")
    store.put(target(graph, root + b"/u", leaf))
    assert "was removed" in store.commit()
    assert Path(os.fsdecode(root), ".redo/.gitignore").exists()
    with pytest.raises(WorkspaceBusy):
        acquire(root + b"/.redo", OWNER)
    store.close()
    again = Graph(9000)
    start(root, again).close()
    assert portraits(again) == portraits(graph)
    os.unlink(root + b"/.redo/redod.sqlite3")
    store = start(root, Graph(9000), observe=lambda _: FILE)
    store.close()
    assert store.loaded.recovered == 2


def test_an_intent_after_the_removal_is_not_lost(root: bytes) -> None:
    store = start(root, Graph(1000))
    store.intend(root + b"/early", FILE)
    shutil.rmtree(root + b"/.redo")
    store.intend(root + b"/late", FILE)
    lines = Path(os.fsdecode(root), ".redo/made").read_bytes().split(b"\n")
    assert [line.rpartition(b" ")[2] for line in lines[1:-1]] == [b"early", b"late"]
    store.close()


def test_somebody_elses_new_store_is_left_alone(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    store.put(target(graph, root + b"/ours"))
    store.commit()
    shutil.rmtree(root + b"/.redo")
    theirs = Graph(5000)
    other = start(root, theirs)
    other.put(target(theirs, root + b"/theirs"))
    other.commit()
    store.put(target(graph, root + b"/ours"))
    with pytest.raises(WorkspaceBusy):
        store.commit()
    assert store.pending
    assert store.is_replaced
    store.close()
    other.put(target(theirs, root + b"/more"))
    other.close()
    again = Graph(9000)
    start(root, again).close()
    assert portraits(again) == portraits(theirs)


def test_a_store_with_nothing_to_write_closes_when_its_workspace_is_gone(root: bytes) -> None:
    store = start(root, Graph(1000))
    shutil.rmtree(root)
    store.close()
    assert not os.path.exists(root)


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
