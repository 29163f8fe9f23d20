"""Starting the server: one for many clients at once, and nothing of the first client's in it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client
from .fake_server import PATIENCE

SERVER = Path(__file__).with_name("started_server.py")


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


@pytest.fixture
def env(tmp_path: Path, reports: Path) -> dict[bytes, bytes]:
    return {
        b"PATH": b"/usr/bin:/bin",
        b"XDG_RUNTIME_DIR": bytes(tmp_path),
        b"REDOD_TEST_REPORTS": bytes(reports),
        b"REDOD_TEST_CONNECTIONS": b"1",
    }


@pytest.fixture
def install(own_install: Client) -> Client:
    """An install whose `python3` is a small server."""
    write_program(own_install.bindir / "python3")
    return own_install


def write_program(path: Path) -> None:
    path.write_text(f"#!{sys.executable} -I\n{SERVER.read_text()}")
    path.chmod(0o755)


def read_reports(reports: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reports.read_text().splitlines()]


def socket_of(install: Client, env: dict[bytes, bytes]) -> bytes:
    return install.run("redod", b"socket", env=env).stdout.rstrip(b"\n")


def test_fifty_clients_at_once_start_one_server(install: Client, env: dict[bytes, bytes], reports: Path) -> None:
    env[b"REDOD_TEST_CONNECTIONS"] = b"50"
    clients = [install.start("redo", b"x", env=env) for _ in range(50)]
    outcomes = [(*client.communicate(timeout=PATIENCE), client.returncode) for client in clients]
    assert outcomes == [(b"", b"", 42)] * 50
    assert len(read_reports(reports)) == 1


def test_the_server_gets_its_socket_and_nothing_else(
    install: Client, env: dict[bytes, bytes], reports: Path, tmp_path: Path
) -> None:
    kept = {b"HOME": b"/h\xff", b"USER": b"u", b"LOGNAME": b"l", b"LANG": b"C", b"LC_TIME": b"C", b"TZ": b"UTC"}
    kept |= {b"TMPDIR": b"/t", b"XDG_STATE_HOME": b"/s", b"CI": b"1", b"REDOD_X": b"a=b"}
    extra_fd = os.open("/", os.O_RDONLY)
    high_fd = fcntl(extra_fd, F_DUPFD, 500)

    def disturb() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])

    result = install.run(
        "redo-ifchange", env=env | kept | {b"SECRET": b"s", b"HOMER": b"h", b"PWD": b"/"},
        pass_fds=[extra_fd, high_fd], close_fds=True, preexec_fn=disturb, umask=0o002,
    )  # fmt: skip
    os.close(high_fd)
    os.close(extra_fd)
    (facts,) = read_reports(reports)
    path = socket_of(install, env)
    assert result.returncode == 42
    assert facts["argv"] == ["-I", "-X", "utf8", "-m", "redod", "run"]
    assert facts["fds"] == [0, 1, 2, 3]
    assert facts["links"] == ["/dev/null", "/dev/null", os.fsdecode(path.removesuffix(b".sock") + b".log")]
    assert (facts["cwd"], facts["umask"], facts["ignored"], facts["blocked"]) == ("/", 0o077, [], 0)
    assert facts["sid"] not in (os.getsid(0), facts["pid"])
    passed = {b"LISTEN_FDS": b"1", b"LISTEN_PID": b"%d" % facts["pid"], b"REDOD_SOCKET": path}
    expected = {name.decode(): value.decode("latin-1") for name, value in (env | kept | passed).items()}
    facts["environ"].pop("LC_CTYPE", None)  # Python's own
    assert facts["environ"] == expected
    assert (tmp_path / "redod").stat().st_mode & 0o777 == 0o700
    assert os.stat(path).st_mode & 0o077 == 0


def test_closed_standard_descriptors_do_not_matter(install: Client, env: dict[bytes, bytes], reports: Path) -> None:
    result = install.run("redo", env=env, preexec_fn=lambda: os.closerange(0, 3))
    assert result.returncode == 42
    assert read_reports(reports)[0]["fds"] == [0, 1, 2, 3]


def test_the_clients_umask_survives_the_start(install: Client, env: dict[bytes, bytes], tmp_path: Path) -> None:
    """With a directory that must be made, the umask was changed and put back before it was sent."""
    assert install.run("redo", env=env, umask=0o777).returncode == 42
    assert (tmp_path / "redod").stat().st_mode & 0o777 == 0o700


def test_a_dead_servers_socket_is_replaced(install: Client, env: dict[bytes, bytes], tmp_path: Path) -> None:
    (tmp_path / "redod").mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(socket_of(install, env))
    assert install.run("redo", env=env).returncode == 42


def test_a_socket_path_over_107_bytes_can_be_started(install: Client, env: dict[bytes, bytes], tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 40)
    directory.mkdir()
    env[b"REDOD_SOCKET"] = bytes(directory / "s.sock")
    assert install.run("redo", env=env).returncode == 42


def test_a_server_that_dies_at_once_is_an_error_that_names_the_log(install: Client, env: dict[bytes, bytes]) -> None:
    env[b"REDOD_TEST_CONNECTIONS"] = b"0"
    result = install.run("redo", env=env)
    log = socket_of(install, env).removesuffix(b".sock") + b".log"
    assert result.returncode == 1
    assert log in result.stderr
    assert Path(os.fsdecode(log)).read_text() == "that was all\n"


def test_a_missing_interpreter_is_an_error(install: Client, env: dict[bytes, bytes], tmp_path: Path) -> None:
    (install.bindir / "python3").unlink()
    result = install.run("redo", env=env)
    assert result.returncode == 1
    assert result.stderr.startswith(b"redo: cannot run %s: " % bytes(install.bindir / "python3"))
    assert result.stderr.endswith(b"; install redod again\n")
    assert not os.path.exists(socket_of(install, env))


def test_outside_a_venv_it_is_the_installers_script(install: Client, env: dict[bytes, bytes], reports: Path) -> None:
    (install.bindir.parent / "pyvenv.cfg").unlink()
    (install.bindir / "python3").rename(install.bindir / "redod-server")
    assert install.run("redo", env=env).returncode == 42
    assert read_reports(reports)[0]["argv"] == ["run"]


# ---- redod


@pytest.mark.parametrize(("word", "status"), [(b"status", 1), (b"stop", 0), (b"anything", 1)])
def test_redod_starts_no_server(
    install: Client, env: dict[bytes, bytes], tmp_path: Path, word: bytes, status: int
) -> None:
    result = install.run("redod", word, env=env)
    assert (result.returncode, result.stdout, result.stderr) == (status, b"", b"redod is not running\n")
    assert not (tmp_path / "redod").exists()


def test_redod_run_serves_in_the_foreground(install: Client, env: dict[bytes, bytes], reports: Path) -> None:
    env |= {b"SECRET": b"kept"}
    with install.start("redod", b"run", b"--option", env=env) as server:
        assert server.stderr
        path = socket_of(install, env)
        while not reports.exists() or not reports.read_text():
            assert server.poll() is None, server.stderr.read()
        second = install.run("redod", b"run", env=env)  # its attempt to connect is the one connection that is served
        assert (second.returncode, second.stderr) == (1, b"redod: redod is already running; redod stop ends it\n")
        server.terminate()
    (facts,) = read_reports(reports)
    assert facts["pid"] == server.pid
    assert facts["argv"] == ["-I", "-X", "utf8", "-m", "redod", "run", "--option"]
    assert facts["environ"]["LISTEN_PID"] == str(server.pid)
    assert facts["environ"]["SECRET"] == "kept"
    assert facts["environ"]["REDOD_SOCKET"] == os.fsdecode(path)
    assert facts["fds"] == [0, 1, 2, 3]


def test_a_socket_that_was_passed_to_redod_run_stays(
    install: Client, env: dict[bytes, bytes], reports: Path, tmp_path: Path
) -> None:
    path = bytes(tmp_path / "other.sock")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    script = b'exec 3<&"$0"; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
    command = [b"/bin/bash", b"-c", script, b"%d" % listening.fileno(), *install.command("redod", b"run")]
    with subprocess.Popen(command, env=env, pass_fds=[listening.fileno()]) as server:
        result = install.run("redo", env=env | {b"REDOD_SOCKET": path})
        assert server.wait(PATIENCE) == 0
    listening.close()
    assert result.returncode == 42
    assert read_reports(reports)[0]["environ"]["LISTEN_PID"] == str(server.pid)
    assert not (tmp_path / "redod").exists()


def test_redod_units_needs_no_server(install: Client, env: dict[bytes, bytes], reports: Path, tmp_path: Path) -> None:
    env[b"REDOD_TEST_CONNECTIONS"] = b"0"
    assert install.run("redod", b"units", b"--print", env=env).returncode == 0
    assert read_reports(reports)[0]["argv"] == ["-I", "-X", "utf8", "-m", "redod", "units", "--print"]
    assert not (tmp_path / "redod").exists()


def test_redod_explains_itself(client: Client) -> None:
    asked, bare = client.run("redod", b"--help", env={}), client.run("redod", env={})
    assert (asked.returncode, asked.stderr, bare.returncode, bare.stdout) == (0, b"", 2, b"")
    assert asked.stdout == bare.stderr
    assert asked.stdout.startswith(b"usage: redod COMMAND\n")


# ---- The header that sh reads


def test_the_python_client_runs_as_a_command(tmp_path: Path, env: dict[bytes, bytes], reports: Path) -> None:
    """Under its name and through a link, with the interpreter of its venv."""
    script, command = Client(tmp_path / "v" / "bin"), b"redo-ifchange"
    script.bindir.mkdir(parents=True)
    (script.bindir.parent / "pyvenv.cfg").touch()
    (script.bindir / "python3").symlink_to(sys.executable)
    shutil.copy(Path(__file__).parents[2] / "client" / "redo.py", script.bindir / "redo-ifchange")
    (script.bindir / "redo-ifchange").chmod(0o755)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "redo-ifchange").symlink_to(script.bindir / "redo-ifchange")
    environment = {b"PATH": os.fsencode(tmp_path / "links") + b":/usr/bin:/bin"}
    for program in (bytes(script.bindir / "redo-ifchange"), bytes(tmp_path / "links" / "redo-ifchange"), command):
        result = subprocess.run([program, b"--version"], env=environment, capture_output=True, check=True)
        assert result.stdout.startswith(b"redo-ifchange (redod) ")
        assert result.stderr == b""


def test_without_a_venv_the_header_takes_the_servers_interpreter(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "client" / "redo.py", tmp_path / "redo")
    (tmp_path / "redo").chmod(0o755)
    (tmp_path / "redod-server").write_text(f"#!{tmp_path}/python-of-the-install\n")
    missing = subprocess.run([tmp_path / "redo", "--version"], capture_output=True)
    assert missing.returncode == 1
    message = f"redo: cannot run {tmp_path}/python-of-the-install: it is missing; install redod again\n"
    assert missing.stderr == message.encode()
    (tmp_path / "python-of-the-install").symlink_to(sys.executable)
    assert subprocess.run([tmp_path / "redo", "--version"], capture_output=True, check=True).stdout


@pytest.mark.parametrize("read", [0, 1, 100])
def test_a_server_that_ends_before_it_has_read_the_invocation_is_replaced(
    install: Client, env: dict[bytes, bytes], reports: Path, read: int
) -> None:
    """As when it is killed in the moment in which a client comes. A second one would be told of as the first is."""
    path = socket_of(install, env)
    os.makedirs(os.path.dirname(path), 0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        listening.settimeout(PATIENCE)
        client = install.start("redo", b"x", env=env)
        connection = listening.accept()[0]
        assert len(connection.recv(read, socket.MSG_WAITALL)) == read
    connection.close()
    assert (*client.communicate(timeout=PATIENCE), client.returncode) == (b"", b"", 42)
    assert len(read_reports(reports)) == 1
