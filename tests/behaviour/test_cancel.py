"""Giving up a build: a signal to the client, or the client's death, ends its jobs and all that they started."""

import os
import pty
import signal
import subprocess

import pytest

from tests.behaviour.events import Fifo, Watched, expect, finish, status_of, wait_for_sessions
from tests.behaviour.project import CLIENTS, PATIENCE, PATIENT, Project

ONE_CLIENT = pytest.mark.parametrize("bindir", CLIENTS[:1], indirect=True)
FAMILY = """
sleep 1000 & echo $! >pids
setsid sh -c 'echo $$ >pids; exec sleep 1000' &
( ( echo "$(exec sh -c 'echo $PPID')" >pids; exec sleep 1000 ) & )
python3 -c '
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.environ.clear()
        print(os.getpid(), file=open("pids", "w"))
        os.execve("/bin/sleep", ["sleep", "1000"], {})
    os._exit(0)
'
echo $$ >pids
echo half >$3
touch $3.d
read x <go
"""
"""A child, one in a session of its own, an orphan that holds the pipe, a daemon without our marks in its environment,
and the script itself.
"""

NESTED = "sh -c 'echo $$ >pids; exec redo-ifchange y' & "
"""A nested client in the background, which tells its pid before it asks."""


def start_family(project: Project, pids: Fifo) -> "tuple[subprocess.Popen[bytes], list[Watched]]":
    project.write("x.do", "echo old\n")
    project.redo("x")
    project.write("x.do", FAMILY)
    client = project.start("redo", "x")
    return client, [pids.receive_process() for _ in range(5)]


def assert_nothing_is_left(project: Project, family: list[Watched]) -> None:
    """Neither processes nor files, once the daemon has also removed what it removes at leisure."""
    for process in family:
        process.wait_end()
    project.run("redod", "stop", check=True)
    assert project.read("x") == "old\n"
    assert sorted(os.listdir(project.path)) == [".redo", "go", "pids", "x", "x.do"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_everything_and_the_client_dies_by_it(
    project: Project, pids: Fifo, go: Fifo, number: signal.Signals
) -> None:
    client, family = start_family(project, pids)
    client.send_signal(number)
    finish(client, status=-number)
    assert not [process for process in family if process.is_alive]
    assert_nothing_is_left(project, family)


@ONE_CLIENT
def test_a_killed_client_ends_everything(project: Project, pids: Fifo, go: Fifo) -> None:
    client, family = start_family(project, pids)
    client.kill()
    finish(client, status=-9)
    wait_for_sessions(project, 0)
    assert_nothing_is_left(project, family)


@ONE_CLIENT
def test_ctrl_c_on_a_terminal_ends_everything(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", FAMILY)
    ours, theirs = pty.openpty()
    client = project.start(
        "setsid", "-c", "-w", str(project.bindir / "redo"), "x", stdin=theirs, stdout=theirs, stderr=theirs
    )
    family = [pids.receive_process() for _ in range(5)]
    os.write(ours, b"\x03")
    assert client.wait(PATIENCE) in (-signal.SIGINT, 128 + signal.SIGINT)
    for process in family:
        process.wait_end()
    os.close(ours)
    os.close(theirs)


@ONE_CLIENT
def test_a_terminal_that_is_closed_ends_everything(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", FAMILY)
    ours, theirs = pty.openpty()
    client = project.start(
        "setsid", "-c", "-w", str(project.bindir / "redo"), "x", stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    family = [pids.receive_process() for _ in range(5)]
    os.close(ours)
    for process in family:
        process.wait_end()
    assert client.wait(PATIENCE) in (-signal.SIGHUP, 128 + signal.SIGHUP)


@ONE_CLIENT
def test_a_nested_clients_death_ends_what_it_asked_for(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("y.do", "echo $$ >pids; read x <go\n")
    project.write("x.do", NESTED + "wait $! || echo gone; echo x\n")
    client = project.start("redo", "x")
    nested, script = pids.receive_process(), pids.receive_process()
    nested.kill()
    finish(client)
    script.wait_end()
    assert project.read("x") == "gone\nx\n"
    assert not (project.path / "y").exists()


@ONE_CLIENT
def test_a_signal_to_a_nested_client_is_its_own_affair(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("y.do", "echo $$ >pids; read x <go\n")
    project.write("x.do", NESTED + "wait $! || echo status $?; echo x\n")
    client = project.start("redo", "x")
    nested, script = pids.receive_process(), pids.receive_process()
    nested.kill(signal.SIGTERM)
    finish(client)
    script.wait_end()
    assert project.read("x") == "status 143\nx\n"


@ONE_CLIENT
def test_nested_jobs_end_with_their_session(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("z.do", "echo $$ >pids; read x <go\n")
    project.write("y.do", "echo $$ >pids; redo-ifchange z\n")
    project.write("x.do", "echo $$ >pids; redo-ifchange y\n")
    client = project.start("redo", "x")
    scripts = [pids.receive_process() for _ in range(3)]
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    assert not [script for script in scripts if script.is_alive]
    assert status_of(project)["jobs"] == []


@ONE_CLIENT
def test_a_script_that_ignores_sigterm_is_killed_after_the_grace(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "trap 'echo trapped >pids' TERM; echo $$ >pids; while :; do read x <go || :; done\n")
    client = project.start("redo", "x")
    script = pids.receive_process()
    client.send_signal(signal.SIGTERM)
    assert pids.receive() == "trapped"
    finish(client, status=-signal.SIGTERM)
    script.wait_end()


@pytest.mark.parametrize("bindir", [PATIENT], indirect=True)
def test_a_second_signal_ends_the_client_at_once(project: Project, pids: Fifo, go: Fifo) -> None:
    """The daemon still ends the job; the user need not wait for it."""
    trap = "echo trapped >pids; read x <go; exit 1"
    project.write("x.do", f"trap '{trap}' TERM; echo $$ >pids; while :; do read x <go || :; done\n")
    client = project.start("redo", "x")
    script = pids.receive_process()
    client.send_signal(signal.SIGINT)
    assert pids.receive() == "trapped"
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    assert script.is_alive
    go.send()
    script.wait_end()
    wait_for_sessions(project, 0)


@ONE_CLIENT
def test_a_stopped_job_is_ended_too(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo $$ >pids; read x <go\n")
    client = project.start("redo", "x")
    script = pids.receive_process()
    script.kill(signal.SIGSTOP)
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    script.wait_end()


@ONE_CLIENT
def test_another_session_is_not_disturbed(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("common.do", "echo $$ >pids; read x <go; echo c\n")
    project.write("x.do", "redo-ifchange common; cat common\n")
    project.write("y.do", "redo-ifchange common; cat common\n")
    one = project.start("redo-ifchange", "x")
    common = pids.receive_process()
    other = project.start("redo-ifchange", "y")
    expect(other, b"redo    common\n")
    one.send_signal(signal.SIGINT)
    finish(one, status=-signal.SIGINT)
    assert common.is_alive
    go.send()
    finish(other)
    assert project.read("y") == "c\n"


@ONE_CLIENT
def test_what_outlives_a_built_target_is_let_go(project: Project, pids: Fifo, go: Fifo) -> None:
    """A later Ctrl-C of the same session does not touch it."""
    close = "for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 )) && exec {f}>&-; done"
    project.write("service.do", f"bash -c '{close}; exec sleep 1000' & echo $! >pids\n")
    project.write("x.do", "redo-ifchange service; echo $$ >pids; read x <go\n")
    client = project.start("redo", "x")
    service, script = pids.receive_process(), pids.receive_process()
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    script.wait_end()
    assert service.is_alive
    service.kill()
    service.wait_end()


def test_a_reader_of_messages_that_goes_away_does_not_end_the_build(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo $$ >pids; read x <go; echo said >&2; echo x\n")
    client = project.start("redo", "x")
    pids.receive()
    assert client.stderr
    client.stderr.close()
    go.send()
    finish(client)
    assert project.read("x") == "x\n"
