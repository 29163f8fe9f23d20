"""The server in this process, where time can be had shorter: silent peers, and the end of an idle server."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from redod.engine.engine import Engine
from redod.protocol.frames import FrameType
from redod.protocol.invocation import Invocation, encode_request
from redod.readers import Readers
from redod.server.connection import Connection
from redod.server.peer import Own
from redod.server.place import Place
from redod.server.server import Server
from redod.services.supervisor import Supervisor
from redod.store.lock import Owner
from tests.faults.peers import frame

PATIENCE = 60.0


def accept_none(connection: Connection, invocation: Invocation, descriptors: list[int]) -> None:
    raise AssertionError("nothing whole was sent")


@pytest.mark.parametrize("part", [0, 1, 5, 30])
async def test_a_peer_that_does_not_send_its_whole_invocation_in_time_is_let_go(part: int) -> None:
    ours, theirs = socket.socketpair()
    closed = asyncio.Event()
    with ours, theirs:
        loop = asyncio.get_running_loop()
        ours.sendall(frame(FrameType.INVOKE, encode_request(b"redo-whichdo", [b"x"]))[:part])
        Connection(loop, Readers(loop), theirs, accept_none, lambda _: closed.set(), patience=0.001).begin()
        await asyncio.wait_for(closed.wait(), PATIENCE)
        assert ours.recv(1) == b""


class Served:
    """A listening socket that a server is made for."""

    def __init__(self, directory: Path) -> None:
        self.path = bytes(directory / "server.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(100)

    @property
    def has_name(self) -> bool:
        return os.path.exists(self.path)

    def start(self, idle: float | None, *, is_own: bool = True) -> Server:
        loop = asyncio.get_running_loop()
        owner = Owner(self.path, socket.gethostname(), os.getpid(), 0)
        engine = Engine(loop, jobs=1, owner=owner, commands=b"/nowhere")
        return Server(loop, self.listener, Place(self.path, is_own), engine, idle, Own())

    def ask(self) -> socket.socket:
        """A client that has connected and sent its invocation."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.path)
        client.sendall(frame(FrameType.INVOKE, encode_request(b"redod", [b"status"])))
        client.setblocking(False)
        return client


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    yield made
    made.listener.close()


async def answer(client: socket.socket) -> bytes:
    """Everything that comes until the server closes."""
    loop, data = asyncio.get_running_loop(), b""
    while part := await asyncio.wait_for(loop.sock_recv(client, 65536), PATIENCE):
        data += part
    client.close()
    return data


async def test_an_idle_server_ends_and_takes_its_name_along(served: Served) -> None:
    server = served.start(idle=0.001)
    await asyncio.wait_for(server.wait_end(), PATIENCE)
    await server.close()
    assert not served.has_name


async def test_an_idle_server_stays_while_it_supervises_services(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [True, True, False]
    asked: list[bool] = []

    def supervises(_: Supervisor) -> bool:
        asked.append(answers[len(asked)])
        return asked[-1]

    monkeypatch.setattr(Supervisor, "supervises", property(supervises))
    server = served.start(idle=0.001)
    await asyncio.wait_for(server.wait_end(), PATIENCE)
    await server.close()
    assert asked == answers


async def test_clients_that_came_before_the_end_are_served(served: Served) -> None:
    """The name is gone, so nobody comes after them; they have connected and get their answer."""
    server = served.start(idle=None)
    clients = [served.ask() for _ in range(20)]
    server.retire()
    assert not served.has_name
    for client in clients:
        assert (await answer(client)).endswith(frame(FrameType.EXIT, b"\0\0"))
    await asyncio.wait_for(server.wait_end(), PATIENCE)
    await server.close()


async def test_a_server_whose_name_leads_to_another_leaves_that_alone(served: Served) -> None:
    server = served.start(idle=None)
    other = socket.socket(socket.AF_UNIX)
    other.bind(served.path + b".new")
    os.rename(served.path + b".new", served.path)
    await asyncio.wait_for(server.wait_end(), PATIENCE)
    await server.close()
    assert served.has_name
    other.close()


async def test_a_passed_socket_keeps_its_name_and_its_queue(served: Served) -> None:
    """systemd gives both to the next server."""
    server = served.start(idle=None, is_own=False)
    server.stop()
    client = served.ask()
    held = served.listener.dup()
    await server.close()
    assert served.has_name
    peer, _ = held.accept()
    peer.close()
    held.close()
    client.close()
