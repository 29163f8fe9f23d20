"""What the client sends: every field exactly, whatever bytes it is made of, and its descriptors."""

import os
import pty
import resource
import shutil
import termios
from itertools import product
from pathlib import Path

import pytest

from redod import __version__

from . import fake_server as wire
from .conftest import COMPILER, NAMES, Client, Serve, compile_client
from .fake_server import Connection, Invocation

ODD = b"a b\xff\xfe'\"\n\t*"


class Recorder:
    """A conversation that keeps the invocation and ends with status 0."""

    def __init__(self) -> None:
        self.invocations: list[Invocation] = []

    def __call__(self, connection: Connection) -> None:
        self.invocations.append(connection.receive_invocation())
        connection.exit(0)

    @property
    def fields(self) -> dict[int, bytes]:
        return self.invocations[0].fields


@pytest.mark.parametrize("name", [name for name in NAMES if name != "redo-detach"])
def test_every_command_name_that_needs_a_server_is_sent(client: Client, serve: Serve, name: str) -> None:
    heard = Recorder()
    with serve(heard) as server:
        assert client.run(name, b"x", socket=server.path).returncode == 0
    assert heard.fields[wire.NAME] == name.encode()
    assert heard.fields[wire.VERSION] == __version__.encode()
    assert heard.fields[wire.PROTOCOL] == bytes([0, 1, 0, 1])


def test_arguments_environment_and_directory_are_bytes(client: Client, serve: Serve, tmp_path: Path) -> None:
    heard = Recorder()
    cwd = os.path.join(bytes(tmp_path), ODD)
    os.mkdir(cwd)
    with serve(heard) as server:
        environment = {b"REDOD_SOCKET": server.path, b"ODD": ODD, b"x.y": b"", b"BASH_FUNC_f%%": b"() { :;\n}"}
        client.run("redo", ODD, b"", b"--", b"-\x80", env=environment, cwd=cwd)
    assert heard.invocations[0].strings(wire.ARGS) == [ODD, b"", b"--", b"-\x80"]
    assert heard.invocations[0].strings(wire.ENVIRON) == [b"%s=%s" % item for item in environment.items()]
    assert heard.fields[wire.CWD] == cwd


def test_no_arguments_is_an_empty_field(client: Client, serve: Serve) -> None:
    heard = Recorder()
    with serve(heard) as server:
        client.run("redo", socket=server.path)
    assert heard.fields[wire.ARGS] == b""


def test_umask_and_limits_are_sent(client: Client, serve: Serve) -> None:
    heard = Recorder()

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (123, 456))
        resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    with serve(heard) as server:
        client.run("redo", socket=server.path, umask=0o137, preexec_fn=lower)
    limits = heard.fields[wire.LIMITS]
    assert heard.fields[wire.UMASK] == (0o137).to_bytes(4, "big")
    assert len(limits) == 256
    place = 16 * resource.RLIMIT_NOFILE
    assert limits[place : place + 16] == (123).to_bytes(8, "big") + (456).to_bytes(8, "big")
    place = 16 * resource.RLIMIT_CPU
    assert limits[place : place + 16] == b"\xff" * 16


@pytest.mark.parametrize("is_open", list(product([True, False], repeat=3)))
def test_the_open_ones_of_descriptors_0_to_2_are_passed(
    client: Client, serve: Serve, tmp_path: Path, is_open: tuple[bool, bool, bool]
) -> None:
    heard = Recorder()
    files = [tmp_path / name for name in ("in", "out", "err")]
    for file in files:
        file.touch()
    opened = [file.open("r+b") for file in files]

    def close_some() -> None:
        for fd in range(3):
            if not is_open[fd]:
                os.close(fd)

    def talk(connection: Connection) -> None:
        heard.invocations.append(connection.receive_invocation())
        connection.send(wire.OUTPUT, b"\1out")
        connection.send(wire.OUTPUT, b"\2err")
        connection.exit(7)

    with serve(talk) as server:
        result = client.run(
            "redo", socket=server.path, stdin=opened[0], stdout=opened[1], stderr=opened[2], preexec_fn=close_some
        )
    for stream in opened:
        stream.close()
    assert result.returncode == 7
    assert heard.fields[wire.DESCRIPTORS] == bytes([sum(1 << fd for fd in range(3) if is_open[fd])])
    expected = [file.stat() for file, passed in zip(files, is_open, strict=True) if passed]
    assert heard.invocations[0].files == [(each.st_dev, each.st_ino) for each in expected]
    assert [file.read_bytes() for file in files] == [b"", b"out" if is_open[1] else b"", b"err" if is_open[2] else b""]


def test_a_terminal_and_its_size_are_sent(client: Client, serve: Serve) -> None:
    heard = Recorder()
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 44))
    with serve(heard) as server:
        client.run("redo", socket=server.path, stderr=theirs)
    os.close(ours)
    os.close(theirs)
    assert heard.fields[wire.TERMINAL] == bytes([4, 0, 33, 0, 44])


def test_no_terminal_is_sent_as_zeros(client: Client, serve: Serve) -> None:
    heard = Recorder()
    with serve(heard) as server:
        client.run("redo", socket=server.path)
    assert heard.fields[wire.TERMINAL] == bytes(5)


@pytest.mark.parametrize("flags", ["{}", "k -j4 {} -- V=1", " -j --jobserver-fds=8,9 {}"])
@pytest.mark.parametrize("option", ["--jobserver-auth", "--jobserver-fds"])
def test_the_jobserver_of_the_make_around_is_passed(client: Client, serve: Serve, flags: str, option: str) -> None:
    heard, ends = Recorder(), os.pipe()
    with serve(heard) as server:
        named = flags.format(f"{option}={ends[0]},{ends[1]}").encode()
        environment = {b"REDOD_SOCKET": server.path, b"MAKEFLAGS": named}
        client.run("redo", env=environment, pass_fds=ends)
    pipe = os.fstat(ends[0])
    for end in ends:
        os.close(end)
    assert heard.fields[wire.JOBSERVER] == b""
    assert heard.invocations[0].files[-2:] == [(pipe.st_dev, pipe.st_ino)] * 2
    assert len(heard.invocations[0].files) == 5


@pytest.mark.parametrize(
    "flags",
    [
        "", "-j8", "-j4 --jobserver-auth=-2,-2", "--jobserver-auth=fifo:/tmp/x", "--jobserver-auth=0",
        "-- V=--jobserver-auth={r},{w}",
        "-j2 -- --jobserver-auth={r},{w}", "--jobserver-auth=1,2", "--jobserver-auth=198,199",
        "--jobserver-auth={r},{other}", "--jobserver-auth=99999999999999999999,4", "x--jobserver-auth={r},{w}",
    ],
)  # fmt: skip
def test_what_is_no_jobserver_is_not_passed(client: Client, serve: Serve, flags: str) -> None:
    heard, pipe, other = Recorder(), os.pipe(), os.pipe()
    with serve(heard) as server:
        named = flags.format(r=pipe[0], w=pipe[1], other=other[1]).encode()
        client.run("redo", env={b"REDOD_SOCKET": server.path, b"MAKEFLAGS": named}, pass_fds=(*pipe, *other))
    for end in (*pipe, *other):
        os.close(end)
    assert wire.JOBSERVER not in heard.fields
    assert len(heard.invocations[0].files) == 3


def test_a_script_passes_no_jobserver(client: Client, serve: Serve) -> None:
    heard, ends = Recorder(), os.pipe()
    with serve(heard) as server:
        named = b"--jobserver-auth=%d,%d" % ends
        client.run("redo", env={b"REDOD_SOCKET": server.path, b"MAKEFLAGS": named, b"REDO_JOB": b"x"}, pass_fds=ends)
    for end in ends:
        os.close(end)
    assert wire.JOBSERVER not in heard.fields


def test_5000_arguments_and_megabytes_of_environment_arrive(client: Client, serve: Serve) -> None:
    heard = Recorder()
    args = [b"target-%d" % i for i in range(5000)]
    big = {b"BIG%d" % i: b"%d" % i * 40_000 for i in range(30)}
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]

    def raise_limit() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))

    with serve(heard) as server:
        environment = {b"REDOD_SOCKET": server.path, **big}
        result = client.run("redo-ifchange", *args, env=environment, preexec_fn=raise_limit)
    assert result.returncode == 0, result.stderr
    assert heard.invocations[0].strings(wire.ARGS) == args
    assert heard.invocations[0].strings(wire.ENVIRON) == [b"%s=%s" % item for item in environment.items()]


@pytest.mark.skipif(not COMPILER, reason="there is no C compiler, so there is no native client")
def test_more_than_the_limit_is_refused_by_the_client(tmp_path: Path) -> None:
    """execve(2) passes 6 MiB at most, so a client that was compiled with a smaller limit stands in."""
    small = tmp_path / "redo"
    compile_client(small, "-DARGUMENTS_MAX=1000")

    def talk(connection: Connection) -> None:
        with pytest.raises(AssertionError, match="before it sent anything"):
            connection.receive_invocation()

    with Serve(bytes(tmp_path / "server.sock"))(talk) as server:
        result = Client(tmp_path).run("redo", b"x" * 2000, socket=server.path)
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"redo: arguments and environment are longer than 1000 bytes; ")


def test_a_deleted_directory_is_a_clear_error(client: Client, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    result = client.run("redo", socket=bytes(tmp_path / "none"), cwd=gone, preexec_fn=gone.rmdir)
    assert result.returncode == 1
    assert result.stderr == b"redo: the current directory no longer exists; change to one that does\n"


def test_a_directory_deeper_than_path_max_is_sent(client: Client, serve: Serve, tmp_path: Path) -> None:
    heard = Recorder()
    deep = "d" * 200

    def descend() -> None:
        for _ in range(25):
            os.mkdir(deep)
            os.chdir(deep)

    with serve(heard) as server:
        result = client.run("redo", socket=server.path, cwd=tmp_path, preexec_fn=descend)
    assert result.returncode == 0, result.stderr
    assert heard.fields[wire.CWD] == bytes(tmp_path) + b"/" + b"/".join([deep.encode()] * 25)
    shutil.rmtree(tmp_path / deep)


def test_a_socket_path_over_107_bytes_works(client: Client, serve: Serve, tmp_path: Path) -> None:
    heard = Recorder()
    directory = tmp_path / ("long" * 40)
    directory.mkdir()
    with serve(heard, bytes(directory / "server.sock")) as server:
        assert client.run("redo", b"x", socket=server.path).returncode == 0
    assert heard.invocations[0].strings(wire.ARGS) == [b"x"]
