"""A server for one connection, in a thread: it speaks the frames of docs/protocol.md and knows nothing of redo."""

import array
import os
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

INVOKE, SIGNAL, STDIN, WINSIZE = 1, 2, 3, 4
OUTPUT, READ_STDIN, EXIT, REFUSED, STATUS = 16, 17, 18, 19, 20
PROTOCOL, VERSION, NAME, ARGS, CWD, ENVIRON, UMASK, LIMITS, DESCRIPTORS, TERMINAL, JOBSERVER = range(1, 12)
PATIENCE = 60.0
"""Seconds after which a wait counts as a hang."""
CHUNK = 65536
"""Bytes of output, or of standard input, that one frame carries at most."""


class Invocation(NamedTuple):
    """What one INVOKE carried. `files` are (device, inode) of the descriptors that came with it."""

    fields: dict[int, bytes]
    files: list[tuple[int, int]]

    def strings(self, tag: int) -> list[bytes]:
        """The NUL-terminated strings of a field."""
        value = self.fields[tag]
        assert not value or value.endswith(b"\0")
        return value.split(b"\0")[:-1]


class Connection:
    """One accepted connection, by frames."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        raw.settimeout(PATIENCE)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self.raw.recv(size - len(data))
            if not part:
                raise EOFError(f"the client closed after {len(data)} of {size} bytes")
            data += part
        return bytes(data)

    def receive_invocation(self) -> Invocation:
        space = socket.CMSG_SPACE(8 * array.array("i").itemsize)
        first, ancillary, flags, _ = self.raw.recvmsg(1, space)
        assert first, "the client closed before it sent anything"
        assert not flags & socket.MSG_CTRUNC
        head = first + self._exactly(4)
        assert head[4] == INVOKE
        payload = self._exactly(int.from_bytes(head[:4], "big"))
        files = [identity for _, kind, data in ancillary if kind == socket.SCM_RIGHTS for identity in take_files(data)]
        return Invocation(split_fields(payload), files)

    def receive(self) -> tuple[int, bytes]:
        """The next frame's type and payload. Raises EOFError when the client has closed."""
        head = self._exactly(5)
        return head[4], self._exactly(int.from_bytes(head[:4], "big"))

    def send(self, kind: int, payload: bytes = b"") -> None:
        self.raw.sendall(len(payload).to_bytes(4, "big") + bytes([kind]) + payload)

    def exit(self, status: int) -> None:
        self.send(EXIT, bytes([0, status]))


def take_files(data: bytes) -> list[tuple[int, int]]:
    descriptors = array.array("i")
    descriptors.frombytes(data)
    found = [os.fstat(fd) for fd in descriptors]
    for fd in descriptors:
        os.close(fd)
    return [(each.st_dev, each.st_ino) for each in found]


def split_fields(payload: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    while payload:
        tag, size = payload[0], int.from_bytes(payload[1:5], "big")
        assert fields or tag == PROTOCOL, "protocol comes first"
        assert tag not in fields
        assert len(payload) >= 5 + size
        fields[tag], payload = payload[5 : 5 + size], payload[5 + size :]
    return fields


Talk = Callable[[Connection], None]


class FakeServer:
    """Listens at a path while the `with` block runs and has one conversation. Its failures are raised at the end."""

    def __init__(self, path: bytes, talk: Talk) -> None:
        self.path = path
        self._talk = talk
        self._listening = socket.socket(socket.AF_UNIX)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        directory, name = os.path.split(self.path)
        held = os.open(directory, os.O_PATH)
        self._listening.bind(b"/proc/self/fd/%d/%s" % (held, name))
        os.close(held)
        self._listening.listen()
        self._listening.settimeout(PATIENCE)
        self._thread.start()
        return self

    def _serve(self) -> None:
        try:
            raw, _ = self._listening.accept()
            with raw:
                self._talk(Connection(raw))
        except BaseException as failure:
            self._failure = failure

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join()
        self._listening.close()
        if self._failure is not None and error is None:
            raise self._failure
