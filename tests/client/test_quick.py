"""The quick way of the native client: it sends what the usual way sends, and goes on with it wherever it must."""

import os
import pty
import resource
import shutil
import signal
import socket
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest

from . import fake_server as wire
from .conftest import BARE, COMPILER, HAS_QUICK, SOURCES, Client, Serve, compile_client, compile_quick
from .fake_server import Connection, Invocation

pytestmark = pytest.mark.skipif(not HAS_QUICK, reason="for static programs on x86-64")
NAME = "redo-ifchange"
LONG = 1 << 15


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Client:
    made = Client(tmp_path_factory.mktemp("usual"))
    compile_client(made.bindir / NAME)
    return made


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """It waits for the answer as long as it takes."""
    made = Client(tmp_path_factory.mktemp("quick"))
    compile_quick(made.bindir / NAME, "-DQUICK_PATIENCE=-1")
    return made


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """It does not wait at all, but goes on in the usual way."""
    made = Client(tmp_path_factory.mktemp("impatient"))
    compile_quick(made.bindir / NAME, "-DQUICK_PATIENCE=0")
    return made


def nested(path: bytes, **more: bytes) -> dict[bytes, bytes]:
    """The environment of a call in a script."""
    return {b"REDOD_SOCKET": path, b"REDO_JOB": b"token", **{os.fsencode(name): more[name] for name in more}}


def said(client: Client, serve: Serve, *args: bytes, **how: Any) -> tuple[Invocation, bool]:
    """What a nested call sends, and whether that was done without the C library."""
    heard: list[tuple[Invocation, bool]] = []

    def talk(connection: Connection) -> None:
        invocation = connection.receive_invocation()
        heard.append((invocation, is_bare(connection)))
        connection.exit(7)

    with serve(talk) as server:
        environment = nested(server.path, **how.pop("more", {}))
        assert client.run(NAME, *args, env=environment, **how).returncode == 7
    os.unlink(server.path)
    return heard[0]


def is_bare(connection: Connection) -> bool:
    """The C library's first act in a static program is to make a heap."""
    return "[heap]" not in Path(f"/proc/{peer(connection)}/maps").read_text()


def peer(connection: Connection) -> int:
    """The client's pid."""
    pid, _, _ = struct.unpack("3i", connection.raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


def deep_directory(tmp_path: Path) -> Path:
    deep = tmp_path
    for _ in range(15):
        deep /= "d" * 250
    deep.mkdir(parents=True)
    return deep


def lower() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (123, 456))


@pytest.mark.parametrize(
    ("args", "how"),
    [
        ((), {}),
        ((b"a b\xff\xfe'\"\n\t*", b"", b"x"), {"more": {"ODD": b"\xff=\n", "EMPTY": b""}}),
        ((b"x",), {"umask": 0o137, "preexec_fn": lower}),
        (tuple(b"target-%d" % i for i in range(2000)), {"more": {"BIG": b"b" * 20_000}}),
    ],
    ids=["nothing", "odd bytes", "umask and limits", "much"],
)
def test_it_sends_what_the_usual_way_sends(
    usual: Client, quick: Client, serve: Serve, args: tuple[bytes, ...], how: dict[str, Any]
) -> None:
    expected, _ = said(usual, serve, *args, **how.copy(), stderr=subprocess.DEVNULL)
    sent, is_quick = said(quick, serve, *args, **how.copy(), stderr=subprocess.DEVNULL)
    assert is_quick
    assert sent.fields == expected.fields
    assert sent.files[::2] == expected.files[::2]
    assert len(sent.files) == 3


def test_it_sends_a_terminal_and_a_long_directory(usual: Client, quick: Client, serve: Serve, tmp_path: Path) -> None:
    cwd = deep_directory(tmp_path)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 44))
    expected, _ = said(usual, serve, stderr=theirs, cwd=cwd)
    sent, is_quick = said(quick, serve, stderr=theirs, cwd=cwd)
    os.close(ours)
    os.close(theirs)
    assert is_quick
    assert sent.fields == expected.fields
    assert sent.fields[wire.TERMINAL] == bytes([4, 0, 33, 0, 44])


@pytest.mark.parametrize(
    ("args", "how"),
    [
        ((b"x" * LONG,), {}),
        ((), {"more": {"BIG": b"b" * LONG}}),
        ((b"--help",), {}),
        ((), {"preexec_fn": lambda: os.close(0)}),
    ],
    ids=["long arguments", "long environment", "an option", "a closed descriptor"],
)
def test_what_is_unusual_goes_the_usual_way(
    usual: Client, quick: Client, serve: Serve, args: tuple[bytes, ...], how: dict[str, Any]
) -> None:
    expected, _ = said(usual, serve, *args, **how.copy())
    sent, is_quick = said(quick, serve, *args, **how.copy())
    assert not is_quick
    assert sent.fields == expected.fields


def test_a_long_socket_path_goes_the_usual_way(quick: Client, tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 150)
    directory.mkdir()
    _, is_quick = said(quick, Serve(bytes(directory / "s")))
    assert not is_quick


def test_a_call_outside_a_script_goes_the_usual_way(quick: Client, serve: Serve) -> None:
    """There a signal must be the server's to answer."""

    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        assert not is_bare(connection)
        connection.exit(0)

    with serve(talk) as server:
        assert quick.run(NAME, socket=server.path).returncode == 0


@pytest.mark.parametrize("waits", [True, False])
def test_everything_but_an_exit_status_is_obeyed_in_the_usual_way(
    quick: Client, impatient: Client, serve: Serve, waits: bool
) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.OUTPUT, b"\1out")
        connection.send(wire.OUTPUT, b"\2err")
        connection.send(wire.READ_STDIN)
        assert connection.receive() == (wire.STDIN, b"input")
        assert connection.receive() == (wire.STDIN, b"")
        connection.exit(3)

    client = quick if waits else impatient
    with serve(talk) as server:
        result = client.run(NAME, b"x", env=nested(server.path), input=b"input")
    assert (result.returncode, result.stdout, result.stderr) == (3, b"out", b"err")


def test_a_refusal_and_the_servers_death_are_told(quick: Client, serve: Serve) -> None:
    def refuse(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.REFUSED, b"\5no")

    def die(connection: Connection) -> None:
        connection.receive_invocation()

    with serve(refuse) as server:
        result = quick.run(NAME, env=nested(server.path))
    assert (result.returncode, result.stderr) == (5, b"redo-ifchange: no\n")
    os.unlink(server.path)
    with serve(die) as server:
        result = quick.run(NAME, env=nested(server.path))
    assert result.returncode == 1
    assert result.stderr.startswith(b"redo-ifchange: the build server (redod) ended without an answer; ")


def test_a_signal_while_it_waits_ends_it_and_closes_the_connection(quick: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        assert is_bare(connection)
        os.kill(peer(connection), signal.SIGTERM)
        with pytest.raises(EOFError):
            connection.receive()

    with serve(talk) as server:
        assert quick.run(NAME, env=nested(server.path)).returncode == -signal.SIGTERM


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3", "-Os"])
def test_it_needs_nothing_of_the_c_library(tmp_path: Path, level: str) -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("there is no nm")
    assert COMPILER
    compiled = tmp_path / "quick.o"
    options = ["-std=gnu11", *BARE, level, '-DREDOD_VERSION="1"', "-c", str(SOURCES / "quick.c"), "-o", str(compiled)]
    subprocess.run([COMPILER, *options], check=True)
    found = subprocess.run(
        [nm, "--undefined-only", "--format=posix", str(compiled)], stdout=subprocess.PIPE, check=True
    )
    assert {line.split()[0] for line in found.stdout.splitlines()} <= {b"_start", b"quick_connection"}
