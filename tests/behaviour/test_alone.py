"""Instances that serve one invocation and go: asked for, or because the server cannot do what the client needs."""

import os
import resource
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, Watched, count, expect, finish
from tests.behaviour.project import Project

NESTED = "redo-ifchange b source; cat b source; echo run >>count\n"


def make_tree(project: Project) -> None:
    project.write("source", "1\n")
    project.write("all.do", NESTED)
    project.write(
        "b.do", "redo-ifchange source; cat source; echo run >>count; echo $REDOD_SOCKET >socket; echo $PPID >instance\n"
    )


def left_of_instances(project: Project) -> list[str]:
    """What is there once the instance that ran `b` has ended."""
    with suppress(ProcessLookupError):
        Watched(int(project.read("instance"))).wait_end()
    return [path.name for path in (project.runtime / "redod").glob("alone-*")]


@pytest.mark.parametrize("how", [{"REDOD": "off"}, {}])
def test_an_invocation_without_the_daemon_builds_and_records_and_leaves_nothing(
    project: Project, how: dict[str, str]
) -> None:
    make_tree(project)
    command = ["redo-ifchange", "all"] if how else ["redo", "--no-daemon", "all"]
    result = project.run(*command, env=how, check=True)
    assert project.jobs(result) == ["all", "b"]
    assert "/redod/alone-" in project.read("socket"), "what the scripts ask for is served by the same instance"
    assert project.server_pid == 0
    assert project.redo() == []
    assert left_of_instances(project) == []


def test_without_the_daemon_beside_a_running_one_nothing_is_built_twice(project: Project) -> None:
    make_tree(project)
    assert project.redo() == ["all", "b"]
    pid = project.server_pid
    for turn in range(3):
        assert project.jobs(project.run("redo-ifchange", "all", env={"REDOD": "off"}, check=True)) == []
        project.write("source", "x" * turn + "\n")
        again = project.run("redo-ifchange", "all", env={"REDOD": "off"}, check=True)
        assert project.jobs(again) == ["all", "b"]
        assert project.redo() == []
    assert project.server_pid == pid
    assert count(project, "count") == 8


def test_a_script_cannot_leave_the_daemon_that_runs_it(project: Project) -> None:
    """It would wait for the workspace, and the workspace for it."""
    make_tree(project)
    project.write("all.do", "REDOD=off redo-ifchange b; redo --no-daemon b; cat b\n")
    result = project.run("redo-ifchange", "all", check=True)
    assert project.jobs(result) == ["all", "b", "b"]


def test_a_script_that_gets_away_without_its_environment_is_told_and_does_not_hang(project: Project) -> None:
    make_tree(project)
    redo = project.bindir / "redo-ifchange"
    runtime = project.environment["XDG_RUNTIME_DIR"]
    project.write("all.do", f"env -i REDOD=off PATH=$PATH XDG_RUNTIME_DIR={runtime} {redo} b\n")
    result = project.run("redo-ifchange", "all")
    assert result.returncode == 1
    assert b"keep REDO_JOB and REDOD_SOCKET" in result.stderr
    project.write("all.do", NESTED)
    assert project.redo() == ["all", "b"]


def test_an_interrupted_invocation_without_the_daemon_ends_its_scripts(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("all.do", "echo $PPID >instance; echo $$ >pids; read x <go\n")
    for number in (signal.SIGINT, signal.SIGKILL):
        client = project.start("redo", "all", env={"REDOD": "off"})
        script = pids.receive_process()
        client.send_signal(number)
        finish(client, status=-number)
        script.wait_end()
        assert left_of_instances(project) == []


def test_a_client_with_higher_limits_than_the_daemon_gets_them(project: Project) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    project.write("all.do", "ulimit -Hn\n")
    server = project.start("prlimit", "--nofile=1000:1000", str(project.bindir / "redod"), "run")
    expect(server, b"serving")
    result = project.run("redo", "all", check=True)
    assert result.stderr.count(b"higher hard limits") == 1
    assert project.read("all") == ("unlimited\n" if hard == resource.RLIM_INFINITY else f"{hard}\n")
    project.run("redod", "stop", check=True)
    finish(server)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its groups")
def test_a_client_in_other_groups_than_the_daemon_builds_with_its_own(project: Project) -> None:
    project.write("all.do", "redo-ifchange b; cat b; id -G\n")
    project.write("b.do", "id -G\n")
    project.write("c.do", "echo c\n")
    project.redo("c")
    redo = str(project.bindir / "redo")
    result = project.run("setpriv", "--groups=0,4711", redo, "all", check=True)
    assert result.stderr.count(b"in other groups") == 1, "and what its scripts ask for is not told again"
    assert project.read("all") == "0 4711\n0 4711\n"
    assert project.redo("all", "c") == []


def in_namespace(project: Project, script: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a script of the shell in a mount namespace of its own."""
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"this needs the right to make a mount namespace: {probe.stderr.strip()}")
    return project.run("unshare", "-m", "sh", "-ec", script)


def test_a_client_in_another_mount_namespace_sees_its_own_files(project: Project) -> None:
    project.write("sub/source", "outside\n")
    project.write("all.do", "redo-ifchange sub/source; cat sub/source\n")
    assert project.redo() == ["all"]
    pid = project.server_pid
    result = in_namespace(project, "mount -t tmpfs none sub; echo inside >sub/source; redo-ifchange all; cat all")
    assert result.returncode == 0, result.stderr
    assert b"sees other files" in result.stderr
    assert result.stdout == b"inside\n"
    assert project.redo() == ["all"]
    assert project.read("all") == "outside\n"
    assert project.server_pid == pid


def test_a_workspace_at_another_path_in_another_namespace_is_handed_over(project: Project, tmp_path: Path) -> None:
    """The owner knows it by its lock file, not by the path that it has there."""
    make_tree(project)
    project.redo()
    (tmp_path / "seen").mkdir()
    script = f"mount --bind . {tmp_path}/seen; cd {tmp_path}/seen; redo-ifchange all"
    result = in_namespace(project, script)
    assert result.returncode == 0, result.stderr
    assert project.jobs(result) == []
    assert project.redo() == []


def test_a_daemon_that_ends_meanwhile_does_not_matter_to_an_instance(project: Project, pids: Fifo, go: Fifo) -> None:
    make_tree(project)
    project.write("b.do", "echo $$ >pids; read x <go; echo b\n")
    client = project.start("redo-ifchange", "all", env={"REDOD": "off"})
    pids.receive()
    waiting = project.start("redo-ifchange", "all")
    expect(waiting, b"waiting for another build server")
    daemon = Watched(project.server_pid)
    daemon.kill()
    finish(waiting, status=1)
    go.send()
    finish(client)
    assert project.redo() == []
