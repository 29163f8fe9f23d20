"""Services: targets that are running processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.events import Fifo, Watched, finish
from tests.behaviour.project import PATIENT, Project
from tests.descriptors import descriptors_of

SERVER = f"{sys.executable} -I -S $PWD/server.py"
SERVER_SOURCE = """\
import os, socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(open("config").read())))
server.listen()
print("listening", flush=True)
print(os.getpid(), file=open("pids", "w"), flush=True)
while True:
    server.accept()[0].sendall(b"hello")
"""
READY = "echo $$ >pids; exec sleep 1000"


@pytest.fixture
def port() -> Iterator[int]:
    """Nobody else is given it meanwhile; who sets SO_REUSEADDR can have it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def started(pids: Fifo) -> Iterator[list[Watched]]:
    """The services of the test, for it to end those that it leaves."""
    found: list[Watched] = []
    yield found
    for service in found:
        service.kill()


def services(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(project.run("redod", "services", "--json", check=True).stdout)
    return found


def serve(project: Project, *options: str, before: str = "", after: str = "") -> None:
    """A `serve.do` whose service tells its pid through `pids`."""
    project.write("serve.do", f"{before}\nredo-service {' '.join(options)} sh -c '{READY}'\n{after}\n")


def test_a_service_is_started_once_and_asked_for_again_it_runs_on(project: Project, pids: Fifo) -> None:
    serve(project)
    result = project.run("redo-ifchange", "serve", check=True)
    assert project.jobs(result) == ["serve"]
    service = pids.receive_process()
    assert service.is_alive
    assert b"holds the target" not in result.stderr
    assert project.redo("serve") == []
    assert not (project.path / "serve").exists()
    (listed,) = services(project)
    assert listed["pid"] == service.pid
    assert listed["running"]
    assert listed["target"] == str(project.path / "serve")
    project.run("redod", "stop", check=True)
    service.wait_end()


def test_a_changed_config_stops_the_old_process_and_starts_a_new_one(
    project: Project, pids: Fifo, started: list[Watched], port: int
) -> None:
    project.write("server.py", SERVER_SOURCE)
    project.write("config", f"{port}\n")
    project.write("serve.do", f"redo-ifchange config server.py\nredo-service --ready-port $(cat config) {SERVER}\n")
    project.redo("serve")
    old = pids.receive_process()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        assert connection.recv(5) == b"hello"
    assert services(project)[0]["ports"] == [port]
    project.write("config", f" {port}\n")
    assert project.redo("serve") == ["serve"]
    new = pids.receive_process()
    started.append(new)
    old.wait_end()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        assert connection.recv(5) == b"hello"
    assert services(project)[0]["restarts"] == 1


def test_a_service_that_died_is_out_of_date_and_the_next_build_starts_it(
    project: Project, pids: Fifo, started: list[Watched]
) -> None:
    project.write("all.do", "redo-ifchange serve\n")
    project.write("serve.do", f"redo-service sh -c 'echo words >&2; {READY}'\n")
    project.redo("all")
    service = pids.receive_process()
    service.kill()
    service.wait_end()
    while services(project)[0]["running"]:
        pass
    assert b"serve" in project.run("redo-ood", check=True).stdout.split()
    result = project.run("redo-ifchange", "all", check=True)
    assert project.jobs(result) == ["all", "serve"]
    assert b"was killed by signal 9; it is started again. It had printed last:\n    words\n" in result.stderr
    started.append(pids.receive_process())
    assert started[0].is_alive


@pytest.mark.parametrize("bindir", [PATIENT], indirect=True)
def test_one_that_dies_young_is_not_started_again_at_once(project: Project, pids: Fifo, started: list[Watched]) -> None:
    project.write("serve.do", "redo-service --ready-line up sh -c 'echo up; echo $$ >pids; exec sleep 1000'\n")
    project.redo("serve")
    waits = []
    for _ in range(2):
        service = pids.receive_process()
        service.kill()
        service.wait_end()
        while services(project)[0]["running"]:
            pass
        waits.append(project.run("redo-ifchange", "serve", check=True).stderr)
    started.append(pids.receive_process())
    assert b"it died young 1 times" in waits[0]
    assert b"it died young 2 times" in waits[1]


@pytest.mark.parametrize(
    ("option", "command"),
    [
        ("--ready-fd 7", "read x <go; echo $$ >pids; echo up >&7; exec sleep 1000"),
        ("--ready-line '^up and'", "read x <go; echo $$ >pids; echo up and running; exec sleep 1000"),
    ],
)
def test_redo_service_returns_when_the_service_is_ready(
    project: Project, pids: Fifo, go: Fifo, started: list[Watched], option: str, command: str
) -> None:
    project.write("serve.do", f"echo began >pids\nredo-service {option} sh -c '{command}'\necho over >pids\n")
    client = project.start("redo", "serve")
    assert pids.receive() == "began"
    go.send()
    started.append(pids.receive_process())
    assert pids.receive() == "over"
    finish(client)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("redo-service ./none", b"none: not found"),
        ("redo-service --ready-fd 5 sh -c 'exec 5>&-; exec sleep 1000'", b"closed its ready descriptor"),
        ("redo-service --ready-timeout 1 --ready-line x sleep 1000", b"was not ready within 1 s"),
        ("redo-service", b"needs a command"),
        ("redo-service --ready-port 0 true", b"--ready-port needs a number from 1 to 65535"),
        ("redo-service --ready-line '(' true", b"is no regular expression"),
        ("redo-service --stop-signal NONE true", b"is no signal"),
        ("redo-service --ready-port 1 --ready-fd 3 true", b"takes one of"),
    ],
)
def test_a_service_that_cannot_be_started_fails_its_target(project: Project, call: str, message: bytes) -> None:
    project.write("serve.do", call + "\n")
    result = project.run("redo", "serve")
    assert result.returncode == 1
    assert message in result.stderr
    assert services(project) == []


@pytest.mark.parametrize("bindir", [PATIENT], indirect=True)
def test_a_service_that_ends_at_once_fails_its_target(project: Project) -> None:
    project.write("serve.do", "redo-service sh -c 'echo wrong option >&2; exit 3'\n")
    result = project.run("redo", "serve")
    assert result.returncode == 1
    assert b"ended (exit status 3) before it was ready" in result.stderr
    assert services(project) == []


def test_when_the_script_fails_its_service_ends(project: Project, pids: Fifo, go: Fifo) -> None:
    serve(project, after="echo over >pids; read x <go; exit 3")
    client = project.start("redo", "serve")
    service = pids.receive_process()
    assert pids.receive() == "over"
    go.send()
    finish(client, status=1)
    service.wait_end()
    assert services(project) == []


def test_ctrl_c_while_it_is_not_ready_ends_it(project: Project, pids: Fifo) -> None:
    project.write("serve.do", f"redo-service --ready-line never sh -c '{READY}'\n")
    client = project.start("redo", "serve")
    service = pids.receive_process()
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    service.wait_end()
    assert services(project) == []


def test_a_script_that_starts_none_any_more_ends_the_one_before(project: Project, pids: Fifo) -> None:
    serve(project)
    project.redo("serve")
    service = pids.receive_process()
    project.write("serve.do", "echo plain\n")
    assert project.redo("serve") == ["serve"]
    service.wait_end()
    assert services(project) == []
    assert project.redo("serve") == []


@pytest.mark.parametrize("how", ["keep", "kill"])
def test_the_next_server_finds_a_service_again(project: Project, pids: Fifo, started: list[Watched], how: str) -> None:
    serve(project)
    project.redo("serve")
    service = pids.receive_process()
    started.append(service)
    if how == "keep":
        project.run("redod", "stop", "--keep-services", check=True)
    else:
        project.kill_server()
    assert service.is_alive
    assert project.redo("serve") == []
    assert services(project)[0]["pid"] == service.pid
    service.kill()
    service.wait_end()
    while services(project)[0]["running"]:
        pass
    assert project.redo("serve") == ["serve"]
    started.append(pids.receive_process())


def test_a_service_is_found_again_though_its_record_was_removed_under_the_server(
    project: Project, pids: Fifo, started: list[Watched]
) -> None:
    serve(project)
    project.redo("serve")
    service = pids.receive_process()
    started.append(service)
    shutil.rmtree(project.path / ".redo")
    assert project.redo("serve") == []
    project.kill_server()
    assert project.redo("serve") == []
    assert services(project)[0]["pid"] == service.pid


def test_a_service_that_died_while_no_server_ran_is_out_of_date(
    project: Project, pids: Fifo, started: list[Watched]
) -> None:
    serve(project)
    project.redo("serve")
    service = pids.receive_process()
    project.run("redod", "stop", "--keep-services", check=True)
    service.kill()
    service.wait_end()
    assert project.redo("serve") == ["serve"]
    started.append(pids.receive_process())


def test_one_whose_script_was_running_when_the_server_was_killed_ends(
    project: Project, pids: Fifo, go: Fifo, started: list[Watched]
) -> None:
    serve(project, after="echo over >pids; read x <go")
    client = project.start("redo", "serve")
    service = pids.receive_process()
    assert pids.receive() == "over"
    project.kill_server()
    finish(client, status=None)
    serve(project)
    assert project.redo("serve") == ["serve"]
    started.append(pids.receive_process())
    service.wait_end()


def test_stop_and_restart_by_name(project: Project, pids: Fifo, started: list[Watched]) -> None:
    serve(project, "--stop-signal INT")
    project.redo("serve")
    first = pids.receive_process()
    project.run("redod", "service", "restart", "serve", check=True)
    first.wait_end()
    second = pids.receive_process()
    project.run("redod", "service", "stop", "serve", check=True)
    second.wait_end()
    assert services(project)[0]["status"] == "stopped"
    assert project.redo("serve") == ["serve"]
    started.append(pids.receive_process())
    result = project.run("redod", "service", "stop", "other")
    assert result.returncode == 1
    assert b"other is not a service; redod services lists them" in result.stderr


def test_redo_log_shows_what_a_service_prints_and_follows_it(
    project: Project, pids: Fifo, go: Fifo, started: list[Watched]
) -> None:
    command = "echo one; echo $$ >pids; while read line <go; do echo got $line; done"
    project.write("serve.do", f"echo script >&2; redo-service sh -c '{command}'\n")
    project.redo("serve")
    service = pids.receive_process()
    started.append(service)
    assert project.run("redo-log", "serve", check=True).stdout == b"redo  serve\nscript\none\n"
    follower = project.start("redo-log", "-f", "serve", stdout=subprocess.PIPE)
    go.send("two")
    assert follower.stdout is not None
    seen = b""
    while b"got two\n" not in seen:
        seen += follower.stdout.readline()
    assert seen == b"redo  serve\nscript\none\ngot two\n"
    service.kill()
    out, _ = finish(follower)
    assert out == b""


def test_outside_a_script_redo_service_fails_with_status_100(project: Project) -> None:
    result = project.run("redo-service", "true")
    assert result.returncode == 100
    assert b"only a target's script" in result.stderr


def test_a_service_has_only_the_standard_descriptors_and_no_trace_of_its_job(
    project: Project, pids: Fifo, started: list[Watched]
) -> None:
    command = "umask; env; echo $$ >../pids; exec sleep 1000"
    project.write("serve.do", f"umask 027; export KEPT=1; mkdir -p sub; cd sub; redo-service sh -c '{command}'\n")
    project.redo("serve")
    service = pids.receive_process()
    started.append(service)
    links = descriptors_of(service.pid)
    assert links["0"] == "/dev/null"
    log = Path(links["1"]).read_text()
    assert log.startswith("0027\n")
    assert "KEPT=1\n" in log
    assert "REDO_JOB" not in log
    assert os.readlink(f"/proc/{service.pid}/cwd") == str(project.path / "sub")
    assert os.getsid(service.pid) == service.pid


def test_a_service_inherits_no_jobserver_of_the_build_that_starts_it(project: Project, pids: Fifo) -> None:
    project.write("serve.do", "redo-service sh -c 'echo $(ls /proc/$$/fd) $MAKEFLAGS >pids; exec sleep 1000'")
    project.run("redo", "-j3", "serve", check=True)
    assert all(number.isdecimal() and int(number) < 50 for number in pids.receive().split())
