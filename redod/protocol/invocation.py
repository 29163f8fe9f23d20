"""Invocations: what a client wants, read from the payload of its INVOKE frame and checked.

It owns the fields of docs/protocol.md. It does not know the commands, nor what the arguments mean, nor whether the
descriptors that came beside the frame match.
"""

import resource
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, TypeVar

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

_T = TypeVar("_T")
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


class Circumstances(BaseModel):
    """What the calls of one script have in common: everything but arguments and environment."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    protocol: tuple[int, int]
    version: Annotated[str, Field(max_length=200)]
    name: Annotated[bytes, Field(min_length=1, max_length=255), AfterValidator(_plain_name)]
    cwd: Annotated[bytes, AfterValidator(_absolute)]
    umask: Annotated[int, Field(ge=0, le=0o777)]
    limits: Annotated[tuple[Limit, ...], SkipValidation]
    descriptors: Annotated[tuple[int, ...], SkipValidation]
    terminal: Annotated[Terminal, SkipValidation]
    jobserver: bool = False


class Invocation(NamedTuple):
    """One call of a command, as its client saw the world: the fields of `Circumstances`, and two more."""

    protocol: tuple[int, int]
    """The client's major and minor version."""
    version: str
    """The client's package version."""
    name: bytes
    """What the client was called by: `redo`, `redo-ifchange` ..."""
    cwd: bytes
    umask: int
    limits: tuple[Limit, ...]
    """By number of resource (getrlimit(2)), 0 to 15."""
    descriptors: tuple[int, ...]
    """Which of the client's descriptors 0-2 are open, ascending: as many came beside the frame."""
    terminal: Terminal
    jobserver: bool
    """The two descriptors of a make's jobserver, which MAKEFLAGS names, came behind those of `descriptors`."""
    args: tuple[bytes, ...]
    """The arguments after the name."""
    environ: bytes
    """The environment as it came: `NAME=value` strings, each followed by a NUL."""

    @property
    def environment(self) -> Mapping[bytes, bytes]:
        """The environment parsed. Of a name that occurs twice the first counts, as for getenv(3)."""
        return _environment(self.environ)

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
    if not payload.startswith(_BEGINNING):
        _refuse_beginning(payload)
    own: dict[int, bytes] = {}
    common: list[bytes] = []
    position, size = 0, len(payload)
    for _ in range(MAX_FIELDS):
        start = position + _FIELD.size
        if len(own) == len(_OWN) or start > size:
            # Nearly always in the fourth round: our clients send these right behind the protocol.
            break
        tag, length = _FIELD.unpack_from(payload, position)
        end = start + length
        if end > size:
            raise PeerError("INVOKE ends within a field")
        if tag not in _OWN:
            common.append(payload[position:end])
        elif tag in own:
            raise PeerError(f"INVOKE has the field {_OWN[tag]} twice")
        else:
            own[tag] = payload[start:end]
        position = end
    common.append(payload[position:])
    circumstances = _circumstances(b"".join(common))
    args, environ = _strings(own, _ARGS_TAG), _strings(own, _ENVIRON_TAG)
    return Invocation._make((*circumstances, tuple(args.split(b"\0")[:-1]), environ))


def _fields(payload: bytes) -> Iterator[tuple[int, int, int]]:
    """Each field's tag, and where its value begins and ends."""
    position, size, fields = 0, len(payload), 0
    while position < size:
        start = position + _FIELD.size
        if start > size:
            raise PeerError("INVOKE ends within a field")
        tag, length = _FIELD.unpack_from(payload, position)
        position = start + length
        fields += 1
        if position > size:
            raise PeerError("INVOKE ends within a field")
        if fields > MAX_FIELDS:
            raise PeerError(f"INVOKE has more than {MAX_FIELDS} fields")
        yield tag, start, position


def _refuse_beginning(payload: bytes) -> None:
    tag, start, end = next(_fields(payload), (0, 0, 0))
    if tag != _PROTOCOL_TAG:
        raise PeerError("INVOKE does not begin with the protocol version")
    _protocol(payload[start:end])


def _small_only(size: int, function: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
    """Remember what the function made of its last arguments, but of none longer than `size`."""
    remembered = lru_cache(maxsize=64)(function)
    return lambda data: remembered(data) if len(data) <= size else function(data)


def _read_circumstances(fields: bytes) -> tuple[Any, ...]:
    """The values in the order of `Circumstances`."""
    values: dict[str, object] = {}
    for tag, start, end in _fields(fields):
        if tag in _OWN:
            raise PeerError(f"INVOKE has the field {_OWN[tag]} twice")
        known = _KNOWN.get(tag)
        if known is None:
            continue
        name, read = known
        if name in values:
            raise PeerError(f"INVOKE has the field {name} twice")
        values[name] = read(fields[start:end])
    try:
        checked = Circumstances.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        if first["type"] == "missing":
            raise PeerError(f"INVOKE lacks the field {name}") from None
        raise PeerError(f"INVOKE field {name}: {first['msg'].removeprefix('Value error, ')}") from None
    if not set(checked.terminal.descriptors) <= set(checked.descriptors):
        raise PeerError("INVOKE field terminal: names a descriptor that is not open")
    return tuple(getattr(checked, field) for field in Circumstances.model_fields)


def _parse_environment(blob: bytes) -> Mapping[bytes, bytes]:
    variables: dict[bytes, bytes] = {}
    for string in blob.split(b"\0"):
        name, equals, value = string.partition(b"=")
        if name and equals:
            variables.setdefault(name, value)
    return variables


_circumstances = _small_only(8 << 10, _read_circumstances)
_environment = _small_only(64 << 10, _parse_environment)


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


def _strings(own: dict[int, bytes], tag: int) -> bytes:
    value = own.get(tag)
    if value is None:
        raise PeerError(f"INVOKE lacks the field {_OWN[tag]}")
    if value and value[-1]:
        raise PeerError(f"INVOKE field {_OWN[tag]}: does not end with a NUL byte")
    if value.count(0) > MAX_STRINGS:
        raise PeerError(f"INVOKE field {_OWN[tag]}: has more than {MAX_STRINGS} strings")
    return value


def _umask(value: bytes) -> int:
    return int.from_bytes(_sized("umask", value, 4), "big")


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


def _jobserver(value: bytes) -> bool:
    _sized("jobserver", value, 0)
    return True


_PROTOCOL_TAG = 1
_BEGINNING = _FIELD.pack(_PROTOCOL_TAG, 4) + struct.pack(">H", PROTOCOL[0])
_ARGS_TAG, _ENVIRON_TAG = 4, 6
_OWN = {_ARGS_TAG: "args", _ENVIRON_TAG: "environ"}
"""The fields that calls do not have in common."""
_KNOWN: dict[int, tuple[str, Callable[[bytes], object]]] = {
    _PROTOCOL_TAG: ("protocol", _protocol),
    2: ("version", _version),
    3: ("name", bytes),
    5: ("cwd", bytes),
    7: ("umask", _umask),
    8: ("limits", _limits),
    9: ("descriptors", _descriptors),
    10: ("terminal", _terminal),
    11: ("jobserver", _jobserver),
}


def encode_request(name: bytes, args: list[bytes]) -> bytes:
    """The INVOKE payload of a server that asks another: no environment, no descriptors, umask 077."""
    limits = [value & _ALL_ONES for number in range(RESOURCES) for value in resource.getrlimit(number)]
    values = (
        (_PROTOCOL_TAG, struct.pack(">HH", *PROTOCOL)),
        (2, b"server"),
        (3, name),
        (_ARGS_TAG, b"".join(arg + b"\0" for arg in args)),
        (5, b"/"),
        (_ENVIRON_TAG, b""),
        (7, (0o077).to_bytes(4, "big")),
        (8, struct.pack(f">{2 * RESOURCES}Q", *limits)),
        (9, b"\0"),
        (10, bytes(5)),
    )
    return b"".join(_FIELD.pack(tag, len(value)) + value for tag, value in values)
