"""The status line on the client's terminal: it is gone before anything else comes, and at the end."""

import os
import pty
import signal

import pytest

from . import fake_server as wire
from .conftest import Client, Serve
from .fake_server import PATIENCE, Connection, Talk

ERASE = b"\r\x1b[J"


def read_terminal(ours: int) -> bytes:
    """All that was written to a terminal that nobody has open any more."""
    seen = b""
    while True:
        try:
            seen += os.read(ours, 4096)
        except OSError:  # EIO
            return seen


def run_on_terminal(client: Client, serve: Serve, talk: Talk) -> tuple[int, bytes]:
    ours, theirs = pty.openpty()
    with serve(talk) as server, client.start("redo", socket=server.path, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = read_terminal(ours)
        status = process.wait(PATIENCE)
    os.close(ours)
    return status, seen


def test_a_status_line_is_replaced_by_the_next_and_gone_before_output_and_at_the_end(
    client: Client, serve: Serve
) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.STATUS, b"one")
        connection.send(wire.STATUS, b"two")
        connection.send(wire.OUTPUT, b"\2text")
        connection.send(wire.OUTPUT, b"\1 more")
        connection.send(wire.STATUS, b"three")
        connection.send(wire.STATUS, b"")
        connection.send(wire.STATUS, b"four")
        connection.exit(5)

    status, seen = run_on_terminal(client, serve, talk)
    assert status == 5
    shown = [b"\r" + line + b"\x1b[J\r" for line in (b"one", b"two", b"three", b"four")]
    assert seen == shown[0] + shown[1] + ERASE + b"text more" + shown[2] + ERASE + shown[3] + ERASE


@pytest.mark.parametrize(
    "last", [b"\0\0\0\2\x12\1\x0f", b"\0\0\0\4\x13\1why", b""], ids=["signal", "refused", "server ends"]
)
def test_however_it_ends_the_status_line_is_gone_first(client: Client, serve: Serve, last: bytes) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.STATUS, b"line")
        connection.raw.sendall(last)

    _, seen = run_on_terminal(client, serve, talk)
    assert seen.startswith(b"\rline\x1b[J\r" + ERASE)


def test_after_a_signal_no_status_line_is_shown(client: Client, serve: Serve) -> None:
    def talk(connection: Connection) -> None:
        connection.receive_invocation()
        connection.send(wire.STATUS, b"before")
        assert connection.receive() == (wire.SIGNAL, bytes([signal.SIGTERM]))
        connection.send(wire.STATUS, b"after")
        connection.send(wire.EXIT, bytes([1, signal.SIGTERM]))

    ours, theirs = pty.openpty()
    with serve(talk) as server, client.start("redo", socket=server.path, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while not seen.endswith(b"before\x1b[J\r"):
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGTERM)
        assert seen + read_terminal(ours) == b"\rbefore\x1b[J\r" + ERASE
        assert process.wait(PATIENCE) == -signal.SIGTERM
    os.close(ours)
