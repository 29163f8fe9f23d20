"""What leaves the graph with a workspace, and what stays because something needs it."""

from redod.core.graph import Graph, Node
from redod.core.leaving import Leaving, is_blank
from redod.core.suspects import dependents_of, heard, trust, watch
from tests.unit.stores import source, target


def leave(graph: Graph, workspace: int, *paths: bytes) -> list[bytes]:
    """The directories in which nothing is watched any more."""
    leaving = Leaving(graph, workspace, list(paths))
    for _ in leaving.steps():
        pass
    return leaving.directories


def watched(graph: Graph, *nodes: Node) -> None:
    for node in nodes:
        watch(graph, node)


def test_what_only_the_workspace_named_is_gone_and_a_new_node_takes_its_place() -> None:
    graph = Graph(1000)
    made = target(graph, b"/w/t", source(graph, b"/w/s"), source(graph, b"/usr/h.h"))
    watched(graph, made, *(dep.node for dep in made.deps))
    trust(made)
    del made
    assert sorted(leave(graph, 1, b"/w/t", b"/w/s", b"/usr/h.h", b"/w/never")) == [b"/usr", b"/w"]
    assert (len(graph), list(graph), graph.watched, graph.changes) == (0, [], {}, {})
    assert is_blank(graph.node(b"/w/s"))
    assert graph.sample(9, lambda nodes, size: list(nodes[:size])) == [graph.node(b"/w/s")]


def test_what_another_workspace_was_made_from_stays_and_is_doubted() -> None:
    graph = Graph(1000)
    shared, library = source(graph, b"/usr/h.h"), target(graph, b"/w/lib", source(graph, b"/w/s"))
    program = target(graph, b"/v/prog", library, shared, number=2)
    watched(graph, shared, library, library.deps[0].node, program)
    for node in (library, program):
        trust(node)
    assert not program.doubts
    del library
    assert leave(graph, 1, b"/w/lib", b"/w/s", b"/usr/h.h") == []
    assert graph.find(b"/w/s") is None
    kept = graph.node(b"/w/lib")
    assert is_blank(kept)
    assert program.doubts == {kept}
    assert list(dependents_of(kept)) == [program]
    assert graph.watched == {b"/usr": [shared], b"/w": [kept], b"/v": [program]}
    heard(graph, [b"/usr/h.h"])
    assert program.doubts == {kept, shared}


def test_a_node_that_somebody_holds_stays_whatever_that_is() -> None:
    graph = Graph(1000)
    held = source(graph, b"/w/held")
    graph.changes[held] = graph.changes[source(graph, b"/w/changed")] = "mtime"
    leave(graph, 1, b"/w/held", b"/w/changed")
    assert list(graph) == [held]
    assert graph.node(b"/w/held") is held
    assert graph.changes == {held: "mtime"}
