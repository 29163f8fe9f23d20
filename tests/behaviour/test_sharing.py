"""Two clients that want one target share one job."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, count, expect, finish, wait_for_sessions
from tests.behaviour.project import CLIENTS, Project


@pytest.fixture
def bindir(installs: dict[str, Path]) -> Path:
    return installs[CLIENTS[0]]


@pytest.fixture
def ready(project: Project) -> Iterator[Fifo]:
    fifo = Fifo(project.path / "ready")
    yield fifo
    fifo.close()


def test_the_second_client_joins_and_sees_the_log_from_its_start(project: Project, ready: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo built >>count; echo early >&2; echo >ready; read y <go; echo late >&2; echo x\n")
    first = project.start("redo-ifchange", "x")
    ready.receive()
    second = project.start("redo-ifchange", "x")
    seen = expect(second, b"early\n")
    go.send()
    one, two = finish(first)[1], seen + finish(second)[1]
    assert one == two == b"redo  x\nearly\nlate\n"
    assert count(project, "count") == 1


def test_a_failure_is_shared(project: Project, ready: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo built >>count; echo no >&2; echo >ready; read y <go; exit 7\n")
    first = project.start("redo-ifchange", "x")
    ready.receive()
    second = project.start("redo-ifchange", "x")
    seen = expect(second, b"no\n")
    go.send()
    one, two = finish(first, status=1)[1], seen + finish(second, status=1)[1]
    assert one == two == b"redo  x\nno\nredo  x (exit 7)\n"
    assert count(project, "count") == 1


def test_dependents_of_two_sessions_share_what_they_both_need(project: Project, ready: Fifo, go: Fifo) -> None:
    project.write("common.do", "echo built >>count; echo >ready; read y <go; echo c\n")
    for name in ("a", "b"):
        project.write(f"{name}.do", "redo-ifchange common; cat common\n")
    first = project.start("redo-ifchange", "a")
    ready.receive()
    second = project.start("redo-ifchange", "b")
    expect(second, b"redo    common\n")
    go.send()
    finish(first)
    finish(second)
    assert (project.read("a"), project.read("b")) == ("c\n", "c\n")
    assert count(project, "count") == 1


def test_redo_runs_its_own_job_after_the_one_that_runs(project: Project, ready: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo built >>count; echo >ready; read y <go; echo x\n")
    first = project.start("redo-ifchange", "x")
    ready.receive()
    second = project.start("redo", "x")
    wait_for_sessions(project, 2)
    go.send()
    ready.receive()
    finish(first)
    go.send()
    finish(second)
    assert count(project, "count") == 2


def test_who_joined_builds_again_when_an_input_changed_meanwhile(project: Project, ready: Fifo, go: Fifo) -> None:
    project.write("in", "old\n")
    project.write("x.do", "redo-ifchange in; cat in; echo >ready; read y <go\n")
    first = project.start("redo-ifchange", "x")
    ready.receive()
    project.write("in", "newer\n")
    second = project.start("redo-ifchange", "x")
    expect(second, b"redo  x\n")
    go.send()
    ready.receive()
    go.send()
    finish(first)
    finish(second)
    assert project.read("x") == "newer\n"


def test_a_shared_build_outlives_the_client_that_started_it(project: Project, ready: Fifo, go: Fifo) -> None:
    project.write("y.do", "echo built >>count; echo >ready; read y <go; echo y\n")
    project.write("x.do", "redo-ifchange y; echo built >>count; cat y\n")
    first = project.start("redo-ifchange", "x")
    ready.receive()
    second = project.start("redo-ifchange", "x")
    seen = expect(second, b"redo    y\n")
    first.kill()
    finish(first, status=-9)
    go.send()
    _, rest = finish(second)
    assert seen + rest == b"redo  x\nredo    y\n"
    assert project.read("x") == "y\n"
    assert count(project, "count") == 2
    assert project.redo("x") == []


def test_the_last_clients_leaving_ends_a_shared_job(project: Project, ready: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo $$ >ready; read y <go; echo x\n")
    first = project.start("redo-ifchange", "x")
    script = ready.receive_process()
    second = project.start("redo-ifchange", "x")
    expect(second, b"redo  x\n")
    first.kill()
    finish(first, status=-9)
    wait_for_sessions(project, 1)
    assert script.is_alive
    second.kill()
    finish(second, status=-9)
    script.wait_end()
    assert not (project.path / "x").exists()


@pytest.mark.parametrize("jobs", ["-j1", "-j2"])
def test_calls_of_one_script_at_the_same_time_are_all_answered(project: Project, jobs: str) -> None:
    project.write("b.do", "echo b\n")
    project.write("c.do", "echo c\n")
    project.write("a.do", "for name in b ./b c; do redo-ifchange $name & done; wait; cat b c\n")
    project.run("redo", jobs, "a", check=True)
    assert project.read("a") == "b\nc\n"
