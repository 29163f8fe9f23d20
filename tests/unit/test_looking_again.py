"""Files that count as unchanged are looked at again: which of those that differ count as missed."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from redod.core import events
from redod.core.graph import Graph, Kind, Node
from redod.engine.watching import Watching
from redod.files.observe import observe_source


@pytest.fixture
def changed(tmp_path: Path) -> Node:
    """A source that is said to be watched, and of whose change nothing has told yet."""
    path = tmp_path / "source"
    path.write_text("one")
    node = Graph(1).node(os.fsencode(path))
    node.kind, node.watched, node.stamp = Kind.SOURCE, True, observe_source(node.path, 0, None)
    path.write_text("another")
    return node


@pytest.fixture
def told() -> list[events.Event]:
    return []


@pytest.fixture
def watching(told: list[events.Event]) -> Iterator[Watching]:
    loop = asyncio.new_event_loop()
    made = Watching(loop, Graph(1), told.append, is_idle=lambda: True, has_jobs=lambda: False)
    yield made
    made.close()
    loop.close()


def test_what_still_differs_after_a_moment_was_missed(
    watching: Watching, changed: Node, told: list[events.Event]
) -> None:
    assert watching.differing([changed]) == [changed]
    assert watching.missed == 0
    assert [path for path, _ in watching.confirm([changed])] == [changed.path]
    assert watching.missed == 1
    assert told == [events.Heard([changed.path])]


def test_what_was_told_of_meanwhile_was_not_missed(watching: Watching, changed: Node) -> None:
    """A writer may lose its processor between the change and the event."""
    assert watching.differing([changed]) == [changed]
    changed.watched = False  # as the core has it when it is told
    assert watching.confirm([changed]) == []
    assert watching.missed == 0
