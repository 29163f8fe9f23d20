"""Connections, on a pair of sockets: how much of unfinished frames is kept, and where descriptors go."""

import array
import asyncio
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from redod.commands.context import Attendant
from redod.protocol.frames import FrameType, encode_output, encode_start_job
from redod.protocol.invocation import Invocation
from redod.readers import Readers
from redod.server.connection import MOST_HELD, Connection, Intake


def refuse(_connection: Connection, _invocation: Invocation, _descriptors: list[int]) -> Attendant | None:
    raise AssertionError("no invocation is whole here")


@pytest.fixture
def peer() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()


async def fed(peer: tuple[socket.socket, socket.socket], intake: Intake, size: int) -> Connection:
    """A connection that has got so much of an INVOKE of 16 MiB, or has refused it."""
    ours, theirs = peer
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    connection = Connection(loop, Readers(loop), theirs, refuse, lambda _: None, intake=intake)
    data = memoryview(struct.pack(">IB", 16 << 20, FrameType.INVOKE) + bytes(size - 5))
    while data:
        try:
            data = data[ours.send(data[: 1 << 16]) :]
        except (BrokenPipeError, ConnectionResetError):
            break
        connection.read()
    return connection


async def test_what_is_kept_of_unfinished_frames_is_counted(peer: tuple[socket.socket, socket.socket]) -> None:
    intake = Intake()
    connection = await fed(peer, intake, 3 << 20)
    assert intake.held == 3 << 20
    connection.close()
    assert intake.held == 0


async def test_a_long_invocation_is_refused_while_others_keep_too_much(
    peer: tuple[socket.socket, socket.socket],
) -> None:
    intake = Intake()
    intake.held = MOST_HELD
    connection = await fed(peer, intake, 3 << 20)
    assert b"too many long invocations" in peer[0].recv(1000)
    connection.close()
    assert intake.held == MOST_HELD


async def test_a_short_one_is_taken_all_the_same(peer: tuple[socket.socket, socket.socket]) -> None:
    intake = Intake()
    intake.held = MOST_HELD
    connection = await fed(peer, intake, 1000)
    with pytest.raises(BlockingIOError):
        peer[0].recv(1000)
    connection.close()


class Nobody:
    """Who starts jobs, and is told nothing here."""

    def job_started(self, pid: int, error: int) -> None: ...
    def job_ended(self, pid: int, status: int) -> None: ...


async def test_descriptors_go_with_the_first_byte_of_their_frame_however_much_waits_before_it(
    peer: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = peer
    loop = asyncio.get_running_loop()
    ours.setblocking(False)
    connection = Connection(loop, Readers(loop), theirs, refuse, lambda _: None)
    expected = b""
    for number in range(3):
        output = encode_output(2, b"%d" % number * (300 << 10))
        connection.output(2, b"%d" % number * (300 << 10))
        order = encode_start_job(number, 1, 1)
        connection.start_job(order, [os.open("/dev/null", os.O_RDONLY) for _ in range(number + 1)], Nobody())
        expected += output + order
    got, counts = b"", []
    while len(got) < len(expected):
        await asyncio.sleep(0)
        try:
            data, ancillary, _, _ = ours.recvmsg(1 << 16, socket.CMSG_SPACE(4 * 10))
        except BlockingIOError:
            continue
        for _, _, rights in ancillary:
            numbers = array.array("i", rights)
            counts.append(len(numbers))
            for number in numbers:
                os.close(number)
            # The client obeys whole frames only, so what came with them must hold all of theirs.
            assert encode_start_job(len(numbers) - 1, 1, 1) in data
        got += data
    assert got == expected
    assert counts == [1, 2, 3]
    connection.close()
