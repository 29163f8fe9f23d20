"""What a session or a workspace wants of processes that outlive their script, and of jobs that take too long."""

import os
import signal
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, Watched, expect, finish, status_of
from tests.behaviour.project import CLIENTS, PATIENT, Project, make_loaded
from tests.behaviour.test_holders import LAST, NOTICE

SERVER = "sh -c 'echo $$ >pids; read x <go; echo late; echo late >&2; echo $? >pids; exec sleep 1000'"
"""A holder that writes to what it has inherited once it is told to."""


@pytest.fixture
def bindir(request: pytest.FixtureRequest, installs: dict[str, Path]) -> Path:
    """The client has no part in this."""
    name = getattr(request, "param", CLIENTS[0])
    return request.getfixturevalue("clocked") if name == "clocked" else installs[name]


@pytest.fixture(scope="module")
def clocked(installs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its time limits are over when the test says so."""
    top = tmp_path_factory.mktemp("clocked")
    return make_loaded(top / "install", installs[CLIENTS[0]], "tests.behaviour.stopped_clock")


CLOCKED = pytest.mark.parametrize("bindir", ["clocked"], indirect=True)


def let_time_pass(project: Project) -> None:
    """More than any limit of these tests."""
    os.kill(project.server_pid, signal.SIGUSR1)


def end(process: Watched) -> None:
    process.kill()
    process.wait_end()


def test_release_ends_the_target_with_its_script_and_leaves_the_holder(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", f"{SERVER} & echo x\n")
    result = project.run("redo", "--background=release", "x", check=True)
    server = pids.receive_process()
    assert result.stderr == b"redo  x\n"
    assert status_of(project)["jobs"] == []
    go.send()
    assert pids.receive() == "0", "its standard error still has a reader"
    assert project.read("x") == "x\n"
    assert server.is_alive
    end(server)
    assert project.redo("x") == []


@pytest.mark.parametrize("inherit", ["9", "1"])
def test_a_released_holder_cannot_change_what_the_script_wrote_to_its_temporary(
    project: Project, pids: Fifo, go: Fifo, inherit: str
) -> None:
    """Nor when nothing of it is left but an open descriptor of `$3`."""
    late = f"read x <go; echo late >&{inherit}; echo $? >pids"
    project.write("x.do", f"exec {inherit}>$3; echo x >&{inherit}; (exec 2>/dev/null; {late}) &\n")
    project.run("redo", "--background=release", "x", check=True)
    go.send()
    assert pids.receive() == "0"
    assert project.read("x") == "x\n"
    assert project.redo("x") == []


def test_kill_ends_what_the_script_left_and_then_the_target(project: Project, pids: Fifo, go: Fifo) -> None:
    holder = "sh -c 'echo $$ >pids; read x <never'"
    project.write("x.do", f"{holder} one & read x <go; {holder} two & read x <go; echo x\n")
    os.mkfifo(project.path / "never")
    client = project.start("redo", "--background=kill", "x")
    holders = []
    for _ in range(2):
        holders.append(pids.receive_process())
        go.send()
    _, err = finish(client)
    for process in holders:
        # The pipe closes a moment before its last holder is gone.
        process.wait_end()
    lines = err.decode().splitlines()
    assert lines[:2] == ["redo  x", "x: its script has ended, so what it started and left behind is being ended:"]
    shown = [line for line in lines[2:] for holder in holders if line.startswith(f"    pid {holder.pid}, ")]
    assert sorted(line.rpartition(" ")[2] for line in shown) == ["one", "two"]
    assert all(" old: sh -c echo $$ >pids; read x <never " in line for line in shown)
    assert project.read("x") == "x\n"


CAREFUL = pytest.param(PATIENT, "trap 'echo saved >saved; exit' TERM", ["saved"], id="with care")
STUBBORN = pytest.param(CLIENTS[0], "trap '' TERM", [], id="not at all")


@pytest.mark.parametrize(("bindir", "trap", "made"), [CAREFUL, STUBBORN], indirect=["bindir"])
def test_kill_waits_for_what_ends_with_care_and_forces_what_does_not(
    project: Project, pids: Fifo, go: Fifo, trap: str, made: list[str]
) -> None:
    os.mkfifo(project.path / "never")
    pid = "$(exec sh -c 'echo $PPID')"
    project.write("x.do", f"( {trap}; echo {pid} >pids; while :; do read x <never; done ) & echo x; read y <go\n")
    client = project.start("redo", "--background=kill", "x")
    holder = pids.receive_process()
    go.send()
    finish(client)
    holder.wait_end()
    assert [path.name for path in project.path.glob("saved")] == made
    assert project.read("x") == "x\n"


def test_kill_leaves_detached_processes_alone(project: Project, pids: Fifo) -> None:
    project.write("x.do", "redo-detach --pidfile pid sleep 1000\nsleep 2000 & echo $! >pids; echo x\n")
    project.run("redo", "--background=kill", "x", check=True)
    service = Watched(int(project.read("pid")))
    assert service.is_alive
    end(service)


def test_ctrl_c_does_not_touch_a_released_holder(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("held.do", "sleep 1000 & echo $! >pids; echo held\n")
    project.write("x.do", "redo-ifchange held; echo ready >pids; read x <go\n")
    client = project.start("redo", "--background=release", "x")
    holder = pids.receive_process()
    assert pids.receive() == "ready"
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    assert holder.is_alive
    end(holder)


@pytest.mark.parametrize("policy", ["release", "kill"])
def test_the_workspace_may_say_what_becomes_of_them(project: Project, pids: Fifo, go: Fifo, policy: str) -> None:
    project.write("redod.toml", f'background = "{policy}"\n')
    project.write("x.do", "sleep 1000 & echo $! >pids; echo x; read x <go\n")
    client = project.start("redo-ifchange", "x")
    holder = pids.receive_process()
    go.send()
    finish(client)
    if policy == "release":
        assert holder.is_alive
        end(holder)
    else:
        holder.wait_end()


def test_the_session_has_the_last_word(project: Project, pids: Fifo) -> None:
    project.write("redod.toml", 'background = "release"\n')
    project.write("x.do", "sleep 1000 & echo $! >pids; echo x\n")
    client = project.start("redo", "--background", "wait", "x")
    holder = pids.receive_process()
    expect(client, NOTICE)
    end(holder)
    finish(client)


def test_an_unknown_policy_is_a_clear_error(project: Project) -> None:
    result = project.run("redo", "--background=ask", "x")
    assert result.returncode == 2
    assert result.stderr == b"redo: option background: Input should be 'wait', 'release' or 'kill'\n"


@CLOCKED
def test_a_job_that_takes_too_long_is_ended_and_fails(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo old\n")
    project.redo("x")
    project.write("x.do", "( echo $(exec sh -c 'echo $PPID') >pids; exec sleep 1000 ) & echo $$ >pids; read x <go\n")
    client = project.start("redo", "--timeout", "2", "x")
    processes = [pids.receive_process(), pids.receive_process()]
    let_time_pass(project)
    _, err = finish(client, status=1)
    assert err == (b"redo  x\nredo: x: it took longer than 2 s and was ended (--timeout)\nredo  x (exit 1)\n")
    for process in processes:
        process.wait_end()
    assert project.read("x") == "old\n"


def test_the_time_limit_goes_by_the_machines_clock(project: Project) -> None:
    project.write("x.do", "exec sleep 1000\n")
    result = project.run("redo", "--timeout=1", "x")
    assert result.stderr == b"redo  x\nredo: x: it took longer than 1 s and was ended (--timeout)\nredo  x (exit 1)\n"


@CLOCKED
def test_a_script_that_waits_for_others_does_not_use_up_its_time(project: Project, pids: Fifo) -> None:
    """The inner one would be done in time if it were not told to wait; the outer one waits for it all that time."""
    project.write("redod.toml", '[timeout]\n"outer" = 2\n"inner" = 3\n')
    project.write("outer.do", "redo-ifchange inner\n")
    project.write("inner.do", "echo $$ >pids; exec sleep 1000\n")
    client = project.start("redo", "outer")
    pids.receive()
    let_time_pass(project)
    _, err = finish(client, status=1)
    assert b"redo: inner: it took longer than 3 s and was ended (redod.toml, timeout)" in err
    assert b"redo: outer" not in err


@CLOCKED
def test_a_holder_uses_up_the_time_of_its_target(project: Project, pids: Fifo) -> None:
    project.write("x.do", "sleep 1000 & echo $! >pids\n")
    client = project.start("redo", "--timeout=2", "x")
    holder = pids.receive_process()
    expect(client, LAST)
    let_time_pass(project)
    _, err = finish(client, status=1)
    holder.wait_end()
    assert err == b"redo: x: it took longer than 2 s and was ended (--timeout)\nredo  x (exit 1)\n"


def test_a_target_that_is_done_in_time_is_not_touched(project: Project) -> None:
    project.write("x.do", "redo-ifchange y\necho x\n")
    project.write("y.do", "echo y\n")
    assert project.run("redo", "--timeout=1000", "x", check=True).stderr == b"redo  x\nredo    y\n"


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "long"])
def test_a_time_limit_must_be_a_number_above_zero(project: Project, value: str) -> None:
    result = project.run("redo", f"--timeout={value}", "x")
    assert result.returncode == 2
    assert result.stderr.startswith(b"redo: option timeout: Input should be ")


def test_status_shows_who_holds_a_target(project: Project, pids: Fifo, go: Fifo) -> None:
    os.mkfifo(project.path / "up")
    project.write("x.do", "sh -c 'echo >up; read x <go' & echo $! >pids; read up <up; exit 3\n")
    client = project.start("redo", "x")
    holder = pids.receive_process()
    expect(client, LAST)
    (job,) = status_of(project)["jobs"]
    assert job["exit_status"] == 3
    assert job["held"] > 0.9
    (shown,) = job["holders"]
    assert (shown["pid"], shown["user"], shown["is_certain"]) == (holder.pid, "", True)
    assert shown["command"] == "sh -c echo >up; read x <go"
    text = project.run("redod", "status", check=True).stdout.decode()
    assert f"\n  held by  pid {holder.pid}, " in text
    end(holder)
    finish(client, status=1)
