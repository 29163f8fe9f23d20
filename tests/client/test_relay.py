"""What the client does with what comes back: output, standard input, and how it ends."""

import hashlib
import os
import signal

import pytest

from . import fake_server as wire
from .conftest import Client, Serve, wait_until_full
from .fake_server import CHUNK, PATIENCE, Connection, Talk


@pytest.mark.parametrize("status", [0, 1, 2, 100, 255])
def test_the_status_is_the_servers(client: Client, serve: Serve, status: int) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.exit(status)

    with serve(talk) as server:
        assert client.run("redo", socket=server.path).returncode == status


def test_big_output_goes_to_both_descriptors_in_order(client: Client, serve: Serve) -> None:
    parts = [os.urandom(CHUNK) for _ in range(20)] + [b"", b"x"]

    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        for part in parts:
            connection.send(wire.OUTPUT, b"\1" + part)
            connection.send(wire.OUTPUT, b"\2" + part[::-1])
        connection.exit(0)

    with serve(talk) as server:
        result = client.run("redo", socket=server.path)
    assert result.stdout == b"".join(parts)
    assert result.stderr == b"".join(part[::-1] for part in parts)


def test_frames_in_pieces_are_put_together(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        frames = b"\0\0\0\4\x10\1abc" + b"\0\0\0\2\x12\0\5"
        for place in range(len(frames)):
            connection.raw.sendall(frames[place : place + 1])

    with serve(talk) as server:
        result = client.run("redo", socket=server.path)
    assert (result.returncode, result.stdout) == (5, b"abc")


def test_a_nonblocking_standard_output_loses_nothing_and_stays_so(client: Client, serve: Serve) -> None:
    data = os.urandom(CHUNK)

    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        for _ in range(40):
            connection.send(wire.OUTPUT, b"\1" + data)
        connection.exit(0)

    out, into = os.pipe()
    os.set_blocking(into, False)
    with serve(talk) as server, client.start("redo", socket=server.path, stdout=into) as process:
        wait_until_full(into, process)  # the client has met EAGAIN, or will
        assert not os.get_blocking(into)
        os.close(into)
        with open(out, "rb") as reader:
            assert reader.read() == data * 40
        assert process.wait(PATIENCE) == 0


def test_a_closed_reader_of_standard_output_kills_by_sigpipe(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.OUTPUT, b"\1nobody reads this")
        with pytest.raises(EOFError):
            connection.receive()

    out, into = os.pipe()
    os.close(out)
    with serve(talk) as server:
        assert client.run("redo", socket=server.path, stdout=into).returncode == -signal.SIGPIPE
    os.close(into)


def test_a_closed_reader_of_standard_error_only_loses_the_text(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.OUTPUT, b"\2nobody reads this")
        connection.send(wire.OUTPUT, b"\2nor this")
        connection.send(wire.OUTPUT, b"\1but this")
        connection.exit(3)

    out, into = os.pipe()
    os.close(out)
    with serve(talk) as server:
        result = client.run("redo", socket=server.path, stderr=into)
    os.close(into)
    assert (result.returncode, result.stdout) == (3, b"but this")


def test_ten_megabytes_of_standard_input_are_streamed_while_output_comes(client: Client, serve: Serve) -> None:
    data = os.urandom(10 << 20)
    heard = hashlib.sha256()

    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.READ_STDIN)
        for _ in range(
            30
        ):  # more than the socket buffers hold, before anything is read: the client must do both at once
            connection.send(wire.OUTPUT, b"\1" + b"o" * CHUNK)
        while part := expect_input(connection):
            heard.update(part)
            connection.send(wire.OUTPUT, b"\1o")
        connection.exit(0)

    with serve(talk) as server:
        result = client.run("redo-stamp", socket=server.path, input=data)
    assert result.returncode == 0
    assert set(result.stdout) == {ord("o")}
    assert heard.digest() == hashlib.sha256(data).digest()


def expect_input(connection: Connection) -> bytes:
    kind, payload = connection.receive()
    assert kind == wire.STDIN
    return payload


def test_a_closed_standard_input_is_an_empty_one(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.READ_STDIN)
        assert expect_input(connection) == b""
        connection.exit(0)

    with serve(talk) as server:
        result = client.run("redo-stamp", socket=server.path, stdin=None, preexec_fn=lambda: os.close(0))
    assert result.returncode == 0


def test_an_exit_while_standard_input_streams_is_obeyed(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.READ_STDIN)
        assert expect_input(connection) != b""
        connection.exit(9)

    with serve(talk) as server, open("/dev/zero", "rb") as endless:
        assert client.run("redo-stamp", socket=server.path, stdin=endless).returncode == 9


def test_a_refusal_is_printed_with_the_commands_name(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.REFUSED, b"\2" + "version 2 is not mine: é".encode())

    with serve(talk) as server:
        result = client.run("redo-ifchange", socket=server.path)
    assert (result.returncode, result.stderr) == (2, "redo-ifchange: version 2 is not mine: é\n".encode())


def test_a_refusal_before_the_invocation_was_read_is_seen(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        assert connection.raw.recv(1)
        connection.send(wire.REFUSED, b"\2too long")

    with serve(talk) as server:
        environment = {b"REDOD_SOCKET": server.path} | {b"BIG%d" % i: b"x" * 100_000 for i in range(15)}
        result = client.run("redo", env=environment)
    assert (result.returncode, result.stderr) == (2, b"redo: too long\n")


def close_without_a_word(connection: Connection) -> None:
    connection.receive_invocation()


def close_after_a_word(connection: Connection) -> None:
    connection.send(wire.OUTPUT, b"\1")
    connection.raw.recv(1)


@pytest.mark.parametrize("talk", [close_without_a_word, close_after_a_word])
def test_an_end_without_exit_names_the_log(client: Client, serve: Serve, talk: Talk) -> None:
    with serve(talk) as server:
        result = client.run("redo", socket=server.path)
    log = server.path.removesuffix(b".sock") + b".log"
    assert result.returncode == 1
    assert (
        result.stderr == b"redo: the build server (redod) ended without an answer; try again; its log: " + log + b"\n"
    )


def receive_for_ever(connection: Connection) -> None:
    while True:
        connection.receive()


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\0\0\0\0\x63", id="unknown type"),
        pytest.param(b"\0\0\0\2\x10\3x", id="output for descriptor 3"),
        pytest.param(b"\0\0\0\0\x10", id="output without descriptor"),
        pytest.param(b"\0\0\0\1\x12\0", id="short exit"),
        pytest.param(b"\0\0\0\2\x12\2\0", id="unknown kind of exit"),
        pytest.param(b"\0\1\0\2\x10\1", id="oversized"),
        pytest.param(b"\0\0\0\0\x11\0\0\0\0\x11", id="standard input asked for twice"),
        pytest.param(b"\0\0\0\1\1x", id="a frame of the client's"),
    ],
)
def test_a_frame_it_does_not_know_ends_the_client(client: Client, serve: Serve, frame: bytes) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.raw.sendall(frame)
        with pytest.raises((EOFError, ConnectionResetError)):
            receive_for_ever(connection)

    out, into = os.pipe()  # a standard input without an end, so that only the frame can end the client
    with serve(talk) as server:
        result = client.run("redo", socket=server.path, stdin=out)
    os.close(out)
    os.close(into)
    assert result.returncode == 1
    assert b"that this client does not know; stop the server (redod stop) and try again" in result.stderr
