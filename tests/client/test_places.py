"""Where the client looks for the server: which socket, and which directories it trusts."""

import os
from pathlib import Path

import pytest

from redod import __version__

from . import fake_server as wire
from .conftest import Client, Serve
from .fake_server import Connection

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory that belongs to somebody else")


def install_id(client: Client) -> str:
    """The rule of docs/protocol.md, written a second time."""
    mtime = (client.bindir / "redo").stat().st_mtime_ns
    value = 0xCBF29CE484222325
    for byte in b"%s\0%s\0%d" % (bytes(client.bindir), __version__.encode(), mtime):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def socket_of(client: Client, **environment: str) -> str:
    result = client.run("redod", b"socket", env={name.encode(): value.encode() for name, value in environment.items()})
    assert result.returncode == 0, result.stderr
    return os.fsdecode(result.stdout).removesuffix("\n")


def test_the_socket_that_is_named_wins(client: Client, tmp_path: Path) -> None:
    assert socket_of(client, REDOD_SOCKET="/x/y.sock", XDG_RUNTIME_DIR=str(tmp_path)) == "/x/y.sock"


def test_the_runtime_directory_comes_next(client: Client, tmp_path: Path) -> None:
    expected = f"{tmp_path}/redod/{install_id(client)}.sock"
    assert socket_of(client, XDG_RUNTIME_DIR=str(tmp_path), TMPDIR="/elsewhere") == expected


@pytest.mark.skipif(os.path.exists(f"/run/user/{os.geteuid()}"), reason="the user has a runtime directory, which wins")
@pytest.mark.parametrize("runtime", ["", "relative", "/does/not/exist", "/dev/null"])
def test_without_a_runtime_directory_it_is_the_temporary_one(client: Client, tmp_path: Path, runtime: str) -> None:
    directory = f"redod-{os.geteuid()}/{install_id(client)}.sock"
    assert socket_of(client, XDG_RUNTIME_DIR=runtime, TMPDIR=str(tmp_path)) == f"{tmp_path}/{directory}"
    assert socket_of(client, XDG_RUNTIME_DIR=runtime, TMPDIR="relative") == f"/tmp/{directory}"
    assert socket_of(client) == f"/tmp/{directory}"


def test_another_install_has_another_socket(own_install: Client, tmp_path: Path) -> None:
    before = socket_of(own_install, XDG_RUNTIME_DIR=str(tmp_path))
    os.utime(own_install.bindir / "redo", ns=(0, 1))
    after = socket_of(own_install, XDG_RUNTIME_DIR=str(tmp_path))
    assert before != after
    assert after == f"{tmp_path}/redod/{install_id(own_install)}.sock"


def test_a_symbolic_link_to_a_command_is_the_same_install(client: Client, tmp_path: Path) -> None:
    (tmp_path / "redod").symlink_to(client.bindir / "redod")
    linked = Client(tmp_path, client.prefix)
    assert socket_of(linked, XDG_RUNTIME_DIR="/") == socket_of(client, XDG_RUNTIME_DIR="/")


def test_a_relative_socket_is_an_error(client: Client) -> None:
    result = client.run("redo", socket=b"some.sock")
    assert (result.returncode, result.stderr) == (2, b"redo: REDOD_SOCKET is some.sock; it must be an absolute path\n")


def test_a_server_in_the_runtime_directory_is_found(client: Client, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "redod").mkdir(0o700)

    def talk(connection: Connection) -> None:
        assert connection.receive_invocation().strings(wire.ARGS) == [b"x"]
        connection.exit(6)

    with serve(talk, bytes(tmp_path / "redod" / f"{install_id(client)}.sock")):
        assert client.run("redo", b"x", env={b"XDG_RUNTIME_DIR": bytes(tmp_path)}).returncode == 6


def refusal(client: Client, tmp_path: Path) -> bytes:
    result = client.run("redo", env={b"XDG_RUNTIME_DIR": bytes(tmp_path)})
    assert result.returncode == 1
    return result.stderr


def test_a_directory_open_to_others_is_refused(client: Client, tmp_path: Path) -> None:
    directory = tmp_path / "redod"
    directory.mkdir()
    directory.chmod(0o777)
    expected = b"redo: %s is open to others; chmod 700 it, or set REDOD_SOCKET\n" % bytes(directory)
    assert refusal(client, tmp_path) == expected
    assert list(directory.iterdir()) == []


@is_root
def test_somebody_elses_directory_is_refused(client: Client, tmp_path: Path) -> None:
    directory = tmp_path / "redod"
    directory.mkdir(0o700)
    os.chown(directory, 12345, 12345)
    expected = b"redo: %s belongs to user 12345, not to you; remove it, or set REDOD_SOCKET\n" % bytes(directory)
    assert refusal(client, tmp_path) == expected


def test_a_link_in_place_of_the_directory_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(0o700)
    (tmp_path / "redod").symlink_to("real")
    assert b"redod is not a directory; remove it, or set REDOD_SOCKET\n" in refusal(client, tmp_path)


def test_a_file_in_place_of_the_socket_is_kept(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    (tmp_path / "redod-server").touch()
    result = client.run("redo", socket=bytes(file))
    assert result.returncode == 1
    assert result.stderr.startswith(b"redo: cannot ")
    assert file.read_text() == "precious"
