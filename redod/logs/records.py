"""Records: the form in which a finished log is stored, and back.

It owns the bytes: records of u8 type, u32 length (big-endian), payload. It does not know where they are kept. Paths are
stored relative to the workspace, so that a log survives the move of its workspace; one outside of it stays absolute.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from redod.core.paths import join

HEADER = struct.Struct(">BI")
TEXT, NOTE, CHILD, UNCHANGED, DONE, MESSAGE, STARTED = range(1, 8)
_DONE = struct.Struct(">id")
_STARTED = struct.Struct(">dI")


class Text(NamedTuple):
    """What the script wrote to its stderr, exactly."""

    data: bytes


class Message(NamedTuple):
    """Words of ours for the user, without the last newline."""

    text: bytes


class Note(NamedTuple):
    """Words about the build, such as a reason; shown only when asked for."""

    text: bytes


class Child(NamedTuple):
    """A target that the script asked for and that ran."""

    path: bytes


class Unchanged(NamedTuple):
    """A target that the script asked for and that was up to date."""

    path: bytes


class Done(NamedTuple):
    """The end of the run: 0 for success, a positive exit status, or a negative signal number; and how long it took."""

    status: int
    seconds: float


class Started(NamedTuple):
    """The script was started: seconds since the epoch, and its pid (0: it could not be started)."""

    when: float
    pid: int


Entry = Started | Text | Message | Note | Child | Unchanged | Done


def encode_record(kind: int, payload: bytes) -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


def encode_path(kind: int, path: bytes, root: bytes) -> bytes:
    """A CHILD or UNCHANGED record; `root` is the workspace's canonical path."""
    return encode_paths(kind, (path,), root)


def encode_paths(kind: int, paths: Iterable[bytes], root: bytes) -> bytes:
    """`encode_path` for each of them."""
    below, pack = join(root, b""), HEADER.pack
    parts: list[bytes] = []
    for path in paths:
        name = path.removeprefix(below)
        parts += pack(kind, len(name)), name
    return b"".join(parts)


def encode_done(done: Done) -> bytes:
    return encode_record(DONE, _DONE.pack(done.status, done.seconds))


def encode_started(started: Started) -> bytes:
    return encode_record(STARTED, _STARTED.pack(*started))


def decode(data: bytes, root: bytes) -> Iterator[Entry]:
    """The entries of a stored log, paths made absolute again with the workspace's present path `root`.

    Records of an unknown type, which a newer version wrote, are passed over; a record cut short ends the log.
    """
    position = 0
    while position + HEADER.size <= len(data):
        kind, length = HEADER.unpack_from(data, position)
        start = position + HEADER.size
        position = start + length
        if position > len(data):
            return
        payload = data[start:position]
        if kind == TEXT:
            yield Text(payload)
        elif kind == MESSAGE:
            yield Message(payload)
        elif kind == NOTE:
            yield Note(payload)
        elif kind == CHILD:
            yield Child(_absolute(payload, root))
        elif kind == UNCHANGED:
            yield Unchanged(_absolute(payload, root))
        elif kind == DONE and length == _DONE.size:
            yield Done(*_DONE.unpack(payload))
        elif kind == STARTED and length == _STARTED.size:
            yield Started(*_STARTED.unpack(payload))


def _absolute(name: bytes, root: bytes) -> bytes:
    return name if name.startswith(b"/") else join(root, name)
