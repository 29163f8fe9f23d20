"""redo-detach: what a detached process inherits, what its caller learns. No server is needed."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.descriptors import descriptors_of

from .conftest import Client
from .fake_server import PATIENCE

ENVIRONMENT = {b"PATH": b"/usr/local/bin:/usr/bin:/bin", b"HOME": b"/", b"OTHER": b"kept"}


@pytest.fixture
def pidfile(tmp_path: Path) -> Iterator[Path]:
    """Whatever has written its pid there ends with the test."""
    path = tmp_path / "pid"
    yield path
    if path.exists():
        with suppress(ProcessLookupError):
            os.killpg(int(path.read_text()), signal.SIGKILL)


def wait_for_line(fifo: Path, writer: "subprocess.Popen[bytes]") -> str:
    """The detached process's report; its caller has returned by then, or returns soon."""
    with open(fifo) as file:
        text = file.read()
    assert writer.wait(PATIENCE) == 0
    return text


def test_the_process_has_its_own_session_and_nothing_but_the_null_device(
    client: Client, tmp_path: Path, pidfile: Path
) -> None:
    command = [b"--pidfile", bytes(pidfile), b"sleep", b"1000"]
    held, _ = os.pipe()
    os.set_inheritable(held, True)
    result = client.run("redo-detach", *command, env=ENVIRONMENT, close_fds=False)
    os.close(held)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    pid = int(pidfile.read_text())
    assert os.getpgid(pid) == os.getsid(pid) == pid
    assert descriptors_of(pid) == dict.fromkeys("012", "/dev/null")


def test_its_output_is_appended_to_the_log(client: Client, tmp_path: Path) -> None:
    log, fifo = tmp_path / "log", tmp_path / "fifo"
    log.write_text("before\n")
    os.mkfifo(fifo)
    script = b"echo out; echo err >&2; echo >" + bytes(fifo)
    process = client.start("redo-detach", b"--log=" + bytes(log), b"sh", b"-c", script, env=ENVIRONMENT)
    wait_for_line(fifo, process)
    process.communicate()
    assert log.read_text() == "before\nout\nerr\n"


def test_its_environment_is_the_callers_without_the_jobs_variables(client: Client, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    job = {b"REDO_JOB": b"x", b"REDO_SESSION": b"1", b"MAKEFLAGS": b"-j2", b"MFLAGS": b"-j2", b"MAKELEVEL": b"1"}
    script = b"env >" + bytes(fifo)
    environment = {**ENVIRONMENT, **job, b"REDOD_SOCKET": b"/s"}
    process = client.start("redo-detach", b"sh", b"-c", script, env=environment)
    names = {line.partition("=")[0] for line in wait_for_line(fifo, process).splitlines()}
    process.communicate()
    assert {"PATH", "HOME", "OTHER", "REDOD_SOCKET"} <= names
    assert not {name.decode() for name in job} & names


def test_it_dies_by_sigpipe_as_usual(client: Client, tmp_path: Path) -> None:
    """An ignored signal would be inherited for good."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = b"grep SigIgn /proc/self/status >" + bytes(fifo)
    process = client.start("redo-detach", b"sh", b"-c", script, env=ENVIRONMENT)
    ignored = int(wait_for_line(fifo, process).split()[1], 16)
    process.communicate()
    assert not ignored & 1 << signal.SIGPIPE - 1


@pytest.mark.parametrize(
    ("command", "status", "reason"),
    [("/no/such/command", 127, "No such file or directory"), ("/etc/passwd", 126, "Permission denied")],
)
def test_a_command_that_cannot_be_executed_is_the_callers_failure(
    client: Client, pidfile: Path, command: str, status: int, reason: str
) -> None:
    result = client.run("redo-detach", b"--pidfile", bytes(pidfile), command.encode(), env=ENVIRONMENT)
    assert result.returncode == status
    assert result.stderr.decode() == f"redo-detach: cannot run {command}: {reason}\n"
    assert not pidfile.exists()


def test_a_script_without_an_interpreter_line_is_run_by_sh(client: Client, tmp_path: Path) -> None:
    fifo, script = tmp_path / "fifo", tmp_path / "script"
    os.mkfifo(fifo)
    script.write_text(f'echo "$1" >{fifo}\n')
    script.chmod(0o755)
    process = client.start("redo-detach", bytes(script), b"a b", env=ENVIRONMENT)
    assert wait_for_line(fifo, process) == "a b\n"
    process.communicate()


def test_a_log_that_cannot_be_opened_is_the_callers_failure(client: Client, tmp_path: Path) -> None:
    result = client.run("redo-detach", b"--log", bytes(tmp_path / "no/log"), b"true", env=ENVIRONMENT)
    assert result.returncode == 1
    assert b"cannot open " + bytes(tmp_path) in result.stderr


def test_a_process_whose_pid_cannot_be_written_is_ended(client: Client, tmp_path: Path) -> None:
    """Its stdout is a FIFO of the test's: its end is seen there."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    arguments = [b"--log", bytes(fifo), b"--pidfile", bytes(tmp_path / "no/pid"), b"sleep", b"1000"]
    result = client.run("redo-detach", *arguments, env=ENVIRONMENT)
    assert result.returncode == 1
    assert b"no/pid: No such file or directory; sleep was ended" in result.stderr
    os.set_blocking(reading, True)
    assert os.read(reading, 1) == b""
    os.close(reading)


@pytest.mark.parametrize(
    "arguments", [[], [b"--"], [b"--log"], [b"--pidfile"], [b"--nonsense", b"true"], [b"-x", b"true"]]
)
def test_wrong_usage_is_status_2_and_says_what_to_do(client: Client, arguments: list[bytes]) -> None:
    result = client.run("redo-detach", *arguments, env=ENVIRONMENT)
    assert result.returncode == 2
    assert result.stderr.startswith(b"redo-detach: ")
    assert result.stderr.endswith(b"see redo-detach --help\n")


def test_options_end_with_the_command(client: Client, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = b'echo "$@" >' + bytes(fifo)
    process = client.start("redo-detach", b"--", b"sh", b"-c", script, b"sh", b"--log", b"--", env=ENVIRONMENT)
    assert wait_for_line(fifo, process) == "--log --\n"
    process.communicate()


class Manager:
    """A user's systemd as far as redo-detach looks at it, and a systemd-run in its place."""

    def __init__(self, top: Path, script: str) -> None:
        (top / "runtime/systemd").mkdir(parents=True)
        (top / "runtime/systemd/private").touch()
        (top / "bin").mkdir()
        program = top / "bin/systemd-run"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        path = b"%s:%s" % (bytes(top / "bin"), ENVIRONMENT[b"PATH"])
        self.environment = {**ENVIRONMENT, b"PATH": path, b"XDG_RUNTIME_DIR": bytes(top / "runtime")}


def test_a_manager_that_makes_no_scope_is_done_without(client: Client, tmp_path: Path, pidfile: Path) -> None:
    manager = Manager(tmp_path, "echo no bus >&2; exit 1")
    result = client.run("redo-detach", b"--pidfile", bytes(pidfile), b"sleep", b"1000", env=manager.environment)
    assert (result.returncode, result.stderr) == (0, b"")
    assert os.getsid(int(pidfile.read_text())) == int(pidfile.read_text())
