"""What an observation makes of a node: every kind met by everything that can be found."""

import stat

import pytest

from redod.core.graph import Graph, Kind, Node
from redod.core.settle import settle
from redod.core.stamps import DIRECTORY, MISSING, Moment, Stamp

FILE = Stamp(100, 5, 7, stat.S_IFREG | 0o644, 1, 2, 100, 1)
EDITED = FILE._replace(mtime_ns=200)
CHMODDED = FILE._replace(mode=stat.S_IFREG | 0o755)
NOW = Moment(9, 10**12)


def node_of(kind: Kind, stamp: Stamp | None) -> tuple[Graph, Node]:
    graph = Graph(100)
    node = graph.node(b"/f")
    node.kind, node.stamp, node.version, node.status = kind, stamp, 1, 0
    return graph, node


@pytest.mark.parametrize(
    ("kind", "stamp", "found", "becomes", "is_new", "is_recorded"),
    [
        (Kind.UNKNOWN, None, MISSING, Kind.UNKNOWN, True, False),
        (Kind.UNKNOWN, MISSING, MISSING, Kind.UNKNOWN, False, False),
        (Kind.UNKNOWN, MISSING, FILE, Kind.SOURCE, True, False),
        (Kind.UNKNOWN, MISSING, DIRECTORY, Kind.UNKNOWN, True, False),
        (Kind.SOURCE, FILE, FILE, Kind.SOURCE, False, False),
        (Kind.SOURCE, FILE, EDITED, Kind.SOURCE, True, False),
        (Kind.SOURCE, FILE, CHMODDED, Kind.SOURCE, True, False),
        (Kind.SOURCE, FILE, MISSING, Kind.UNKNOWN, True, False),
        (Kind.TARGET, FILE, FILE, Kind.TARGET, False, False),
        (Kind.TARGET, FILE, EDITED, Kind.OVERRIDDEN, True, True),
        (Kind.TARGET, FILE, CHMODDED, Kind.TARGET, False, False),
        (Kind.TARGET, FILE, MISSING, Kind.TARGET, False, True),
        (Kind.TARGET, FILE, DIRECTORY, Kind.TARGET, False, False),
        (Kind.TARGET, MISSING, MISSING, Kind.TARGET, False, False),
        (Kind.TARGET, MISSING, FILE, Kind.SOURCE, True, True),
        (Kind.TARGET, DIRECTORY, FILE, Kind.OVERRIDDEN, True, True),
        (Kind.OVERRIDDEN, EDITED, EDITED, Kind.OVERRIDDEN, False, False),
        (Kind.OVERRIDDEN, EDITED, FILE, Kind.OVERRIDDEN, True, False),
        (Kind.OVERRIDDEN, EDITED, MISSING, Kind.UNKNOWN, True, True),
    ],
)
def test_a_node_follows_what_is_found(
    kind: Kind, stamp: Stamp | None, found: Stamp, becomes: Kind, is_new: bool, is_recorded: bool
) -> None:
    graph, node = node_of(kind, stamp)
    assert settle(graph, node, found, NOW) is is_recorded
    assert node.kind is becomes
    assert (node.version != 1) is is_new


def test_a_target_that_differs_without_an_edit_is_seen_to_differ_again() -> None:
    graph, node = node_of(Kind.TARGET, FILE)
    settle(graph, node, CHMODDED, NOW)
    assert (node.stamp, node.observed) == (FILE, 0)


def test_a_target_that_is_gone_is_out_of_date_and_recreated_by_hand_a_source() -> None:
    graph, node = node_of(Kind.TARGET, FILE)
    settle(graph, node, MISSING, NOW)
    assert node.status is None
    settle(graph, node, FILE, NOW)
    assert node.kind is Kind.SOURCE


def test_a_hash_is_kept_only_while_the_stamp_is_racy() -> None:
    graph, node = node_of(Kind.SOURCE, None)
    racy = FILE._replace(content=b"hash")
    settle(graph, node, racy, Moment(9, FILE.ctime_ns))
    assert node.stamp == racy
    settle(graph, node, racy, NOW)
    assert node.stamp == FILE
