"""What a session is: which calls belong to it, and what becomes of calls whose job is over."""

from collections.abc import Iterator

import pytest

from tests.behaviour.events import Fifo, count, expect, finish, wait_for_sessions
from tests.behaviour.project import Project


@pytest.fixture
def ready(project: Project) -> Iterator[Fifo]:
    fifo = Fifo(project.path / "ready")
    yield fifo
    fifo.close()


def test_a_token_of_a_job_that_has_ended_begins_a_session_of_its_own(project: Project) -> None:
    """As in an editor or a tmux that a script has started."""
    project.write("x.do", "echo $REDO_JOB >token")
    project.write("y.do", "echo y")
    project.redo("x")
    result = project.run("redo-ifchange", "y", env={"REDO_JOB": project.read("token").strip()}, check=True)
    assert (result.stderr, project.read("y")) == (b"redo  y\n", "y\n")


def test_a_token_that_nobody_gave_out_begins_a_session_of_its_own(project: Project) -> None:
    project.write("y.do", "echo y")
    result = project.run("redo-ifchange", "y", env={"REDO_JOB": "nonsense"}, check=True)
    assert result.stderr == b"redo  y\n"


def test_what_outlived_its_target_calls_as_a_session_of_its_own(project: Project, ready: Fifo, go: Fifo) -> None:
    project.write("y.do", "echo y")
    project.write("x.do", "redo-detach sh -c 'read y <go; redo-ifchange y 2>err; echo $? >ready'; echo x")
    project.redo("x")
    go.send()
    assert ready.receive() == "0"
    assert (project.read("err"), project.read("y")) == ("redo  y\n", "y\n")
    assert project.redo("x") == [], "it is no dependency of the target that was made long ago"


def test_a_call_without_its_token_belongs_to_the_script_that_it_descends_from(project: Project) -> None:
    project.write("source", "one")
    call = 'env -i PATH="$PATH" REDOD_SOCKET="$REDOD_SOCKET" sh -c "redo-ifchange source y; exit"'
    project.write("x.do", f"{call}; cat source y")
    project.write("y.do", "echo $REDO_DEPTH")
    assert project.redo("x") == ["x", "y"]
    project.write("source", "other")
    assert project.redo("x") == ["x"]


def test_a_nested_call_of_a_job_that_was_taken_over_belongs_to_the_session_that_has_it(
    project: Project, ready: Fifo, go: Fifo
) -> None:
    """Its first session is gone: what the script asks for then is asked for by those who wait for it."""
    project.write("y.do", "echo built >>count; echo y")
    project.write("x.do", "echo >ready; read y <go; redo-ifchange y; cat y")
    first = project.start("redo-ifchange", "x")
    ready.receive()
    second = project.start("redo-ifchange", "x")
    expect(second, b"redo  x\n")
    first.kill()
    finish(first, status=-9)
    wait_for_sessions(project, 1)
    go.send()
    assert finish(second)[1] == b"redo    y\n"
    assert project.read("x") == "y\n"
    assert project.redo("x", "y") == []
    assert count(project, "count") == 1


def test_the_workspace_of_a_job_that_was_taken_over_is_not_given_up_under_it(
    project: Project, ready: Fifo, go: Fifo
) -> None:
    project.write("x.do", "echo >ready; read y <go; echo x")
    first = project.start("redo-ifchange", "x")
    ready.receive()
    second = project.start("redo-ifchange", "x")
    expect(second, b"redo  x\n")
    first.kill()
    finish(first, status=-9)
    wait_for_sessions(project, 1)
    # Another server asks for the workspace, and must wait.
    third = project.start("redo-ifchange", "x", env={"REDOD": "off"})
    expect(third, b"waiting for another build server")
    go.send()
    finish(second)
    _, told = finish(third)
    assert b"redo  x" not in told, "it was built already"
