"""One daemon owns a workspace at a time and gives it up on request; workspaces inside workspaces."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, Watched, count, expect, finish, status_of, wait_for_sessions
from tests.behaviour.project import Project, make_install


@pytest.fixture
def other(project: Project, tmp_path: Path) -> Iterator[Project]:
    """The same project through another daemon."""
    made = Project(project.path, project.bindir, tmp_path / "other")
    yield made
    made.close()


def make_tree(project: Project) -> None:
    project.write("source", "1\n")
    project.write("all.do", "redo-ifchange a b; echo run >>count\n")
    for name in ("a", "b"):
        project.write(f"{name}.do", "redo-ifchange source; cat source; echo run >>count\n")


def test_two_daemons_used_in_turn_build_nothing_twice(project: Project, other: Project) -> None:
    make_tree(project)
    for turn in range(4):
        one, two = (project, other) if turn % 2 else (other, project)
        project.write("source", "x" * turn)
        assert sorted(one.redo()) == ["a", "all", "b"]
        assert two.redo() == []
        assert one.redo() == []
    assert count(project, "count") == 12
    assert project.server_pid != other.server_pid != 0


def test_two_installs_have_two_daemons_that_share_a_workspace(project: Project, tmp_path: Path) -> None:
    second = Project(project.path, make_install(tmp_path / "second", "python"), tmp_path / "unused")
    second.environment["XDG_RUNTIME_DIR"] = project.environment["XDG_RUNTIME_DIR"]
    make_tree(project)
    assert sorted(project.redo()) == ["a", "all", "b"]
    assert second.redo() == []
    assert project.redo() == []
    assert 0 != project.server_pid != second.server_pid != 0
    second.close()


def test_the_other_daemons_build_is_waited_for_and_shared(
    project: Project, other: Project, pids: Fifo, go: Fifo
) -> None:
    project.write("x.do", f"echo run >>count; echo $$ >{pids.path}; read y <{go.path}; echo x\n")
    first = project.start("redo-ifchange", "x")
    pids.receive()
    second = other.start("redo-ifchange", "x")
    expect(second, b"waiting for another build server")
    go.send()
    finish(first)
    _, err = finish(second)
    assert b"redo  x" not in err
    assert count(project, "count") == 1


def test_who_waits_for_a_workspace_can_be_interrupted_and_stopped(
    project: Project, other: Project, pids: Fifo, go: Fifo
) -> None:
    project.write("x.do", f"echo $$ >{pids.path}; read y <{go.path}; echo x\n")
    first = project.start("redo-ifchange", "x")
    pids.receive()
    interrupted, stopped = other.start("redo-ifchange", "x"), other.start("redo-ifchange", "x")
    expect(interrupted, b"waiting for another build server")
    expect(stopped, b"waiting for another build server")
    interrupted.send_signal(signal.SIGINT)
    finish(interrupted, status=-signal.SIGINT)
    other.run("redod", "stop", check=True)
    finish(stopped, status=1)
    go.send()
    finish(first)
    assert project.redo("x") == []


def test_a_daemon_that_is_killed_while_it_owns_the_workspace_hands_it_over(
    project: Project, other: Project, pids: Fifo, go: Fifo
) -> None:
    project.write("x.do", f"echo $$ >{pids.path}; read y <{go.path}; echo x\n")
    first = project.start("redo-ifchange", "x")
    script = pids.receive_process()
    second = other.start("redo-ifchange", "x")
    expect(second, b"waiting for another build server")
    project.kill_server()
    finish(first, status=1)
    pids.receive()
    go.send()
    go.send()
    finish(second)
    script.wait_end()
    assert other.redo("x") == []


def test_what_was_cancelled_before_it_was_ever_built_is_built_after_the_workspace_was_given_up(
    project: Project, other: Project, pids: Fifo, go: Fifo
) -> None:
    project.write("x.do", f"echo $$ >{pids.path}; read y <{go.path}; echo x\n")
    project.write("z.do", "echo z\n")
    cancelled = project.start("redo-ifchange", "x")
    pids.receive()
    cancelled.send_signal(signal.SIGINT)
    finish(cancelled, status=-signal.SIGINT)
    wait_for_sessions(project, 0)
    assert other.redo("z") == ["z"]
    go.send()
    assert project.redo("x") == ["x"]
    assert pids.receive()


def test_what_another_daemon_has_built_since_the_store_was_removed_is_known(project: Project, other: Project) -> None:
    project.write("x.do", "echo x\n")
    project.write("z.do", "redo-ifchange source; cat source\n")
    project.write("source", "1\n")
    assert project.redo("x") == ["x"]
    shutil.rmtree(project.path / ".redo")
    assert other.redo("z") == ["z"]
    assert project.redo("z") == []
    project.write("source", "22\n")
    assert project.redo("z") == ["z"]
    assert other.redo("z") == []


def test_a_project_that_took_the_place_of_another_is_the_one_that_is_built(project: Project) -> None:
    """Two directories with a store each, of which now the one has this name and now the other."""
    for name in ("here", "there"):
        (project.path / name / ".redo").mkdir(parents=True)
        project.write(f"{name}/x.do", "redo-ifchange source; cat source; echo run >>../count\n")
        project.write(f"{name}/source", f"{name}\n")
        project.run("redo-ifchange", "x", cwd=project.path / name, check=True)
    here, there, away = (project.path / name for name in ("here", "there", "away"))
    for _ in range(2):
        here.rename(away)
        there.rename(here)
        away.rename(there)
        for where in (here, there):
            result = project.run("redo-ifchange", "x", cwd=where, check=True)
            assert result.stderr == b""
    assert count(project, "count") == 2
    project.write("here/source", "new\n")
    assert project.jobs(project.run("redo-ifchange", "x", cwd=here, check=True)) == ["x"]
    assert (project.read("here/x"), project.read("there/x")) == ("new\n", "there\n")


def test_the_owners_socket_may_have_a_long_path(project: Project, other: Project) -> None:
    directory = project.runtime / ("long" * 40)
    directory.mkdir()
    project.environment["REDOD_SOCKET"] = str(directory / "s.sock")
    make_tree(project)
    project.redo()
    assert other.redo() == []
    assert project.redo() == []


def test_a_stopping_owner_is_waited_for(patient: Project, other: Project, pids: Fifo, go: Fifo) -> None:
    """Its socket is gone before the workspace is free."""
    patient.write("x.do", f"trap 'echo trapped >{pids.path}; read y <{go.path}; exit 1' TERM; echo $$ >{pids.path}\n"
                  f"while :; do read y <{go.path}; done\n")  # fmt: skip
    patient.write("z.do", "echo z\n")
    first = patient.start("redo-ifchange", "x")
    pids.receive_process()
    daemon = Watched(patient.server_pid)
    stopping = patient.start("redod", "stop")
    assert pids.receive() == "trapped"
    second = other.start("redo-ifchange", "z")
    go.send()
    finish(stopping)
    finish(first, status=1)
    finish(second)
    daemon.wait_end()


# ---- Workspaces inside workspaces


def make_nested(project: Project) -> None:
    """Two projects, each with a store of its own, the inner one below the outer one."""
    for name in (".", "inner"):
        (project.path / name / ".redo").mkdir(parents=True)
    project.write("source", "1\n")
    project.write("outer.do", "redo-ifchange inner/lib; cat inner/lib; echo outer >>count\n")
    project.write("inner/lib.do", "redo-ifchange ../base; cat ../base; echo lib >>../count\n")
    project.write("base.do", "redo-ifchange source; cat source; echo base >>count\n")


def roots(project: Project) -> list[str]:
    return sorted(Path(each["root"]).name for each in status_of(project)["workspaces"])


def test_dependencies_across_workspaces_are_recorded_in_both(project: Project) -> None:
    make_nested(project)
    assert project.redo("outer") == ["outer", "inner/lib", "base"]
    assert roots(project) == ["inner", "project"]
    project.run("redod", "stop", check=True)
    assert project.redo("outer") == []
    assert project.jobs(project.run("redo-ifchange", "lib", cwd=project.path / "inner", check=True)) == []
    project.write("source", "22\n")
    assert project.redo("outer") == ["outer", "inner/lib", "base"]
    assert project.read("outer") == "22\n"


def test_an_inner_workspace_given_to_another_daemon_comes_back(project: Project, other: Project) -> None:
    make_nested(project)
    project.redo("outer")
    inner = project.path / "inner"
    assert other.jobs(other.run("redo-ifchange", "lib", cwd=inner, check=True)) == []
    assert project.redo("outer") == []
    project.write("source", "22\n")
    result = other.run("redo-ifchange", "lib", cwd=inner, check=True)
    assert other.jobs(result) == ["lib", "../base"]
    assert project.redo("outer") == ["outer"]
    assert other.redo("outer") == []
    assert count(project, "count") == 6


def test_a_workspace_that_is_gone_with_its_targets_is_built_anew(project: Project) -> None:
    make_nested(project)
    project.redo("outer")
    project.run("redod", "stop", check=True)
    (project.path / "inner/lib").unlink()
    for left in (project.path / "inner/.redo").glob("redod.sqlite3*"):
        left.unlink()
    assert "inner/lib" in project.redo("outer")
    assert project.redo("outer") == []


def test_a_wait_for_another_daemon_goes_on_for_the_session_that_takes_its_job_over(
    project: Project, other: Project, pids: Fifo, go: Fifo
) -> None:
    for name in ("outer", "inner"):
        (project.path / name / ".redo").mkdir(parents=True)
    inner, outer = project.path / "inner", project.path / "outer"
    project.write("inner/y.do", f"echo $$ >{pids.path}; read y <{go.path}; echo y")
    project.write("inner/z.do", "echo z")
    project.write("outer/x.do", f"echo $$ >{pids.path}; redo-ifchange ../inner/z; cat ../inner/z")
    builder = other.start("redo-ifchange", "y", cwd=inner)
    pids.receive()
    first = project.start("redo-ifchange", "x", cwd=outer)
    expect(first, b"waiting for another build server")
    second = project.start("redo-ifchange", "x", cwd=outer)
    expect(second, b"waiting for another build server")
    first.kill()
    finish(first, status=-signal.SIGKILL)
    wait_for_sessions(project, 1)
    go.send()
    finish(builder)
    finish(second)
    assert project.read("outer/x") == "z\n"
    other.run("redo-ifchange", "z", cwd=inner, check=True)
    assert project.jobs(project.run("redo-ifchange", "x", cwd=outer, check=True)) == []
