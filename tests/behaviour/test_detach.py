"""redo-detach in a dofile: the target is done when its script is, and the process lives on."""

import os
from pathlib import Path

from tests.behaviour.events import Fifo, Watched, expect, finish
from tests.behaviour.project import Project
from tests.client.test_detach import Manager
from tests.descriptors import descriptors_of

WHO = "sh -c 'echo $$ >pids; exec sleep 1000'"
PASSED_ON = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
"""What systemd-run does after it has made the scope."""


def test_the_target_ends_with_its_script_and_the_process_lives_on(project: Project, pids: Fifo) -> None:
    project.write("x.do", f"redo-detach {WHO}; echo x\n")
    result = project.run("redo", "x", check=True)
    service = pids.receive_process()
    assert result.stderr == b"redo  x\n"
    assert project.read("x") == "x\n"
    assert service.is_alive
    service.kill()


def test_a_pidfile_may_be_the_target(project: Project, pids: Fifo) -> None:
    project.write("x.do", f"redo-detach --log log --pidfile $3 {WHO}\n")
    project.redo("x")
    service = pids.receive_process()
    assert project.read("x") == f"{service.pid}\n"
    assert project.redo("x") == []
    service.kill()


def test_a_command_that_cannot_run_fails_the_target(project: Project) -> None:
    project.write("x.do", "redo-detach --pidfile $3 no-such-command\necho not reached >&2\n")
    result = project.run("redo", "x")
    assert result.returncode == 1
    assert result.stderr == (
        b"redo  x\nredo-detach: cannot run no-such-command: No such file or directory\nredo  x (exit 127)\n"
    )
    assert sorted(os.listdir(project.path)) == [".redo", "x.do"]


def test_a_build_that_a_detached_process_asks_for_is_one_of_its_own(project: Project, pids: Fifo, go: Fifo) -> None:
    """It belongs to no job any more, so nothing waits for it and it waits for nothing."""
    project.write("y.do", "echo y\n")
    project.write("x.do", "redo-detach --log log sh -c 'read x <go; redo-ifchange y; echo $? >pids'; echo x\n")
    project.redo("x")
    go.send()
    assert pids.receive() == "0"
    assert project.read("log") == "redo  y\n"
    assert project.read("y") == "y\n"


def test_ctrl_c_leaves_a_detached_process_alone(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", f"redo-detach {WHO}; echo detached >&2; read x <go\n")
    client = project.start("redo", "x")
    service = pids.receive_process()
    expect(client, b"detached")
    client.terminate()
    finish(client, status=-15)
    assert service.is_alive
    service.kill()


def test_where_systemd_has_a_manager_for_the_user_the_process_gets_a_scope(project: Project, tmp_path: Path) -> None:
    manager = Manager(tmp_path, f'echo "$@" >{project.path}/called; {PASSED_ON}')
    environment = {key.decode(): value.decode() for key, value in manager.environment.items()}
    project.run("redo-detach", "--pidfile=pid", "sleep", "1000", env=environment, check=True)
    service = Watched(int(project.read("pid")))
    own = os.path.realpath(project.bindir / "redo-detach")
    assert project.read("called") == f"--user --scope --quiet --collect -- {own} --in-scope sleep 1000\n"
    descriptors_of(service.pid)
    service.kill()


def test_in_a_scope_too_a_command_that_cannot_run_is_a_failure(project: Project, tmp_path: Path) -> None:
    manager = Manager(tmp_path, PASSED_ON)
    environment = {key.decode(): value.decode() for key, value in manager.environment.items()}
    result = project.run("redo-detach", "/no/such/command", env=environment)
    assert result.returncode == 127
    assert result.stderr == b"redo-detach: cannot run /no/such/command: No such file or directory\n"
