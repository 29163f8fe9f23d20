"""Peers of the daemon that speak, or break, the protocol by hand."""

import array
import os
import socket
import struct
from types import TracebackType
from typing import Self

from redod.protocol.frames import FrameType
from tests.behaviour.project import PATIENCE, Project


def frame(kind: FrameType, payload: bytes) -> bytes:
    return struct.pack(">IB", len(payload), kind) + payload


def socket_of(project: Project) -> bytes:
    """The path of the socket of the project's daemon."""
    return project.run("redod", "socket", check=True).stdout.rstrip(b"\n")


class Peer:
    """A connection to the daemon at this socket. `user`: whose it is to be (root only)."""

    def __init__(self, path: bytes, user: int = -1) -> None:
        directory, name = os.path.split(path)
        held = os.open(directory, os.O_PATH)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        if user >= 0:
            os.seteuid(user)
        try:
            self.socket.connect(b"/proc/self/fd/%d/%s" % (held, name))
        finally:
            if user >= 0:
                os.seteuid(0)
            os.close(held)

    def send(self, data: bytes, descriptors: "list[int] | None" = None) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            sent = self.socket.sendmsg([data], ancillary)
            self.socket.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            return

    def stop_sending(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def read_all(self) -> list[tuple[int, bytes]]:
        """All frames until the server closes the connection."""
        data = b""
        while part := self._receive():
            data += part
        frames = []
        while data:
            length, kind = struct.unpack_from(">IB", data)
            assert len(data) >= 5 + length, "the server closed within a frame"
            frames.append((kind, data[5 : 5 + length]))
            data = data[5 + length :]
        return frames

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(1 << 16)
        except ConnectionResetError:
            # The server closed while bytes of ours were unread.
            return b""

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
