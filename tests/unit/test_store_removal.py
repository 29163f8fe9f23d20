"""A store that is removed or replaced while it is in use."""

import os
import shutil
from pathlib import Path

import pytest

from redod.core.graph import Graph
from redod.store.lock import WorkspaceBusy, acquire
from tests.unit.stores import FILE, OWNER, portraits, source, start, target


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
