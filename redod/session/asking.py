"""One server asks another, like any client: a command of `redod` without descriptors, and the whole answer to it."""

import asyncio
import os
from collections.abc import Iterator
from typing import NamedTuple

from redod.protocol.frames import HEADER, FrameType
from redod.protocol.invocation import encode_request

_SHORT_PATH = 107
"""Bytes of a path that fit a socket's address, unix(7)."""
_MOST = 1 << 20
"""Bytes of an answer: the other may be anybody's."""


class Answer(NamedTuple):
    """What it printed, and what it said against it (empty: it agrees, or is gone)."""

    output: bytes
    refusal: str


async def ask(path: bytes, *args: bytes) -> Answer:
    """Ask the server at this socket, and return when it has answered or ended. Raises OSError when nobody is there."""
    reader, writer = await _connect(path)
    data = b""
    try:
        payload = encode_request(b"redod", list(args))
        writer.write(HEADER.pack(len(payload), FrameType.INVOKE) + payload)
        while len(data) < _MOST and (piece := await reader.read(_MOST)):
            data += piece
    except OSError:
        pass
    finally:
        writer.close()
    return _answer(data)


def _answer(data: bytes) -> Answer:
    output, refusal = b"", b""
    for kind, payload in _frames(data):
        if kind == FrameType.OUTPUT and payload[:1] == b"\1":
            output += payload[1:]
        elif kind in (FrameType.OUTPUT, FrameType.REFUSED):
            refusal += payload[1:]
    return Answer(output, refusal.decode("utf-8", "replace").strip().removeprefix("redod: "))


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= HEADER.size:
        length, kind = HEADER.unpack_from(data)
        end = HEADER.size + length
        yield kind, data[HEADER.size : end]
        data = data[end:]


async def _connect(path: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A long path is reached through its directory. Raises OSError."""
    if len(path) <= _SHORT_PATH:
        return await asyncio.open_unix_connection(os.fsdecode(path))
    directory, name = os.path.split(path)
    held = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{held}/{os.fsdecode(name)}")
    finally:
        os.close(held)
