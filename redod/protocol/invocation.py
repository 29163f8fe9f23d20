"""Invocations: what a client wants, read from the payload of its INVOKE frame and checked.

It owns the fields of docs/protocol.md. It does not know the commands, nor what the arguments mean, nor whether the
descriptors that came beside the frame match.
"""

import struct
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SkipValidation, ValidationError

from redod.protocol.frames import PeerError

PROTOCOL = (1, 1)
"""The major and minor version that this server speaks."""
RESOURCES = 16
"""How many resource limits travel: RLIMIT_CPU (0) to RLIMIT_RTTIME (15)."""
MAX_STRINGS = 1 << 20
"""Arguments, or environment strings, in one call: more than execve(2) lets through (6 MiB with a pointer each)."""
MAX_FIELDS = 64
"""Fields of an INVOKE, those of newer clients included: skipping must not become work."""

_FIELD = struct.Struct(">BI")
_ALL_ONES = (1 << 64) - 1
_DESCRIPTORS = tuple(tuple(n for n in range(3) if bits >> n & 1) for bits in range(8))


class Limit(NamedTuple):
    """One resource limit as the `resource` module has it: -1 (RLIM_INFINITY) for none."""

    soft: int
    hard: int


class Terminal(NamedTuple):
    """Which of the descriptors 0-2 are terminals, ascending, and the size in characters (0, 0 where there is none)."""

    descriptors: tuple[int, ...]
    rows: int
    columns: int


def _absolute(path: bytes) -> bytes:
    if not path.startswith(b"/") or b"\0" in path:
        raise ValueError("is not an absolute path")
    return path


def _plain_name(name: bytes) -> bytes:
    if b"/" in name or b"\0" in name:
        raise ValueError("is not a command name")
    return name


class Invocation(BaseModel):
    """One call of a command, as its client saw the world."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    protocol: tuple[int, int]
    """The client's major and minor version."""
    version: Annotated[str, Field(max_length=200)]
    """The client's package version."""
    name: Annotated[bytes, Field(min_length=1, max_length=255), AfterValidator(_plain_name)]
    """What the client was called by: `redo`, `redo-ifchange` ..."""
    args: Annotated[tuple[bytes, ...], Field(max_length=MAX_STRINGS)]
    """The arguments after the name."""
    cwd: Annotated[bytes, AfterValidator(_absolute)]
    environ: bytes
    """The environment as it came: `NAME=value` strings, each followed by a NUL."""
    umask: Annotated[int, Field(ge=0, le=0o777)]
    limits: Annotated[tuple[Limit, ...], SkipValidation]
    """By number of resource (getrlimit(2)), 0 to 15."""
    descriptors: Annotated[tuple[int, ...], SkipValidation]
    """Which of the client's descriptors 0-2 are open, ascending: as many came beside the frame."""
    terminal: Annotated[Terminal, SkipValidation]

    @cached_property
    def environment(self) -> Mapping[bytes, bytes]:
        """The environment parsed, on first use. Of a name that occurs twice the first counts, as for getenv(3)."""
        variables: dict[bytes, bytes] = {}
        for string in self.environ.split(b"\0"):
            name, equals, value = string.partition(b"=")
            if name and equals:
                variables.setdefault(name, value)
        return variables

    def variable(self, name: bytes) -> bytes | None:
        """One variable's value, found without parsing the rest; None where it is not set."""
        blob, wanted = self.environ, name + b"="
        if blob.startswith(wanted):
            start = len(wanted)
        else:
            found = blob.find(b"\0" + wanted)
            if found < 0:
                return None
            start = found + 1 + len(wanted)
        return blob[start : blob.index(b"\0", start)]

    @property
    def job_token(self) -> bytes | None:
        """What the job that this call is nested in gave to its script; None: a call from outside."""
        return self.variable(b"REDO_JOB") or None


def parse(payload: bytes) -> Invocation:
    """Read and check an INVOKE payload.

    Raises PeerError, whose text names the field, for everything that docs/protocol.md forbids; another major version is
    refused before any other field is looked at, because they may mean something else there.
    """
    values: dict[str, object] = {}
    position, end, fields = 0, len(payload), 0
    while position < end:
        if end - position < _FIELD.size:
            raise PeerError("INVOKE ends within a field")
        tag, length = _FIELD.unpack_from(payload, position)
        start = position + _FIELD.size
        position = start + length
        fields += 1
        if position > end:
            raise PeerError("INVOKE ends within a field")
        if fields == 1 and tag != _PROTOCOL_TAG:
            raise PeerError("INVOKE does not begin with the protocol version")
        if fields > MAX_FIELDS:
            raise PeerError(f"INVOKE has more than {MAX_FIELDS} fields")
        known = _KNOWN.get(tag)
        if known is None:
            continue
        name, read = known
        if name in values:
            raise PeerError(f"INVOKE has the field {name} twice")
        values[name] = read(payload[start:position])
    return _checked(values)


def _checked(values: dict[str, object]) -> Invocation:
    try:
        invocation = Invocation.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = first["loc"][0] if first["loc"] else "?"
        if first["type"] == "missing":
            raise PeerError(f"INVOKE lacks the field {name}") from None
        raise PeerError(f"INVOKE field {name}: {first['msg'].removeprefix('Value error, ')}") from None
    if not set(invocation.terminal.descriptors) <= set(invocation.descriptors):
        raise PeerError("INVOKE field terminal: names a descriptor that is not open")
    return invocation


def _sized(name: str, value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise PeerError(f"INVOKE field {name}: has {len(value)} bytes instead of {size}")
    return value


def _protocol(value: bytes) -> tuple[int, int]:
    major, minor = struct.unpack(">HH", _sized("protocol", value, 4))
    if major != PROTOCOL[0]:
        ours = ".".join(map(str, PROTOCOL))
        raise PeerError(
            f"the client speaks protocol {major}.{minor}, the server {ours}: use client and server of one installation"
        )
    return major, minor


def _version(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise PeerError("INVOKE field version: is not UTF-8") from None


def _strings(name: str, value: bytes) -> bytes:
    if value and value[-1]:
        raise PeerError(f"INVOKE field {name}: does not end with a NUL byte")
    if value.count(0) > MAX_STRINGS:
        raise PeerError(f"INVOKE field {name}: has more than {MAX_STRINGS} strings")
    return value


def _args(value: bytes) -> tuple[bytes, ...]:
    return tuple(_strings("args", value).split(b"\0")[:-1])


def _environ(value: bytes) -> bytes:
    return _strings("environ", value)


def _umask(value: bytes) -> int:
    return int.from_bytes(_sized("umask", value, 4), "big")


# Cached, as nearly all clients of a server have the same limits.
@lru_cache(maxsize=32)
def _limits(value: bytes) -> tuple[Limit, ...]:
    numbers = struct.unpack(f">{2 * RESOURCES}Q", _sized("limits", value, 16 * RESOURCES))
    plain = [-1 if number == _ALL_ONES else number for number in numbers]
    if any(soft > hard for soft, hard in zip(numbers[::2], numbers[1::2], strict=True)):
        raise PeerError("INVOKE field limits: a soft limit is above its hard limit")
    return tuple(Limit(soft, hard) for soft, hard in zip(plain[::2], plain[1::2], strict=True))


def _bits(name: str, bits: int) -> tuple[int, ...]:
    if bits >= len(_DESCRIPTORS):
        raise PeerError(f"INVOKE field {name}: names a descriptor above 2")
    return _DESCRIPTORS[bits]


def _descriptors(value: bytes) -> tuple[int, ...]:
    return _bits("descriptors", _sized("descriptors", value, 1)[0])


def _terminal(value: bytes) -> Terminal:
    bits, rows, columns = struct.unpack(">BHH", _sized("terminal", value, 5))
    return Terminal(_bits("terminal", bits), rows, columns)


_PROTOCOL_TAG = 1
_KNOWN: dict[int, tuple[str, Callable[[bytes], object]]] = {
    _PROTOCOL_TAG: ("protocol", _protocol),
    2: ("version", _version),
    3: ("name", bytes),
    4: ("args", _args),
    5: ("cwd", bytes),
    6: ("environ", _environ),
    7: ("umask", _umask),
    8: ("limits", _limits),
    9: ("descriptors", _descriptors),
    10: ("terminal", _terminal),
}


def encode_request(name: bytes, args: list[bytes]) -> bytes:
    """The INVOKE payload of a server that asks another: no environment, no descriptors, umask 077."""
    values = (
        (_PROTOCOL_TAG, struct.pack(">HH", *PROTOCOL)),
        (2, b"server"),
        (3, name),
        (4, b"".join(arg + b"\0" for arg in args)),
        (5, b"/"),
        (6, b""),
        (7, (0o077).to_bytes(4, "big")),
        (8, b"\xff" * 16 * RESOURCES),
        (9, b"\0"),
        (10, bytes(5)),
    )
    return b"".join(_FIELD.pack(tag, len(value)) + value for tag, value in values)
