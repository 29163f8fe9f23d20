"""Verdicts, each with its reason, and the size of what can be judged."""

import pytest

from redod.core.check import Check
from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.core.stamps import MISSING, Moment, Stamp
from redod.core.verdicts import Clean, Dirty, Source, Undecided, Verdict, Why
from tests.model.filesystem import Files
from tests.model.simulation import Simulation


class Bench:
    """Recorded nodes, and the files that a check is shown."""

    def __init__(self) -> None:
        self.files = Files()
        self.graph = Graph(100)
        self.asked: list[bytes] = []

    def source(self, path: bytes) -> Node:
        self.files.write(path, b"source")
        node = self.graph.node(path)
        node.kind, node.stamp, node.version = Kind.SOURCE, self.files.stamp(path), self.graph.fresh_version()
        return node

    def target(self, path: bytes, *below: Node, checksum: bytes = b"", dofile: bytes = b"") -> Node:
        script = self.source(dofile or path + b".do") if not self.graph.find(dofile or path + b".do") else None
        script = script or self.graph.node(dofile or path + b".do")
        node = self.source(path)
        node.kind, node.status, node.dofile, node.checksum = Kind.TARGET, 0, script, checksum
        node.deps = tuple(Dep(DepKind.IFCHANGE, other, other.version) for other in (script, *below))
        return node

    def judge(self, node: Node, epoch: int = 1, failed: frozenset[Node] = frozenset()) -> Verdict:
        check = Check(self.graph, node, epoch, failed)
        self.asked = []
        while isinstance(result := check.run(), list):
            self.asked += result
            check.observed([self.look(path) for path in result], Moment(epoch, 10**15))
        return result

    def look(self, path: bytes) -> Stamp:
        return self.files.stamp(path)

    def why(self, node: Node) -> tuple[Why, bytes]:
        verdict = self.judge(node)
        assert isinstance(verdict, Dirty)
        return verdict.reason.why, verdict.reason.about


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_as_it_was_is_clean_and_asked_about_once_an_epoch(bench: Bench) -> None:
    target = bench.target(b"/p/a", bench.target(b"/p/b", bench.source(b"/p/s")))
    assert bench.judge(target) == Clean()
    assert len(bench.asked) == len(set(bench.asked))
    assert bench.judge(target) == Clean()
    assert bench.asked == []
    assert bench.judge(target, epoch=2) == Clean()
    assert b"/p/s" in bench.asked


@pytest.mark.parametrize("name", [b"/p/s", b"/p/a.do"])
def test_a_changed_dependency_is_the_reason(bench: Bench, name: bytes) -> None:
    target = bench.target(b"/p/a", bench.source(b"/p/s"))
    bench.files.write(name, b"new")
    assert bench.why(target) == (Why.CHANGED, name)


def test_never_built_failed_missing_and_always_are_reasons(bench: Bench) -> None:
    assert bench.why(bench.graph.node(b"/p/none"))[0] is Why.NEVER_BUILT
    failed, always, missing = bench.target(b"/p/a"), bench.target(b"/p/b"), bench.target(b"/p/c")
    failed.status, always.always = 3, True
    bench.files.remove(b"/p/c")
    assert [bench.why(node)[0] for node in (failed, always, missing)] == [Why.FAILED, Why.ALWAYS, Why.MISSING]


def test_a_mode_that_is_not_as_built_is_a_reason_with_its_field(bench: Bench) -> None:
    target = bench.target(b"/p/a")
    bench.files.change(b"/p/a", mode=0o600)
    verdict = bench.judge(target)
    assert isinstance(verdict, Dirty)
    assert verdict.reason.text(b"/p") == "its mode is not as it was built"


def test_a_better_or_missing_dofile_is_a_reason(bench: Bench) -> None:
    better = bench.target(b"/p/a.x", dofile=b"/p/default.do")
    bench.files.write(b"/p/default.x.do", b"")
    assert bench.why(better) == (Why.BETTER_DOFILE, b"/p/default.x.do")
    gone = bench.target(b"/p/b")
    bench.files.remove(b"/p/b.do")
    assert bench.why(gone) == (Why.DOFILE_GONE, b"/p/b.do")


def test_a_directory_named_like_a_better_dofile_is_none(bench: Bench) -> None:
    target = bench.target(b"/p/a.x", dofile=b"/p/default.do")
    bench.files.mkdir(b"/p/default.x.do")
    assert bench.judge(target) == Clean()


def test_a_name_that_must_not_exist_is_a_reason_once_it_does(bench: Bench) -> None:
    target = bench.target(b"/p/a")
    target.deps += (Dep(DepKind.IFCREATE, bench.graph.node(b"/p/e"), 0),)
    assert bench.judge(target) == Clean()
    bench.files.write(b"/p/e", b"")
    verdict = bench.judge(target, epoch=2)
    assert isinstance(verdict, Dirty)
    assert (verdict.reason.why, verdict.reason.about) == (Why.CREATED, b"/p/e")


def test_a_late_source_counts_as_changed(bench: Bench) -> None:
    target = bench.target(b"/p/a")
    source = bench.source(b"/p/s")
    target.deps += (Dep(DepKind.IFCHANGE, source, source.version, late=True),)
    assert bench.why(target) == (Why.LATE, b"/p/s")


def test_a_dirty_dependency_is_a_reason_but_a_stamped_one_is_built_first(bench: Bench) -> None:
    below, stamped = bench.target(b"/p/b"), bench.target(b"/p/c", checksum=b"sum")
    one, other = bench.target(b"/p/a", below), bench.target(b"/p/d", stamped)
    outer = bench.target(b"/p/e", other)
    below.always = stamped.always = True
    assert bench.why(one) == (Why.DEPENDENCY, b"/p/b")
    assert bench.judge(other) == bench.judge(outer) == Undecided((stamped,))
    assert bench.judge(other, failed=frozenset({stamped})) != Undecided((stamped,))


def test_a_certain_reason_comes_before_building_anything_first(bench: Bench) -> None:
    stamped, source = bench.target(b"/p/c", checksum=b"sum"), bench.source(b"/p/s")
    stamped.always = True
    target = bench.target(b"/p/a", stamped, source)
    bench.files.write(b"/p/s", b"new")
    assert bench.why(target) == (Why.CHANGED, b"/p/s")


def test_recorded_targets_that_lead_to_each_other_are_out_of_date(bench: Bench) -> None:
    one = bench.target(b"/p/a")
    other = bench.target(b"/p/b", one)
    one.deps += (Dep(DepKind.IFCHANGE, other, other.version),)
    assert bench.why(one) in ((Why.LOOP, b"/p/a"), (Why.DEPENDENCY, b"/p/b"))


def test_an_edited_target_is_a_source(bench: Bench) -> None:
    target = bench.target(b"/p/a")
    bench.files.write(b"/p/a", b"by hand")
    assert bench.judge(target) == Source(edited=True)


def test_a_dependency_that_never_came_to_exist_is_out_of_date(bench: Bench) -> None:
    missing = bench.graph.node(b"/p/none")
    missing.stamp = MISSING
    assert bench.why(bench.target(b"/p/a", missing)) == (Why.ABSENT, b"/p/none")


def test_a_chain_of_100000_targets_is_judged_without_recursion(bench: Bench) -> None:
    node = source = bench.source(b"/p/s")
    for number in range(100_000):
        node = bench.target(b"/p/%d" % number, node, dofile=b"/p/default.do")
    assert bench.judge(node) == Clean()
    bench.files.write(source.path, b"new")
    verdict = bench.judge(node, epoch=2)
    assert isinstance(verdict, Dirty)


def test_a_target_with_20000_dependencies_is_judged() -> None:
    bench = Bench()
    leaves = [bench.target(b"/p/%d" % number, dofile=b"/p/default.do") for number in range(20_000)]
    assert bench.judge(bench.target(b"/p/all", *leaves)) == Clean()


def test_a_deep_chain_is_built_and_then_nothing_runs() -> None:
    files = Files()
    depth = 150
    for number in range(depth):
        files.write(b"/p/%d.do" % number, b"need %d\nout\n" % (number + 1))
    files.write(b"/p/%d" % depth, b"source")
    simulation = Simulation(files)
    assert len(simulation.build(b"/p/0")[1]) == depth
    assert simulation.build(b"/p/0") == (0, [])


def test_a_target_that_is_rebuilt_while_it_is_checked_is_judged_by_its_new_dependencies(bench: Bench) -> None:
    target, read_since = bench.target(b"/p/a", bench.source(b"/p/s")), bench.source(b"/p/t")
    check = Check(bench.graph, target, 1)
    asked = check.run()
    assert isinstance(asked, list)
    assert read_since.path not in asked
    target.deps = (*target.deps, Dep(DepKind.IFCHANGE, read_since, read_since.version))
    bench.files.write(read_since.path, b"edited since the build read it")
    while isinstance(asked, list):
        check.observed([bench.look(path) for path in asked], Moment(1, 10**15))
        asked = check.run()
    assert isinstance(asked, Dirty)
    assert asked.reason.about == read_since.path


def test_the_dependencies_of_a_very_wide_target_are_looked_at_in_pieces(bench: Bench) -> None:
    sources = [bench.source(b"/p/%d" % number) for number in range(2500)]
    target = bench.target(b"/p/a.x", *sources, dofile=b"/p/default.do")
    check = Check(bench.graph, target, 1)
    pieces = []
    while isinstance(asked := check.run(), list):
        pieces.append(len(asked))
        check.observed([bench.look(path) for path in asked], Moment(1, 10**15))
    assert asked == Clean()
    assert max(pieces) <= 1000
    bench.files.write(sources[-1].path, b"new")
    bench.files.write(b"/p/default.x.do", b"")
    assert isinstance(verdict := bench.judge(target, epoch=2), Dirty)
    assert verdict.reason.why is Why.BETTER_DOFILE, "what the first piece told is known after the last one"
    bench.files.remove(b"/p/default.x.do")
    assert isinstance(verdict := bench.judge(target, epoch=3), Dirty)
    assert verdict.reason.about == sources[-1].path
