"""What is in doubt after something was heard: as much as depends on it, and nothing else is looked at."""

import random

import pytest

from redod.core import wants
from redod.core.graph import NO_DOUBTS, Node
from redod.core.model import Want, World
from redod.core.stamps import DIRECTORY, MISSING, Stamp
from redod.core.suspects import is_watchable
from tests.model.filesystem import REGULAR, Files
from tests.model.simulation import Simulation

FILE = Stamp(1, 1, 1, REGULAR, 0, 0, 1, 1)


class Project:
    """A tree of targets, four below each: t > t0..t3 > t00..t33 > ... each leaf made from a source of its own."""

    def __init__(self, depth: int, width: int = 4) -> None:
        self.files = Files()
        self.files.write(b"/p/default.do", b"from $2.list\nout\n")
        level = [b""]
        for _ in range(depth):
            below = [name + b"%d" % number for name in level for number in range(width)]
            for name in level:
                names = b" ".join(b"t" + child for child in below if child[: len(name)] == name)
                self.files.write(b"/p/t%b.list" % name, names)
            level = below
        for name in level:
            self.files.write(b"/p/t%b.list" % name, b"s" + name)
            self.files.write(b"/p/s" + name, b"source")
        self.simulation = Simulation(self.files, watched=[b"/", b"/p"])
        self.simulation.random = NoChance()
        self.simulation.build(b"/p/t", jobs=2)

    def node(self, name: str) -> Node:
        found = self.simulation.graph.find(b"/p/" + name.encode())
        assert found is not None
        return found

    def again(self) -> tuple[int, list[str]]:
        """How many files are looked at in another build, and what runs."""
        before = self.simulation.observations
        status, ran = self.simulation.build(b"/p/t")
        assert status == 0
        return self.simulation.observations - before, [path.decode().removeprefix("/p/") for path in ran]


class NoChance(random.Random):
    """Nothing is told but what happens."""

    def random(self) -> float:
        return 0.99


@pytest.fixture
def project() -> Project:
    return Project(2)


def test_after_a_build_nothing_is_looked_at(project: Project) -> None:
    assert project.again() == (0, [])
    assert project.node("t").doubts is NO_DOUBTS


def test_what_did_not_change_is_looked_at_once_and_nothing_runs(project: Project) -> None:
    project.files.touched.append(b"/p/s32")
    assert project.again() == (1, [])
    assert project.again() == (0, [])


def test_a_change_costs_the_same_in_a_larger_graph() -> None:
    looks = []
    for depth in (2, 3):
        project = Project(depth)
        project.files.write(b"/p/s" + b"3" * depth, b"new")
        looked, ran = project.again()
        assert ran == ["t" + "3" * length for length in range(depth + 1)]
        looks.append(looked / depth)
    assert looks[1] <= looks[0] * 1.1


def test_what_is_not_watched_is_looked_at_in_each_build_and_nothing_else_is(project: Project) -> None:
    project.files.link(b"/p/s32")
    project.files.touched.append(b"/p/s32")
    assert project.again() == (1, [])
    assert project.again() == (1, [])


def test_where_a_watch_was_lost_everything_is_looked_at_once(project: Project) -> None:
    project.simulation.lose()
    looked, ran = project.again()
    assert ran == []
    assert looked > 40
    assert project.again() == (0, [])


@pytest.mark.parametrize(("name", "target"), [("t3.do", "t3"), ("default.do", "t")])
def test_a_script_that_comes_before_the_one_that_was_found_is_noticed(name: str, target: str) -> None:
    project = Project(1)
    if name == "default.do":
        project.files.write(b"/default.do", b"out\n")
        project.files.remove(b"/p/default.do")
        project.again()
    project.files.write(b"/p/" + name.encode(), b"out\n")
    _, ran = project.again()
    assert target in ran
    assert project.again() == (0, [])


def test_an_always_target_is_looked_at_in_each_build_and_its_siblings_are_not(project: Project) -> None:
    project.files.write(b"/p/t32.do", b"always\nstamp same\nout\n")
    assert "t32" in project.again()[1]
    looked, ran = project.again()
    assert ran == ["t32"]
    assert looked < 10


@pytest.mark.parametrize(
    ("stamp", "watchable"),
    [
        (FILE, True),
        (MISSING, True),
        (DIRECTORY, True),
        (FILE._replace(nlink=2), False),
        (FILE._replace(mode=0o120777, referent=FILE), False),
    ],
)
def test_only_what_happens_through_its_own_name_is_heard(stamp: Stamp, watchable: bool) -> None:
    assert is_watchable(stamp) is watchable


def test_of_a_long_list_only_what_is_not_known_to_be_up_to_date_is_wanted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[bytes] = []
    begin = wants.begin

    def note(world: World, want: Want) -> None:
        wanted.append(want.node.path)
        begin(world, want)

    monkeypatch.setattr(wants, "begin", note)
    names = [b"/p/t%d%d" % (one, other) for one in range(4) for other in range(4)]
    project.simulation.build(*names)
    assert wanted == []
    project.simulation.files.write(b"/p/s21", b"another")
    assert project.simulation.build(*names) == (0, [b"/p/t21"])
    assert set(wanted) == {b"/p/t21"}
