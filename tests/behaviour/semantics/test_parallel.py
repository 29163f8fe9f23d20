"""How many scripts run at a time, and in which order they start."""

import os

import pytest

from tests.behaviour.events import Fifo, expect, finish
from tests.behaviour.project import PATIENCE, Project


def log_events(project: Project) -> None:
    """`events` gets a line with + when a script begins and one with - when it ends."""
    project.write("default.do", "echo + $1 >>events; for i in 1 2 3 4 5; do sh -c :; done; echo - $1 >>events")


def peak(project: Project) -> int:
    """The largest number of scripts that ran at a time, by `events`."""
    running = most = 0
    for line in project.read("events").splitlines():
        running += 1 if line.startswith("+") else -1
        most = max(most, running)
    assert running == 0
    return most


def test_j1_runs_everything_in_the_order_asked_with_all_below_it(project: Project) -> None:
    project.write("a.do", "redo-ifchange a2 a1; echo a")
    project.write("b.do", "redo-ifchange b1 a1; echo b")
    project.write("default.do", "echo leaf")
    assert project.jobs(project.run("redo", "-j1", "b", "a", "c", check=True)) == ["b", "b1", "a1", "a", "a2", "c"]


def test_j1_runs_one_script_at_a_time(project: Project) -> None:
    log_events(project)
    project.run("redo", "-j1", *[f"t{number}" for number in range(6)], check=True)
    assert peak(project) == 1
    started = [line[2:] for line in project.read("events").splitlines() if line.startswith("+")]
    assert started == [f"t{number}" for number in range(6)]


def test_jn_runs_n_at_a_time_and_not_more(project: Project) -> None:
    log_events(project)
    project.run("redo", "-j3", *[f"t{number}" for number in range(30)], check=True)
    assert peak(project) <= 3


def test_jn_reaches_n(native_project: Project) -> None:
    # Each script waits until all three have begun.
    native_project.write("default.do", "echo $1 >>begun; until test $(wc -l <begun) -ge 3; do :; done")
    native_project.run("redo", "-j3", "a", "b", "c", check=True)


def test_a_script_that_waits_in_a_nested_call_lends_its_token(native_project: Project) -> None:
    native_project.write("a.do", "redo-ifchange b")
    native_project.write("b.do", "redo-ifchange c; redo-ifchange d")
    native_project.write("default.do", "echo leaf")
    assert native_project.jobs(native_project.run("redo", "-j1", "a", check=True)) == ["a", "b", "c", "d"]


def test_the_scripts_that_run_between_nested_calls_count(native_project: Project) -> None:
    work = "echo + $1 >>events; sh -c :; echo - $1 >>events"
    native_project.write("default.top.do", f"{work}; redo-ifchange $2.leaf; {work}; redo-ifchange $2.2.leaf; {work}")
    native_project.write("default.leaf.do", work)
    native_project.run("redo", "-j2", *[f"{number}.top" for number in range(10)], check=True)
    assert peak(native_project) <= 2


def test_nested_calls_in_the_background_of_one_script_are_served(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange a & redo-ifchange b & wait; redo-ifchange a b; cat a b")
    native_project.write("default.do", "echo $1")
    for options in (["-j1"], ["-j4"]):
        native_project.run("redo", *options, "x", check=True)
        assert native_project.read("x") == "a\nb\n"


def test_a_shared_dependency_of_parallel_targets_is_built_once(project: Project) -> None:
    project.write("default.do", "redo-ifchange common; echo made")
    project.write("common.do", "echo run >>runs; echo made")
    project.run("redo", "-j8", *[f"t{number}" for number in range(20)], check=True)
    assert project.read("runs") == "run\n"


def test_a_nested_j_is_warned_about_and_gets_a_pool_of_its_own(native_project: Project) -> None:
    native_project.write("x.do", "redo -j2 a b")
    native_project.write("default.do", "echo $1 >>begun; until test $(wc -l <begun) -ge 2; do :; done")
    result = native_project.run("redo", "-j1", "x", check=True)
    assert b"-j2 below another redo" in result.stderr


def test_a_session_runs_though_another_has_all_tokens_of_the_pool(native_project: Project) -> None:
    # All of them wait in their scripts, as many as there are CPUs.
    names = [f"{number}.wait" for number in range(len(os.sched_getaffinity(0)))]
    native_project.run("mkfifo", *[name + end for name in names for end in (".begun", ".gate")], check=True)
    native_project.write("default.wait.do", "echo >$1.begun; cat $1.gate")
    native_project.write("x.do", "redo-ifchange y; cat y")
    native_project.write("y.do", "echo y")
    waiting = native_project.start("redo", *names)
    for name in names:
        native_project.read(f"{name}.begun")
    native_project.run("redo", "x", check=True)
    for name in names:
        native_project.write(f"{name}.gate", name)
    waiting.communicate(timeout=PATIENCE)
    assert (waiting.returncode, native_project.read("x")) == (0, "y\n")
    assert [native_project.read(name) for name in names] == names


@pytest.mark.parametrize(("options", "most"), [(["-j1"], 1), (["-j4"], 5), ([], len(os.sched_getaffinity(0)) + 1)])
def test_a_failure_lets_what_runs_end_and_starts_nothing_more(project: Project, options: list[str], most: int) -> None:
    """None of the others ends before the failure is told. Between a script's end and that, another takes its place."""
    names = [f"t{number}" for number in range(most + 20)]
    project.write("bad.do", "exit 1")
    project.write("default.do", "read x <go; echo made")
    go = Fifo(project.path / "go")
    building = project.start("redo", *options, "bad", *names)
    told = expect(building, b"redo  bad (exit 1)\n")
    for _ in names:
        go.send()
    _, rest = finish(building, status=1)
    go.close()
    started = [line.removeprefix("redo  ") for line in (told + rest).decode().splitlines() if "(" not in line]
    assert len(started) <= most
    made = {name for name in started if (project.path / name).exists()}
    assert made == set(started) - {"bad"}


def test_a_wide_build_makes_every_target_once(native_project: Project) -> None:
    native_project.write("all.do", "seq 300 | sed 's/$/.x/' | xargs redo-ifchange; cat runs | wc -l >$3")
    native_project.write("default.x.do", "echo run >>runs; echo $1")
    native_project.run("redo", "all", check=True)
    assert native_project.read("all").strip() == "300"


def test_a_deep_chain_is_built_and_checked(native_project: Project) -> None:
    native_project.write("default.do", "n=$1; test $n = 0 || redo-ifchange $((n - 1)); echo $n")
    native_project.run("redo-ifchange", "150", check=True)
    assert native_project.redo("150") == []
    native_project.write("0.do", "echo better")
    assert native_project.redo("150") == [str(number) for number in range(150, -1, -1)]
