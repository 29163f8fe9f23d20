"""What was recorded stays recorded, however the daemon ends and whatever happens to `.redo`."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, Watched, count, finish, status_of
from tests.behaviour.project import Project


def make_tree(project: Project) -> None:
    """`all` wants a and b, and they want source, each through a script that counts its runs."""
    project.write("source", "1\n")
    project.write("all.do", "redo-ifchange a b; echo run >>count\n")
    project.write("a.do", "redo-ifchange source; cat source; echo run >>count\n")
    project.write("b.do", "redo-ifchange source; cat source >$3; echo run >>count\n")


def quietly(project: Project, *targets: str) -> list[str]:
    """Build, and see that nothing is said of hand edits or damage."""
    result = project.run("redo-ifchange", *targets, check=True)
    assert not re.search(rb"modified|cannot|removed", result.stderr), result.stderr
    return project.jobs(result)


def test_a_stopped_daemon_has_recorded_everything(project: Project) -> None:
    make_tree(project)
    project.redo()
    project.run("redod", "stop", check=True)
    assert quietly(project) == []
    project.write("source", "22\n")
    assert sorted(quietly(project)) == ["a", "all", "b"]


def test_a_killed_daemon_has_recorded_every_answered_build(project: Project) -> None:
    make_tree(project)
    for turn in range(5):
        project.write("source", "x" * turn)
        project.redo()
        project.kill_server()
        assert quietly(project) == []
    assert count(project, "count") == 15


def test_a_daemon_killed_during_a_build_has_recorded_what_was_done(project: Project, pids: Fifo, go: Fifo) -> None:
    """The half-written output is never taken for the target, nor the old one for a hand edit."""
    project.write("done.do", "echo done; echo run >>count\n")
    project.write("x.do", f"echo old; echo run >>count; echo $$ >{pids.path}\n")
    project.redo("x")
    pids.receive()
    project.write(
        "x.do", f"redo-ifchange done; echo half >$3; echo $$ >{pids.path}; read y <{go.path}; echo all >>$3\n"
    )
    project.redo("done")
    building = project.start("redo-ifchange", "x")
    script = pids.receive_process()
    project.kill_server()
    _, err = finish(building, status=1)
    assert b"the build server (redod) ended without an answer" in err
    assert project.read("x") == "old\n"
    # The script outlives the daemon, and ends beside the next one's run of it.
    again = project.start("redo-ifchange", "x")
    pids.receive()
    assert project.read("x") == "old\n"
    go.send()
    go.send()
    script.wait_end()
    _, err = finish(again)
    assert b"modified" not in err
    assert project.read("x") == "half\nall\n"
    assert quietly(project, "x") == []
    assert count(project, "count") == 2


def test_a_nested_call_of_a_killed_daemons_script_does_no_harm(project: Project, pids: Fifo, go: Fifo) -> None:
    """It starts the next daemon, which ends what a killed one has left, the script with its call, before or after y."""
    project.write("y.do", "echo y\n")
    project.write("x.do", f"echo $$ >{pids.path}; read z <{go.path}; redo-ifchange y; echo x\n")
    building = project.start("redo-ifchange", "x")
    script = pids.receive_process()
    project.kill_server()
    finish(building, status=1)
    go.send()
    script.wait_end()
    assert quietly(project, "y") in ([], ["y"])
    assert not (project.path / "x").exists()
    go.send()
    assert quietly(project, "x") == ["x"]


def test_kills_cost_no_answered_build_and_leave_no_half_target(project: Project, pids: Fifo, go: Fifo) -> None:
    """A row of targets; the daemon is killed while each third script has written half of its target. What it has not
    committed by then (results of the last 0.1 s) is built again, and taken neither for a hand edit nor for up to date.
    """
    project.write(
        "default.t.do",
        f"echo $2 >>count; seq 10000 >$3; echo $2 >{pids.path}; read go <{go.path}; seq 10001 20000 >>$3\n",
    )
    project.write("all.do", "for n in $(seq 20); do redo-ifchange $n.t; done\n")
    for turn in range(6):
        answered = project.start("redo-ifchange", f"answered{turn}.t")
        assert pids.receive() == f"answered{turn}"
        go.send()
        finish(answered)
        building = project.start("redo-ifchange", "all")
        pids.receive()
        for _ in range(2):
            go.send()
            pids.receive()
        project.kill_server()
        finish(building, status=1)
    names = [*(f"{number}.t" for number in range(1, 21)), *(f"answered{turn}.t" for turn in range(6))]
    for _ in names:
        go.send()
    quietly(project, "all", *names)
    whole = "".join(f"{number}\n" for number in range(1, 20001))
    assert all(project.read(name) == whole for name in names)
    runs = project.read("count").split()
    assert sorted(run for run in runs if run.startswith("answered")) == [f"answered{turn}" for turn in range(6)]
    assert quietly(project, "all", *names) == []


def test_a_reboot_in_the_middle_leaves_temporaries_that_do_no_harm(project: Project, pids: Fifo, go: Fifo) -> None:
    """Scripts and daemon die at the same moment; nobody is left to remove the `$3`, which is ignored for ever."""
    project.write("x.do", f"echo half >$3; echo $$ >{pids.path}; read y <{go.path}; echo whole >$3\n")
    building = project.start("redo-ifchange", "x")
    script = pids.receive_process()
    project.kill_server()
    script.kill()
    finish(building, status=1)
    (left,) = [name for name in os.listdir(project.path) if name.endswith(".redo.tmp")]
    assert re.fullmatch(r"x\.[0-9a-f]{8}\.redo\.tmp", left)
    go.send()
    assert quietly(project, "x") == ["x"]
    assert project.read("x") == "whole\n"
    assert project.run("redo-targets").stdout == b"x\n"


def test_redo_removed_under_the_daemon_is_written_anew_from_memory(project: Project) -> None:
    make_tree(project)
    project.redo()
    shutil.rmtree(project.path / ".redo")
    assert project.redo() == []
    project.write("source", "22\n")
    assert sorted(project.redo()) == ["a", "all", "b"]
    project.run("redod", "stop", check=True)
    assert quietly(project) == []


def test_redo_removed_under_the_daemon_is_written_anew_though_nothing_is_built(project: Project) -> None:
    make_tree(project)
    project.redo()
    shutil.rmtree(project.path / ".redo")
    assert project.redo() == []
    project.kill_server()
    assert quietly(project) == []


def test_redo_removed_under_the_daemon_stays_one_workspace_for_its_subdirectories(project: Project) -> None:
    project.write("sub/x.do", "echo x\n")
    project.redo("sub/x")
    shutil.rmtree(project.path / ".redo")
    assert project.jobs(project.run("redo-ifchange", "x", cwd=project.path / "sub", check=True)) == []
    project.write("sub/y.do", "redo-ifchange x; cat x\n")
    project.run("redo-ifchange", "y", cwd=project.path / "sub", check=True)
    assert (project.path / ".redo").is_dir()
    assert not (project.path / "sub/.redo").exists()


def test_redo_removed_by_a_script_is_made_again_for_those_that_it_asks_for(project: Project) -> None:
    """As `git clean` in another terminal does it in the midst of a build."""
    project.write("all.do", "rm -rf .redo; echo cleaned >&2; redo-ifchange a b\n")
    project.write("default.do", "echo $1; echo made $1 >&2\n")
    result = project.run("redo", "all", check=True)
    assert b"could not be kept" not in result.stderr
    assert result.stderr.count(b".redo was removed; it was written anew from memory") == 1
    assert quietly(project) == []
    assert b"made a" in project.run("redo-log", "a", check=True).stdout
    project.run("redod", "stop", check=True)
    assert quietly(project) == []


@pytest.mark.parametrize("damage", [b"", b"this is no database", b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_database_is_set_aside_and_built_files_stay_targets(project: Project, damage: bytes) -> None:
    make_tree(project)
    project.redo()
    project.run("redod", "stop", check=True)
    (project.path / ".redo/redod.sqlite3").write_bytes(damage)
    for extra in ("redod.sqlite3-wal", "redod.sqlite3-shm"):
        (project.path / ".redo" / extra).unlink(missing_ok=True)
    result = project.run("redo-ifchange", "all", check=True)
    assert b"modified" not in result.stderr
    assert {"a", "b"} <= set(project.jobs(result))
    assert quietly(project) == []


def test_a_moved_project_stays_what_it_was_for_the_next_daemon(project: Project, tmp_path: Path) -> None:
    make_tree(project)
    project.redo()
    project.run("redod", "stop", check=True)
    project.path = project.path.rename(tmp_path / "moved")
    assert quietly(project) == []


def test_a_project_moved_under_the_daemon_stays_what_it_was(project: Project, tmp_path: Path) -> None:
    make_tree(project)
    project.redo()
    project.path = project.path.rename(tmp_path / "moved")
    assert quietly(project) == []
    project.write("source", "22\n")
    assert sorted(quietly(project)) == ["a", "all", "b"]
    assert [Path(each["root"]).name for each in status_of(project)["workspaces"]] == ["moved"]


def test_a_project_moved_away_and_another_put_in_its_place(project: Project, tmp_path: Path) -> None:
    make_tree(project)
    project.redo()
    old = project.path
    project.path.rename(tmp_path / "moved")
    old.mkdir()
    make_tree(project)
    assert sorted(project.redo()) == ["a", "all", "b"]
    project.path = tmp_path / "moved"
    assert quietly(project) == []
    project.path = old
    assert quietly(project) == []


def test_a_project_seen_through_a_link_is_the_same_one(project: Project, tmp_path: Path) -> None:
    make_tree(project)
    project.redo()
    (tmp_path / "link").symlink_to(project.path)
    assert project.jobs(project.run("redo-ifchange", "link/all", cwd=tmp_path, check=True)) == []


def test_a_daemon_that_hangs_is_killed_and_nothing_is_lost(project: Project, pids: Fifo, go: Fifo) -> None:
    """SIGSTOP stands for a daemon that does not answer: clients wait, and when it is killed go on with the next one,
    since it cannot have read what they want.
    """
    make_tree(project)
    project.redo()
    daemon = Watched(project.server_pid)
    daemon.kill(signal.SIGSTOP)
    waiting = project.start("redo-ifchange", "all")
    daemon.kill()
    daemon.wait_end()
    _, err = finish(waiting)
    assert err == b""
    assert quietly(project) == []
