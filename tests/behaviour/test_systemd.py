"""systemd's way to start the daemon: a passed socket, and the word that it is ready."""

import os
import select
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.behaviour.events import expect, finish, status_of
from tests.behaviour.project import CLIENTS, PATIENCE, Project


@pytest.fixture
def bindir(installs: dict[str, Path]) -> Path:
    """What is tested here is the server's part."""
    return installs[CLIENTS[0]]


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is not installed")
def test_a_passed_socket_is_served_and_left_in_its_place(project: Project) -> None:
    path = project.runtime / "passed.sock"
    activated = project.start("systemd-socket-activate", "-l", str(path), str(project.bindir / "redod"), "run")
    expect(activated, b"Listening on")
    project.environment["REDOD_SOCKET"] = str(path)
    project.write("all.do", "redo-ifchange b\necho made\n")
    project.write("b.do", "echo b\n")
    assert project.redo() == ["all", "b"]
    status = status_of(project)
    assert (status["pid"], status["socket"]) == (activated.pid, str(path))
    project.run("redod", "stop", check=True)
    finish(activated)
    assert path.is_socket()


def test_a_service_manager_is_told_when_the_daemon_is_ready(project: Project) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(project.runtime / "notify"))
        server = project.start("redod", "run", env={"NOTIFY_SOCKET": str(project.runtime / "notify")})
        assert select.select([manager], [], [], PATIENCE)[0]
        assert manager.recv(100) == b"READY=1"
    assert project.server_pid == server.pid
    project.write("all.do", 'echo "${NOTIFY_SOCKET-none}"\n')
    project.redo()
    assert project.read("all") == "none\n"
    project.run("redod", "stop", check=True)
    finish(server)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_units(project: Project) -> None:
    units = project.path / "units"
    units.mkdir()
    project.run("redod", "units", "--write", str(units), check=True)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(project.runtime), "HOME": str(project.runtime)}
    command = ["systemd-analyze", "--user", "verify", str(units / "redod.service"), str(units / "redod.socket")]
    result = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE)
    if b"Failed to" in result.stderr:
        pytest.skip(result.stderr.decode())
    assert (result.returncode, result.stderr) == (0, b"")
