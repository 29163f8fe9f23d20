"""A killed daemon: whatever point it had reached, its store tells nothing that was not so."""

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.core.stamps import MISSING, Stamp
from redod.store import database
from redod.store.database import Store
from redod.store.lock import Owner
from redod.store.made import print_of
from redod.store.workspaces import Workspace

OWNER = Owner(b"/run/s.sock", "here", 1, 2)
SOURCES = 5
TARGETS = 12
KILLS = 40


def observe(path: bytes) -> Stamp:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return MISSING
    return Stamp(
        found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_ctime_ns, 1
    )


def start(root: bytes, graph: Graph) -> Store:
    os.makedirs(root + b"/.redo", exist_ok=True)
    return Store.open(Workspace(root, root + b"/.redo"), 1, graph, OWNER, observe)


def install(store: Store, path: bytes, content: bytes) -> Stamp:
    """As the engine does: the file, the intent, the rename."""
    temporary = path + b".tmp"
    with open(temporary, "wb") as file:
        file.write(content)
    stamp = observe(temporary)
    store.intend(path, stamp)
    os.rename(temporary, path)
    return stamp


def record(store: Store, graph: Graph, path: bytes, stamp: Stamp, deps: list[Node]) -> Node:
    node = graph.node(path)
    node.kind, node.stamp, node.version, node.status, node.workspace = Kind.TARGET, stamp, graph.fresh_version(), 0, 1
    node.deps = tuple(Dep(DepKind.IFCHANGE, each, each.version) for each in deps)
    store.put(node)
    return node


def stamp_for(version: int) -> Stamp:
    """A source's stamp that tells its version, so that a row with one and not the other is found out."""
    return Stamp(version, 1, 1, 0o100644, 0, 0, 1, 1)


def build_for_ever(root: bytes, seed: int, progress: int) -> None:
    """Edit sources and build targets; a byte to `progress` for each step."""
    choose = random.Random(seed)
    database.COMPACT_ABOVE = 3000
    graph = Graph(1000 + (seed << 40))
    store = start(root, graph)
    while True:
        source = graph.node(root + b"/s%d" % choose.randrange(SOURCES))
        source.kind, source.version = Kind.SOURCE, graph.fresh_version()
        source.stamp = stamp_for(source.version)
        sources = [node for node in graph if node.kind is Kind.SOURCE]
        built = []
        for number in choose.sample(range(TARGETS), choose.randrange(1, 4)):
            path = root + b"/t%d" % number
            built.append((path, install(store, path, choose.randbytes(choose.randrange(100)))))
            os.write(progress, b".")
            if choose.random() < 0.5:
                store.commit()
        for path, stamp in built:
            deps = choose.sample(sources, choose.randrange(len(sources)) + 1)
            record(store, graph, path, stamp, deps)
        if choose.random() < 0.7:
            store.commit()
        os.write(progress, b".")


def kill_after(root: bytes, seed: int, steps: int) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(read)
            build_for_ever(root, seed, write)
        finally:
            os._exit(1)
    os.close(write)
    try:
        for _ in range(steps):
            assert os.read(read, 1), "the builder died by itself"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(read)
        status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status)


def check(root: bytes) -> int:
    """Read the store and compare it with the disk; how many targets it had lost the record of."""
    graph = Graph(1 << 60)
    store = start(root, graph)
    assert store.loaded.notice == ""
    for node in graph:
        if node.kind is Kind.SOURCE:
            assert node.stamp == stamp_for(node.version)
        for dep in node.deps:
            # No edge names a version from after the source's row: that would hide the edit between the two.
            assert dep.version <= dep.node.version
    for number in range(TARGETS):
        path = root + b"/t%d" % number
        found, known = observe(path), graph.find(path)
        if found.exists:
            assert known is not None
            assert known.kind is Kind.TARGET
            assert known.workspace == 1
            assert known.stamp
            assert print_of(known.stamp) == print_of(found)
            assert known.status in (0, None)
    store.close()
    return store.loaded.recovered


def test_a_killed_daemon_leaves_a_consistent_store(tmp_path: Path) -> None:
    root = os.path.realpath(os.fsencode(tmp_path))
    choose = random.Random(7)
    recovered = 0
    for kill in range(KILLS):
        kill_after(root, kill, choose.randrange(40))
        recovered += check(root)
    # Else no kill came between a rename and its record, and the test tells nothing.
    assert recovered


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    root = os.path.realpath(os.fsencode(tmp_path))
    os.mkdir(root + b"/w")
    return root


def copy_store(root: bytes, name: bytes) -> bytes:
    copy = root + name
    shutil.copytree(os.fsdecode(root + b"/w/.redo"), os.fsdecode(copy))
    return copy


def crash(root: bytes) -> Graph:
    """Read what a daemon that died now would leave, without disturbing the one that lives."""
    copy_store(root, b"/crashed")
    graph = Graph(1 << 60)
    Store.open(Workspace(root + b"/w", root + b"/crashed"), 1, graph, OWNER, observe).close()
    shutil.rmtree(root + b"/crashed")
    return graph


def test_an_installed_target_without_a_record_is_ours_and_out_of_date(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root + b"/w", graph)
    path = root + b"/w/t1"
    stamp = install(store, path, b"new")
    found = crash(root).node(path)
    assert (found.kind, found.status, found.workspace) == (Kind.TARGET, None, 1)
    record(store, graph, path, stamp, [])
    store.commit()
    found = crash(root).node(path)
    assert (found.kind, found.status) == (Kind.TARGET, 0)
    store.close()


def test_a_commit_between_an_intent_and_its_record_hides_neither(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root + b"/w", graph)
    path, other = root + b"/w/t1", root + b"/w/t2"
    record(store, graph, path, install(store, path, b"old"), [])
    store.commit()
    install(store, path, b"newer")
    record(store, graph, other, install(store, other, b"x"), [])
    store.commit()
    after = crash(root)
    assert after.node(path).status is None
    assert (after.node(path).stamp or MISSING).size == len(b"newer")
    assert after.node(other).status == 0
    store.close()


def test_after_a_crash_a_checksum_still_tells_whether_a_target_is_another(root: bytes) -> None:
    """Built again with the same checksum it is unchanged, and its dependents need not run."""
    graph = Graph(1000)
    store = start(root + b"/w", graph)
    stamped, plain = root + b"/w/t1", root + b"/w/t2"
    before = {path: record(store, graph, path, install(store, path, b"old"), []) for path in (stamped, plain)}
    before[stamped].checksum = b"sum"
    store.commit()
    for path in before:
        install(store, path, b"newer")
    after = crash(root)
    assert (after.node(stamped).status, after.node(stamped).checksum) == (None, b"sum")
    assert after.node(stamped).version == before[stamped].version
    assert after.node(plain).version != before[plain].version
    store.close()


def test_an_intent_without_its_rename_changes_nothing(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root + b"/w", graph)
    path = root + b"/w/t1"
    node = record(store, graph, path, install(store, path, b"old"), [])
    store.commit()
    store.intend(path, stamp_for(5))
    found = crash(root).node(path)
    assert (found.status, found.stamp, found.version) == (0, node.stamp, node.version)
    store.close()


def test_an_old_line_does_not_make_a_source_a_target_again(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root + b"/w", graph)
    path = root + b"/w/t1"
    install(store, root + b"/w/t2", b"its record never comes")
    node = record(store, graph, path, install(store, path, b"x"), [])
    store.commit()
    node.kind, node.workspace = Kind.SOURCE, 0
    store.put(node)
    store.commit()
    assert crash(root).node(path).kind is Kind.SOURCE
    store.close()


def test_a_crash_between_the_two_files_of_a_compaction_is_harmless(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root + b"/w", graph)
    path, waiting = root + b"/w/t1", root + b"/w/t2"
    node = record(store, graph, path, install(store, path, b"old"), [])
    store.commit()
    install(store, waiting, b"its record never comes")
    copied = copy_store(root, b"/before")
    store._compact()
    os.rename(root + b"/w/.redo/made", copied + b"/made")
    after = Graph(1 << 60)
    Store.open(Workspace(root + b"/w", copied), 1, after, OWNER, observe).close()
    assert (after.node(path).status, after.node(path).version) == (0, node.version)
    assert after.node(waiting).status is None
    assert after.node(waiting).kind is Kind.TARGET
    store.close()


def test_a_second_intent_does_not_hide_the_first_ones_file(root: bytes) -> None:
    graph = Graph(1000)
    store = start(root + b"/w", graph)
    path, other = root + b"/w/t1", root + b"/w/t2"
    install(store, path, b"its record never comes")
    store.intend(path, stamp_for(5))
    record(store, graph, other, install(store, other, b"x"), [])
    store.commit()
    found = crash(root).node(path)
    assert (found.kind, found.status) == (Kind.TARGET, None)
    store.close()
