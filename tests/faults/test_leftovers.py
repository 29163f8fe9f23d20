"""What must not be left over: temporaries of killed builds, and traces of stores that could not be made."""

import errno
import os
from pathlib import Path

import pytest

from redod.store import StoreError
from redod.store.tables import DATABASE
from redod.store.workspaces import Workspaces
from tests.behaviour.events import Fifo, finish
from tests.behaviour.project import Project
from tests.descriptors import own_descriptors


def workspaces(top: Path) -> Workspaces:
    return Workspaces(os.fsencode(top / "state"), lambda _: "ext4")


def test_what_a_killed_server_left_of_a_build_is_removed_by_the_next(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", f"echo half >$3; : >$3.d; echo $$ >{pids.path}; read y <{go.path}; echo all >>$3\n")
    building = project.start("redo-ifchange", "x")
    script = pids.receive_process()
    project.kill_server()
    building.communicate()
    go.send()
    script.wait_end()
    assert len(list(project.path.glob("*.redo.tmp*"))) == 2
    go.send()
    assert project.redo("x") == ["x"]
    assert project.read("x") == "half\nall\n"
    # They are removed beside the build.
    project.run("redod", "stop", check=True)
    assert not list(project.path.glob("*.redo.tmp*"))


def test_a_project_that_is_removed_while_it_is_built_can_be_made_again(project: Project, pids: Fifo, go: Fifo) -> None:
    """What was built last could be written nowhere."""
    inner = project.path / "inner"
    (inner / ".redo").mkdir(parents=True)
    project.write("inner/x.do", f"echo $$ >{pids.path}; read y <{go.path}; echo x\n")
    project.write("y.do", "echo y\n")
    building = project.start("redo", "x", cwd=inner)
    pids.receive()
    moved = inner.rename(project.path / "moved")
    go.send()
    finish(building, status=1)
    assert project.redo("y") == ["y"]
    moved.rename(inner)
    go.send()
    result = project.run("redo-ifchange", "x", cwd=inner, check=True)
    assert project.jobs(result) == ["x"]
    assert project.jobs(project.run("redo-ifchange", "x", cwd=inner, check=True)) == []


def test_a_refused_build_says_why_and_nothing_else(project: Project) -> None:
    """The store can neither be in the tree nor in the state directory."""
    project.write("x.do", "echo x")
    project.write(".redo", "")
    Path(project.environment["HOME"], ".local").write_bytes(b"")
    result = project.run("redo-ifchange", "x")
    assert result.returncode == 1
    assert result.stderr.count(b"\n") == 1
    assert b"XDG_STATE_HOME" in result.stderr


def test_a_fifo_as_dofile_is_an_error(project: Project) -> None:
    os.mkfifo(project.path / "x.do")
    result = project.run("redo", "x")
    assert result.returncode == 1
    assert b"x.do: it is a FIFO" in result.stderr


def test_a_full_disk_is_no_reason_to_have_the_store_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes, and then nothing would know the targets that are recorded there."""
    root, opened = os.fsencode(tmp_path / "p"), own_descriptors()
    os.mkdir(root)

    def full(_number: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StoreError, match="no space left"):
            workspaces(tmp_path).prepare(root, b"/nonexistent")
    assert len(os.listdir("/proc/self/fd")) == opened
    assert workspaces(tmp_path).prepare(root, b"/nonexistent").in_tree
    assert (tmp_path / "p/.redo/.gitignore").read_bytes() == b"*\n"


def test_a_tree_that_becomes_writable_keeps_the_store_that_knows_its_targets(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "p")
    os.mkdir(root)
    (tmp_path / "p/.redo").write_bytes(b"")
    outside = workspaces(tmp_path).prepare(root, b"/nonexistent")
    assert not outside.in_tree
    (tmp_path / "p/.redo").unlink()
    assert workspaces(tmp_path).prepare(root, b"/nonexistent").in_tree, "nothing is recorded there yet"
    os.close(os.open(outside.directory + b"/" + DATABASE, os.O_CREAT))
    assert workspaces(tmp_path).prepare(root, b"/nonexistent") == outside


DETACHED = """
python3 -c '
import os
os.closerange(3, 256)
print(os.getpid(), file=open("{pids}", "w"))
os.execvp("sleep", ["sleep", "1000"])
' >/dev/null 2>&1 &
echo x
"""
"""It holds no completion pipe: the target is committed while it runs."""


def test_what_a_killed_server_left_running_is_ended_before_anything_is_built(project: Project, pids: Fifo) -> None:
    project.write("x.do", f"echo half >$3; sleep 1000 & echo $! >{pids.path}; echo $$ >{pids.path}; wait\n")
    project.write("y.do", f"echo $$ >{pids.path}; echo y\n")
    building = project.start("redo-ifchange", "x")
    family = [pids.receive_process(), pids.receive_process()]
    project.kill_server()
    building.communicate()
    assert project.redo("y") == ["y"]
    assert not [process for process in family if process.is_alive]
    project.run("redod", "stop", check=True)
    assert not list(project.path.glob("*.redo.tmp*"))


def test_what_outlived_a_committed_target_lives_on_after_the_servers_death(project: Project, pids: Fifo) -> None:
    project.write("x.do", DETACHED.format(pids=pids.path))
    project.write("y.do", "echo y\n")
    assert project.redo("x") == ["x"]
    process = pids.receive_process()
    project.kill_server()
    assert project.redo("y") == ["y"]
    assert process.is_alive
    process.kill()
