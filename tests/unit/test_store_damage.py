"""A damaged store: set aside, told, and what it had made is known as ours all the same."""

import os
import random
import resource
import signal
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.core.stamps import DIRECTORY, MISSING, Stamp
from redod.store import StoreError
from redod.store.database import Loaded, Store
from redod.store.lock import Owner
from redod.store.tables import KEPT
from redod.store.workspaces import Workspace

OWNER = Owner(b"/run/s.sock", "here", 1, 2)
FILE = Stamp(1_700_000_000_000_000_001, 100, 4711, 0o100644, 1000, 1000, 5, 1)
TARGETS = 300


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    root = os.path.realpath(os.fsencode(tmp_path))
    os.mkdir(root + b"/.redo")
    return root


def stamp_of(path: bytes) -> Stamp:
    return FILE._replace(inode=int(path.rpartition(b"t")[2]))


def as_made(path: bytes) -> Stamp:
    return stamp_of(path) if b"/t" in path else MISSING


def start(root: bytes, graph: Graph, observe: Callable[[bytes], Stamp] = as_made) -> Store:
    return Store.open(Workspace(root, root + b"/.redo"), 1, graph, OWNER, observe)


def load(root: bytes, observe: Callable[[bytes], Stamp] = as_made) -> tuple[Graph, Loaded]:
    graph = Graph(10_000_000)
    store = start(root, graph, observe)
    store.close()
    return graph, store.loaded


def build(store: Store, graph: Graph, path: bytes) -> Node:
    source = graph.node(path + b".c")
    source.kind, source.stamp, source.version = Kind.SOURCE, FILE, graph.fresh_version()
    node = graph.node(path)
    store.intend(path, stamp_of(path))
    node.kind, node.stamp, node.version, node.status = Kind.TARGET, stamp_of(path), graph.fresh_version(), 0
    node.workspace, node.deps = 1, (Dep(DepKind.IFCHANGE, source, source.version),)
    store.put(node)
    return node


def fill(root: bytes) -> Graph:
    graph = Graph(1000)
    store = start(root, graph)
    for number in range(TARGETS):
        build(store, graph, root + b"/t%d" % number)
    store.close()
    return graph


def database(root: bytes) -> Path:
    return Path(os.fsdecode(root), ".redo/redod.sqlite3")


def garble(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(20_000))


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_in_the_head(path: Path) -> None:
    os.truncate(path, 50)


def garble_the_middle(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:8192] + random.Random(1).randbytes(8192) + content[16384:])


def execute(statement: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(statement)
        connection.close()

    damage.__name__ = statement
    return damage


DAMAGES = [
    garble,
    cut_in_half,
    cut_in_the_head,
    garble_the_middle,
    execute("PRAGMA user_version=99"),
    execute("DROP TABLE node"),
    execute("DROP TABLE made"),
    execute("DELETE FROM made"),
    execute("UPDATE node SET edges = x'0102' WHERE id = 100"),
    execute("UPDATE node SET edges = x'00000000000000000011110000' WHERE edges IS NOT NULL"),
    execute("UPDATE node SET stamp = x'01' WHERE id = 100"),
    execute("UPDATE node SET stamp = 'text' WHERE id = 101"),
    execute("UPDATE node SET kind = 77 WHERE id = 100"),
    execute("UPDATE node SET version = 'x' WHERE id = 100"),
    execute("UPDATE node SET name = 12 WHERE id = 100"),
    execute("UPDATE node SET id = 9000000000000 WHERE id = 100"),
    execute("UPDATE node SET id = -1 WHERE id = 100"),
    execute("UPDATE node SET dofile = 999999 WHERE edges IS NOT NULL"),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_after_damage_what_we_made_is_ours_and_out_of_date(root: bytes, damage: Callable[[Path], None]) -> None:
    fill(root)
    damage(database(root))
    graph, loaded = load(root)
    assert (loaded.targets, loaded.recovered) == (0, TARGETS)
    assert "redod.sqlite3.damaged-1" in loaded.notice
    for number in range(TARGETS):
        node = graph.node(root + b"/t%d" % number)
        assert (node.kind, node.status, node.workspace) == (Kind.TARGET, None, 1)
        assert node.stamp == stamp_of(node.path)
    assert not any(node.kind is Kind.SOURCE for node in graph)
    assert load(root)[1] == Loaded(TARGETS, 0, "")


def test_an_empty_database_is_a_new_one_that_the_journal_fills(root: bytes) -> None:
    fill(root)
    os.truncate(database(root), 0)
    assert load(root)[1].recovered == TARGETS


def test_a_file_that_is_not_as_we_made_it_is_not_ours(root: bytes) -> None:
    fill(root)
    garble(database(root))

    def edited(path: bytes) -> Stamp:
        return as_made(path)._replace(size=1) if path == root + b"/t7" else as_made(path)

    graph, loaded = load(root, edited)
    assert loaded.recovered == TARGETS - 1
    assert graph.node(root + b"/t7").kind is Kind.UNKNOWN


def test_a_file_that_cannot_be_looked_at_is_left_out(root: bytes) -> None:
    fill(root)
    garble(database(root))

    def refused(path: bytes) -> Stamp:
        raise PermissionError(13, "Permission denied", path)

    assert load(root, refused)[1].recovered == 0


def test_without_its_journal_the_database_is_enough(root: bytes) -> None:
    fill(root)
    made = Path(os.fsdecode(root), ".redo/made")
    made.unlink()
    graph = Graph(10_000_000)
    store = start(root, graph)
    assert store.loaded == Loaded(TARGETS, 0, "")
    build(store, graph, root + b"/t1")
    store.close()
    # The next commit has written the journal anew from the graph.
    assert made.read_bytes().count(b"\n") == TARGETS + 1


def test_a_damaged_journal_is_replaced(root: bytes) -> None:
    fill(root)
    made = Path(os.fsdecode(root), ".redo/made")
    made.write_bytes(random.Random(1).randbytes(5000) + b"\n")
    graph = Graph(10_000_000)
    store = start(root, graph)
    build(store, graph, root + b"/t1")
    store.close()
    garble(database(root))
    assert load(root)[1].recovered == TARGETS


def test_a_grown_journal_is_cut_to_what_there_is(root: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redod.store.database.COMPACT_ABOVE", 2000)
    graph = Graph(1000)
    store = start(root, graph)
    for round_ in range(300):
        if round_ == 290:
            store.intend(root + b"/t2", stamp_of(b"/t2"))
        build(store, graph, root + b"/t1")
        store.commit()
        assert os.path.getsize(root + b"/.redo/made") < 3000
    store.close()
    again, loaded = load(root)
    assert loaded == Loaded(1, 1, "")
    assert [again.node(root + name).status for name in (b"/t1", b"/t2")] == [0, None]


def test_few_damaged_databases_are_kept(root: bytes) -> None:
    fill(root)
    for _ in range(KEPT + 3):
        garble(database(root))
        load(root)
    kept = sorted(name for name in os.listdir(root + b"/.redo") if b"damaged" in name)
    assert kept == [b"redod.sqlite3.damaged-%d" % number for number in (4, 5, 6)]


def test_damage_that_a_commit_meets_is_mended_from_memory(root: bytes) -> None:
    fill(root)
    graph = Graph(10_000_000)
    store = start(root, graph)
    assert store._tables
    store._tables._connection.execute("DROP TABLE node")
    build(store, graph, root + b"/t5")
    notice = store.commit()
    assert "damaged-1" in notice
    assert "written anew" in notice
    store.close()
    again, loaded = load(root)
    assert loaded == Loaded(TARGETS, 0, "")
    assert {(node.path, node.version) for node in again} == {(node.path, node.version) for node in graph}


def test_a_row_that_sqlite_cannot_hold_leaves_the_store_usable(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    node = build(store, graph, root + b"/t5")
    node.status = 1 << 70
    with pytest.raises(OverflowError):
        store.commit()
    node.status = 0
    store.close()
    assert load(root)[1] == Loaded(1, 0, "")


def in_a_child(work: Callable[[], None]) -> int:
    """Run it in a process of its own; its exit status."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def intend_many(store: Store, root: bytes) -> None:
    for number in range(1000):
        store.intend(root + b"/t%d" % number, FILE)


def test_a_full_disk_loses_nothing(root: bytes) -> None:
    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        graph = Graph(20_000_000)
        store = start(root, graph)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        for number in range(TARGETS):
            build(store, graph, root + b"/t%d" % number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        for _ in range(2):
            with pytest.raises(StoreError, match="disk full"):
                store.commit()
            assert store.pending
        with pytest.raises(StoreError, match="disk full"):
            intend_many(store, root)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        store.commit()
        store.close()

    assert in_a_child(work) == 0
    graph, loaded = load(root)
    assert loaded == Loaded(TARGETS, 0, "")
    node = graph.node(root + b"/t9")
    assert node.deps[0].version == node.deps[0].node.version


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_says_so(root: bytes) -> None:
    fill(root)
    os.chmod(database(root), 0o400)
    with pytest.raises(StoreError, match=r"not writable|Permission"):
        start(root, Graph(1))
    os.chmod(database(root), 0o600)


def test_a_directory_in_the_place_of_the_database_says_so(root: bytes) -> None:
    database(root).mkdir()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"redod\.sqlite3"):
            start(root, Graph(1))


def test_a_database_that_somebody_reads_is_not_taken_for_damaged(root: bytes) -> None:
    fill(root)
    reader = sqlite3.connect(database(root), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM node").fetchone()
    with pytest.raises(StoreError, match="locked"):
        start(root, Graph(1))
    reader.close()
    assert load(root)[1] == Loaded(TARGETS, 0, "")


def test_a_directory_that_we_made_is_built_again_when_its_record_is_lost(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root, graph)
    store.intend(root + b"/made", DIRECTORY)
    store.close()
    graph, loaded = load(root, lambda path: DIRECTORY)
    assert loaded.recovered == 1
    assert (graph.node(root + b"/made").kind, graph.node(root + b"/made").status) == (Kind.TARGET, None)
