"""What lies below files and above them, as recorded."""

from collections.abc import Iterable, Iterator

from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.core.walks import Dependents, below, passes_over


def target(graph: Graph, name: str, *needs: str, absent: str = "", script: str = "") -> Node:
    node = graph.node(b"/p/" + name.encode())
    node.kind = Kind.TARGET
    deps = [Dep(DepKind.IFCHANGE, graph.node(b"/p/" + need.encode()), 0) for need in needs]
    if absent:
        deps.append(Dep(DepKind.IFCREATE, graph.node(b"/p/" + absent.encode()), 0))
    node.deps = tuple(deps)
    node.dofile = graph.node(b"/p/" + (script or name + ".do").encode())
    return node


def names(nodes: Iterable[Node]) -> str:
    return " ".join(node.path.removeprefix(b"/p/").decode() for node in nodes)


def dependents_in(graph: Graph) -> Dependents:
    made = Dependents()
    for node in graph:
        for _ in made.add(node):
            pass
    return made


def levels(found: Iterator[set[Node]]) -> list[str]:
    return [names(sorted(level, key=lambda node: node.path)) for level in found]


def test_below_is_each_once_and_without_what_must_not_exist() -> None:
    graph = Graph(1)
    a = target(graph, "a", "b", "c")
    b = target(graph, "b", "c", "s", absent="n")
    assert names(below([a, a], recursive=False)) == "a b c"
    assert names(below([a, b], recursive=False)) == "a b c s"
    assert names(below([a], recursive=True)) == "a b c s"


def test_above_is_nearest_first_and_each_once_in_a_loop_too() -> None:
    graph = Graph(1)
    target(graph, "a", "b", "s")
    target(graph, "b", "c")
    target(graph, "c", "s", "a", absent="n")
    found = dependents_in(graph)
    assert levels(found.above([graph.node(b"/p/s")])) == ["a c", "b"]
    assert levels(found.above([graph.node(b"/p/n")])) == ["c", "b", "a"]
    assert levels(found.above([], [graph.node(b"/p/b")])) == ["b", "a", "c"]


def test_a_long_chain_meets_no_recursion_limit() -> None:
    graph = Graph(1)
    for number in range(5000):
        target(graph, f"{number + 1}", f"{number}")
    assert len(list(below([graph.node(b"/p/5000")], recursive=True))) == 5001
    assert len(list(dependents_in(graph).above([graph.node(b"/p/0")]))) == 5000


def test_a_script_is_passed_over_only_before_the_one_that_was_found() -> None:
    graph = Graph(1)
    node = target(graph, "sub/x.a", script="default.a.do")
    before = (b"/p/sub/x.a.do", b"/p/sub/default.a.do", b"/p/sub/default.do")
    after = (b"/p/default.a.do", b"/p/default.do", b"/p/sub/default.b.do", b"/p/other/x.a.do", b"/default.a.do")
    assert [passes_over(node, path) for path in before + after] == [True] * 3 + [False] * 5
