"""The daemon's life: how it starts, what it keeps of the world around it, and how it ends."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, Watched, count, expect, finish, status_of
from tests.behaviour.project import CLIENTS, PATIENCE, Project, opened_by

STARTED = "serving"
"""In the daemon's log, once for each start."""
HELD = "echo $$ >pids\nread x <go\necho done\n"
"""A script that runs until it is told to go on. It tells its pid."""


def log_of(project: Project) -> str:
    (log,) = (project.runtime / "redod").glob("*.log")
    return log.read_text()


def start_clients(project: Project, number: int) -> "list[subprocess.Popen[bytes]]":
    return [project.start("redo-ifchange", "all") for _ in range(number)]


# ---- Starting


def test_fifty_clients_at_once_start_one_daemon_and_share_one_job(project: Project) -> None:
    project.write("all.do", "echo built >>count\n")
    clients = start_clients(project, 50)
    for client in clients:
        finish(client)
    assert count(project, "count") == 1
    assert log_of(project).count(STARTED) == 1


@pytest.mark.parametrize("bindir", CLIENTS[:1], indirect=True)
def test_two_hundred_clients_at_once_all_succeed(project: Project) -> None:
    project.write("all.do", "echo built >>count\n")
    for client in start_clients(project, 200):
        finish(client)
    assert count(project, "count") == 1
    assert log_of(project).count(STARTED) == 1


def test_the_daemon_holds_nothing_of_the_client_that_started_it(project: Project) -> None:
    project.write("all.do", "echo said >&2\n")
    directory = os.open(project.path, os.O_RDONLY)
    reading, writing = os.pipe()
    result = subprocess.run(
        ["sh", "-c", 'redo all 2>&1 | cat; echo "the pipe is at its end"'],
        cwd=project.path, env={**project.environment, "SECRET": "s3cret"}, capture_output=True, timeout=PATIENCE,
        pass_fds=[directory, writing], umask=0o002,
    )  # fmt: skip
    assert result.stdout == b"redo  all\nsaid\nthe pipe is at its end\n"
    here = Path(f"/proc/{project.server_pid}")
    links = set(opened_by(project.server_pid))
    assert not links & {os.readlink(f"/proc/self/fd/{number}") for number in (directory, reading)}
    assert not {link for link in links if link.endswith(".sock.lock")}
    for number in (directory, reading, writing):
        os.close(number)
    assert os.readlink(here / "cwd") == "/"
    assert b"s3cret" not in (here / "environ").read_bytes()
    assert "Umask:\t0077" in (here / "status").read_text()
    fields = (here / "stat").read_text().rpartition(")")[2].split()
    parent, session, terminal = int(fields[1]), int(fields[3]), int(fields[4])
    assert terminal == 0
    assert session not in (os.getsid(0), int(here.name))
    assert parent != os.getpid()


def test_a_client_without_runtime_directory_finds_the_daemon_below_tmpdir(project: Project) -> None:
    del project.environment["XDG_RUNTIME_DIR"]
    project.environment["TMPDIR"] = str(project.runtime)
    socket = project.run("redod", "socket").stdout.decode()
    if not socket.startswith(str(project.runtime)):
        pytest.skip(f"this user has a runtime directory of his own: {socket}")
    project.write("all.do", "redo-ifchange b\necho built >>count\n")
    project.write("b.do", "echo b\n")
    assert project.redo() == ["all", "b"]
    assert project.redo() == []
    assert (project.runtime / f"redod-{os.geteuid()}").stat().st_mode & 0o777 == 0o700


def test_a_socket_path_longer_than_an_address_serves_nested_calls_too(project: Project) -> None:
    directory = project.runtime / ("long" * 40)
    directory.mkdir()
    project.environment["REDOD_SOCKET"] = str(directory / "s.sock")
    project.write("all.do", "redo-ifchange b\n")
    project.write("b.do", "echo b\n")
    assert project.redo() == ["all", "b"]
    assert status_of(project)["socket"] == str(directory / "s.sock")
    project.run("redod", "stop", check=True)
    assert not (directory / "s.sock").exists()


def test_closed_standard_descriptors_in_each_combination(project: Project) -> None:
    """The client that starts the daemon, and one that finds it."""
    project.write("all.do", "echo said >&2\necho built >>count\n")
    for bits in range(1, 8):
        closed = " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in range(3) if bits >> fd & 1)
        project.run("redod", "stop", check=True)
        for call in ("redo all", "redo-ifchange all"):
            project.run("sh", "-c", f"{call} {closed}", check=True)
        assert count(project, "count") == bits


def test_only_path_in_the_environment_is_enough(project: Project) -> None:
    project.environment = {"PATH": project.environment["PATH"]}
    socket = Path(project.run("redod", "socket").stdout.decode().rstrip("\n"))
    project.write("all.do", "redo-ifchange b\n")
    project.write("b.do", "echo b\n")
    try:
        assert project.redo() == ["all", "b"]
        assert project.redo() == []
    finally:
        project.run("redod", "stop")
        for left in socket.parent.glob(f"{socket.stem}.*"):
            if not left.is_dir():
                left.unlink()
        for command in socket.with_suffix(".bin").iterdir():
            command.unlink()
        socket.with_suffix(".bin").rmdir()


def test_a_deleted_working_directory_is_a_clear_error(project: Project) -> None:
    gone = project.path / "gone"
    gone.mkdir()
    result = project.run("sh", "-c", "rmdir ../gone; redo all", cwd=gone)
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"redo: the current directory no longer exists" in result.stderr
    assert project.server_pid == 0


def test_a_relative_command_and_relative_names_from_anywhere(project: Project) -> None:
    project.write("sub/deep/x.do", "echo x\n")
    command = os.path.relpath(project.bindir / "redo-ifchange", project.path / "sub")
    result = project.run(command, "deep/../../sub/./deep/x", cwd=project.path / "sub", check=True)
    assert project.jobs(result) == ["deep/x"]
    assert project.read("sub/deep/x") == "x\n"


# ---- Ending


def test_stop_ends_what_runs_and_is_complete_when_it_returns(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("all.do", HELD)
    building = project.start("redo", "all")
    script, daemon = pids.receive_process(), Watched(project.server_pid)
    assert project.run("redod", "stop").returncode == 0
    assert not script.is_alive
    _, err = finish(building, status=1)
    assert b"stopped" in err
    assert not (project.path / "all").exists()
    again = project.start("redo", "all")
    pids.receive()
    assert project.server_pid not in (0, daemon.pid)
    go.send()
    finish(again)
    assert project.read("all") == "done\n"
    daemon.wait_end()


def test_stop_without_a_daemon_succeeds(project: Project) -> None:
    result = project.run("redod", "stop")
    assert (result.returncode, result.stderr) == (0, b"redod is not running\n")


def test_run_serves_in_the_foreground_until_it_is_terminated(project: Project) -> None:
    project.write("all.do", "echo made\n")
    server = project.start("redod", "run")
    expect(server, STARTED.encode())
    assert project.server_pid == server.pid
    assert project.redo() == ["all"]
    second = project.run("redod", "run")
    assert (second.returncode, second.stderr) == (1, b"redod: redod is already running; redod stop ends it\n")
    server.send_signal(signal.SIGTERM)
    _, log = finish(server)
    assert log.endswith(b"stopped\n")
    assert project.server_pid == 0
    assert project.redo() == []


def test_a_terminated_daemon_ends_its_jobs(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("all.do", HELD)
    building = project.start("redo", "all")
    script, daemon = pids.receive_process(), Watched(project.server_pid)
    daemon.kill(signal.SIGTERM)
    daemon.wait_end()
    assert not script.is_alive
    finish(building, status=1)


def test_a_daemon_that_lost_its_place_ends(project: Project) -> None:
    project.write("all.do", "echo built >>count\n")
    project.redo()
    daemon = Watched(project.server_pid)
    os.unlink(status_of(project)["socket"])
    daemon.wait_end()
    assert project.redo() == []
    assert log_of(project).count(STARTED) == 2


def test_a_daemon_that_lost_its_place_finishes_what_it_builds(project: Project, pids: Fifo, go: Fifo) -> None:
    """The next one has the workspace when that is done, and builds nothing again."""
    project.write("all.do", "echo built >>count\n" + HELD)
    building = project.start("redo-ifchange", "all")
    pids.receive()
    daemon = Watched(project.server_pid)
    os.unlink(status_of(project)["socket"])
    waiting = project.start("redo-ifchange", "all")
    expect(waiting, b"waiting for another build server")
    assert daemon.is_alive
    go.send()
    finish(building)
    finish(waiting)
    daemon.wait_end()
    assert count(project, "count") == 1


def test_a_server_in_the_foreground_passes_nothing_on_that_its_shell_had_open(project: Project) -> None:
    stray = os.open(project.path, os.O_RDONLY)
    project.write("x.do", "ls -l /proc/$$/fd >&2\n")
    server = project.start("redod", "run", pass_fds=[stray])
    os.close(stray)
    expect(server, b"serving")
    shown = project.run("redo", "x", check=True).stderr
    assert b" -> pipe:" in shown
    assert bytes(project.path) + b"\n" not in shown
    project.run("redod", "stop", check=True)
    finish(server)
