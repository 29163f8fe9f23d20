"""Frames: cuts the bytes of one connection into what a client may say, and writes what the server answers.

It owns the framing, the limits and the order of frames of docs/protocol.md. It does no input or output, knows
nothing about the descriptors that travel beside an INVOKE, and does not look into INVOKE's payload (see `invocation`).
"""

import signal
import struct
from enum import IntEnum
from typing import NamedTuple

from redod.errors import RedodError

MAX_INVOKE = 17 << 20
"""Bytes in the payload of an INVOKE frame: 16 MiB of arguments and environment, and room for the rest."""
MAX_PAYLOAD = 65_537
"""Bytes in the payload of any other frame."""
MAX_DATA = 65_536
"""Bytes of a stream (STDIN, OUTPUT) in one frame."""

HEADER = struct.Struct(">IB")
_OUTPUT_HEADER = struct.Struct(">IBB")
_SIGNALS = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT))


class FrameType(IntEnum):
    """The numbers on the wire. Below 16 the client speaks, from 16 on the server."""

    INVOKE = 1
    SIGNAL = 2
    STDIN = 3
    WINSIZE = 4
    JOB_STARTED = 5
    JOB_ENDED = 6
    SETTLED = 7
    OUTPUT = 16
    READ_STDIN = 17
    EXIT = 18
    REFUSED = 19
    STATUS = 20
    ALONE = 21
    START_JOB = 22
    SETTLE = 23
    GO_ON = 24


_FROM_CLIENT = frozenset(kind for kind in FrameType if kind < 16)
_OF_JOBS = frozenset((FrameType.JOB_STARTED, FrameType.JOB_ENDED))
_PAIR = struct.Struct(">II")


class PeerError(RedodError):
    """The client broke the protocol. The text says how, and is fit for a REFUSED frame."""

    status = 2


class Invoke(NamedTuple):
    """The client asks for an invocation; `invocation.parse` reads the payload."""

    payload: bytes


class Signal(NamedTuple):
    """The client received this signal: SIGINT, SIGTERM, SIGHUP or SIGQUIT."""

    number: int


class Stdin(NamedTuple):
    """Bytes of the client's standard input; empty at its end."""

    data: bytes


class Resized(NamedTuple):
    """The client's terminal has this many rows and columns now."""

    rows: int
    columns: int


class JobStarted(NamedTuple):
    """The client has started what the oldest START_JOB that is not answered asked for; or `error`, an errno: it could
    not, and `pid` is 0.
    """

    pid: int
    error: int


class JobEnded(NamedTuple):
    """A process that the client had started is over. `status` as waitpid(2) gives it."""

    pid: int
    status: int


class Settled(NamedTuple):
    """The client has written out all that came before the oldest SETTLE that is not answered."""


Frame = Settled | Invoke | Signal | Stdin | Resized | JobStarted | JobEnded


class FrameReader:
    """What one client says. Feed it bytes as they come, then take frames until there is none.

    After an error it stays broken: it raises the same error again and takes no more bytes.
    """

    __slots__ = ("_buffer", "_error", "_invoked", "_starts_jobs", "_stdin_open")

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._invoked = False
        self._stdin_open = False
        self._starts_jobs = False
        self._error = ""

    @property
    def invoked(self) -> bool:
        """Whether the whole INVOKE frame has been taken (until then the 10 s limit on sending it holds)."""
        return self._invoked

    @property
    def held(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._buffer)

    def allow_stdin(self) -> None:
        """READ_STDIN is being sent: STDIN frames are in order until the empty one."""
        self._stdin_open = True

    def allow_jobs(self) -> None:
        """START_JOB is being sent: the frames that answer it are in order."""
        self._starts_jobs = True

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        if self._error:
            return
        if not self._buffer:
            # Nearly always the whole of what a client says.
            self._buffer = bytes(data)
            return
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer)
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None until more bytes are fed.

        Raises PeerError for a frame that is unknown, too long, out of order, in the wrong direction or of the wrong
        shape; frames before it are given first, however the bytes were split.
        """
        if self._error:
            raise PeerError(self._error)
        try:
            return self._cut()
        except PeerError as error:
            self._error = str(error)
            raise

    def _cut(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < HEADER.size:
            return None
        length, kind = HEADER.unpack_from(buffer)
        self._admit(kind, length)
        end = HEADER.size + length
        if len(buffer) < end:
            return None
        if len(buffer) == end:
            self._buffer = b""
            return self._frame(kind, bytes(buffer[HEADER.size :]))
        if isinstance(buffer, bytes):
            buffer = self._buffer = bytearray(buffer)
        with memoryview(buffer) as view:
            payload = bytes(view[HEADER.size : end])
        del buffer[:end]
        return self._frame(kind, payload)

    def _admit(self, kind: int, length: int) -> None:
        """Judge a frame by its header alone, so that nothing forbidden is ever buffered."""
        if kind not in _FROM_CLIENT:
            raise PeerError(f"frame type {kind} is not one that a client sends")
        if kind == FrameType.INVOKE:
            if self._invoked:
                raise PeerError("a second INVOKE on one connection")
            if length > MAX_INVOKE:
                raise PeerError(
                    f"arguments and environment are too long: {length} bytes, at most {MAX_INVOKE} are accepted"
                )
        elif not self._invoked:
            raise PeerError("the first frame is not an INVOKE")
        elif kind == FrameType.STDIN and not self._stdin_open:
            raise PeerError("a STDIN frame that was not asked for")
        elif kind in _OF_JOBS and not self._starts_jobs:
            raise PeerError("a frame about a job that was not asked for")
        elif length > (MAX_DATA if kind == FrameType.STDIN else MAX_PAYLOAD):
            raise PeerError(f"a frame of type {kind} has {length} bytes, which is too long")

    def _frame(self, kind: int, payload: bytes) -> Frame:
        if kind == FrameType.INVOKE:
            self._invoked = True
            return Invoke(payload)
        if kind == FrameType.STDIN:
            self._stdin_open = bool(payload)
            return Stdin(payload)
        if kind == FrameType.SIGNAL:
            if len(payload) != 1 or payload[0] not in _SIGNALS:
                raise PeerError("a SIGNAL frame does not name one of INT, TERM, HUP and QUIT")
            return Signal(payload[0])
        if kind == FrameType.SETTLED:
            return Settled()
        if kind in _OF_JOBS:
            if len(payload) != _PAIR.size:
                raise PeerError(f"a frame about a job has {len(payload)} bytes instead of {_PAIR.size}")
            numbers = _PAIR.unpack(payload)
            return JobStarted(*numbers) if kind == FrameType.JOB_STARTED else JobEnded(*numbers)
        if len(payload) != 4:
            raise PeerError(f"a WINSIZE frame has {len(payload)} bytes instead of 4")
        return Resized(*struct.unpack(">HH", payload))


GO_ON = HEADER.pack(0, FrameType.GO_ON)
"""The frame that has the client go on with the next server when this one ends."""
READ_STDIN = HEADER.pack(0, FrameType.READ_STDIN)
"""The frame that asks for the client's standard input."""
SETTLE = HEADER.pack(0, FrameType.SETTLE)
"""The frame that the client answers when it has written out all that came before."""


def encode_output(descriptor: int, data: bytes) -> bytes:
    """OUTPUT frames for the client's descriptor 1 or 2, as many as the data needs; none for no data."""
    if 0 < len(data) <= MAX_DATA:
        return _OUTPUT_HEADER.pack(len(data) + 1, FrameType.OUTPUT, descriptor) + data
    parts: list[bytes] = []
    for start in range(0, len(data), MAX_DATA):
        part = data[start : start + MAX_DATA]
        parts += (_OUTPUT_HEADER.pack(len(part) + 1, FrameType.OUTPUT, descriptor), part)
    return b"".join(parts)


def encode_status(line: bytes) -> bytes:
    """The status line that the client shows below its output from now on; none for no line."""
    return HEADER.pack(len(line), FrameType.STATUS) + line


def encode_start_job(umask: int, arguments: int, variables: int) -> bytes:
    """Have the client start a process: so many arguments and environment variables are in the file beside it."""
    return struct.pack(">IBIII", 12, FrameType.START_JOB, umask, arguments, variables)


def encode_exit_status(status: int) -> bytes:
    """The last frame: the client exits with this status (0-255)."""
    return struct.pack(">IBBB", 2, FrameType.EXIT, 0, status)


def encode_exit_signal(number: int) -> bytes:
    """The last frame: the client dies by this signal."""
    return struct.pack(">IBBB", 2, FrameType.EXIT, 1, number)


def encode_refused(status: int, text: str) -> bytes:
    """The last frame: the client prints the text (cut to what fits a frame) and exits with the status (0-255)."""
    # Backslashes for surrogates: a text may quote a name that is not UTF-8, the frame has to be.
    encoded = text.encode("utf-8", "backslashreplace")
    if len(encoded) > MAX_DATA:
        encoded = encoded[:MAX_DATA].decode("utf-8", "ignore").encode()
    return struct.pack(">IBB", len(encoded) + 1, FrameType.REFUSED, status) + encoded


def encode_alone(text: str) -> bytes:
    """The last frame: the client prints the text and has its invocation served by an instance of its own."""
    encoded = text.encode()
    return HEADER.pack(len(encoded), FrameType.ALONE) + encoded
