"""What the client does with signals: they are forwarded, it dies by them, and a terminal's size is told."""

import os
import pty
import signal
import subprocess
import termios
import threading
from pathlib import Path
from typing import Any

import pytest

from . import fake_server as wire
from .conftest import Client, Serve, wait_until_full
from .fake_server import CHUNK, PATIENCE, Connection

FORWARDED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


def ready(connection: Connection) -> None:
    """Tell the test that the client's signal handlers stand: it relays only after it has set them."""
    connection.receive_invocation()
    connection.send(wire.OUTPUT, b"\1ready")


def start_ready(client: Client, path: bytes, **how: Any) -> "subprocess.Popen[bytes]":
    process = client.start("redo", socket=path, **how)
    assert process.stdout
    assert process.stdout.read(5) == b"ready"
    return process


def end(process: "subprocess.Popen[bytes]") -> int:
    process.communicate(timeout=PATIENCE)
    return process.returncode


@pytest.mark.parametrize("number", FORWARDED)
def test_a_signal_is_forwarded_and_the_client_dies_by_it(client: Client, serve: Serve, number: int) -> None:
    def talk(connection: Connection) -> None:
        ready(connection)
        assert connection.receive() == (wire.SIGNAL, bytes([number]))
        connection.send(wire.EXIT, bytes([1, number]))

    with serve(talk) as server:
        process = start_ready(client, server.path)
        process.send_signal(number)
        assert end(process) == -number


def test_a_second_signal_kills_at_once(client: Client, serve: Serve) -> None:
    received: list[Exception] = []

    def talk(connection: Connection) -> None:
        ready(connection)
        assert connection.receive() == (wire.SIGNAL, bytes([signal.SIGINT]))
        connection.send(wire.OUTPUT, b"\1cancelling")
        with pytest.raises((EOFError, ConnectionResetError)) as caught:
            connection.receive()
        received.append(caught.value)

    with serve(talk) as server:
        process = start_ready(client, server.path)
        process.send_signal(signal.SIGINT)
        assert process.stdout
        assert process.stdout.read(10) == b"cancelling"
        process.send_signal(signal.SIGTERM)
        assert end(process) == -signal.SIGTERM
    assert received


def test_a_signal_comes_through_while_the_output_is_stuck(client: Client, serve: Serve) -> None:
    heard = threading.Event()

    def talk(connection: Connection) -> None:
        ready(connection)
        connection.send(wire.OUTPUT, b"\1" + bytes(CHUNK))
        connection.send(wire.OUTPUT, b"\1" + bytes(CHUNK))
        assert connection.receive() == (wire.SIGNAL, bytes([signal.SIGINT]))
        heard.set()
        connection.send(wire.EXIT, bytes([1, signal.SIGINT]))

    out, into = os.pipe()
    with serve(talk) as server:
        process = client.start("redo", socket=server.path, stdout=into)
        assert os.read(out, 5) == b"ready"
        wait_until_full(into, process)
        process.send_signal(signal.SIGINT)
        assert heard.wait(PATIENCE)
        os.close(into)
        with open(out, "rb") as reader:
            reader.read()
        assert end(process) == -signal.SIGINT


def test_a_signal_never_splits_a_frame_of_standard_input(client: Client, serve: Serve) -> None:
    seen: list[int] = []

    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.READ_STDIN)
        connection.send(wire.OUTPUT, b"\1ready")
        while signal.SIGTERM not in seen:
            kind, payload = connection.receive()
            assert (kind, len(payload)) in ((wire.STDIN, CHUNK), (wire.SIGNAL, 1))
            seen.extend(payload if kind == wire.SIGNAL else b"")
        connection.send(wire.EXIT, bytes([1, signal.SIGTERM]))

    with serve(talk) as server, open("/dev/zero", "rb") as endless:
        process = start_ready(client, server.path, stdin=endless)
        process.send_signal(signal.SIGTERM)
        assert end(process) == -signal.SIGTERM


def test_an_ignored_signal_stays_ignored(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        ready(connection)
        assert connection.receive() == (wire.SIGNAL, bytes([signal.SIGTERM]))
        connection.send(wire.EXIT, bytes([1, signal.SIGTERM]))

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with serve(talk) as server:
        process = start_ready(client, server.path, preexec_fn=ignore)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert end(process) == -signal.SIGTERM


def test_dying_by_quit_leaves_no_core(client: Client, serve: Serve, tmp_path: Path) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.EXIT, bytes([1, signal.SIGQUIT]))

    with serve(talk) as server:
        process = client.start("redo", socket=server.path, cwd=tmp_path)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGQUIT
    assert {path.name for path in tmp_path.iterdir()} == {"server.sock"}


def test_a_blocked_signal_still_kills_when_the_server_says_so(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.EXIT, bytes([1, signal.SIGTERM]))

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    with serve(talk) as server:
        assert client.run("redo", socket=server.path, preexec_fn=block).returncode == -signal.SIGTERM


def test_a_resized_terminal_is_told(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        ready(connection)
        assert connection.receive() == (wire.WINSIZE, bytes([0, 50, 0, 100]))
        connection.exit(0)

    ours, theirs = pty.openpty()
    with serve(talk) as server:
        process = start_ready(client, server.path, stderr=theirs)
        termios.tcsetwinsize(theirs, (50, 100))
        process.send_signal(signal.SIGWINCH)
        assert end(process) == 0
    os.close(ours)
    os.close(theirs)
