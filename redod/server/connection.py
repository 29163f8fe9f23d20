"""One client's connection: bytes and descriptors in, frames out.

It owns the socket. It does not know commands: a whole INVOKE is handed to `accept`, later frames to the attendant that
this returns.
"""

import array
import os
import socket
import struct
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable

from redod.commands.context import Attendant
from redod.protocol import frames
from redod.protocol.frames import FrameReader, Invoke, JobEnded, JobStarted, PeerError, Resized, Settled, Signal, Stdin
from redod.protocol.invocation import Invocation, parse
from redod.readers import Readers
from redod.session.link import JobStarter

PATIENCE = 10.0
"""Seconds in which the whole INVOKE must have come."""
_FULL = 256 << 10
"""Bytes that wait to be taken above which the link counts as full."""
_READ = 64 << 10
"""Bytes that are read at once. For more than 128 KiB malloc(3) would map memory anew each time."""
_MOST_DESCRIPTORS = 5
_ANCILLARY = socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS)
_RECEIVE = int(socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
_SEND = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
# Plain numbers: what `&` makes of a flag of Python's is an object of its own.
_TRUNCATED = int(socket.MSG_CTRUNC)
_CREDENTIALS = struct.Struct("3i")
_SO_PEERGROUPS = 59
_MOST_GROUPS = 256
"""As many as Python has room for; a client with more counts as one in other groups than ours."""
_KNOWS_ALONE = (1, 1)
"""The first protocol version with the frame ALONE."""

_SMALL = 1 << 20
"""Bytes of a frame that any client may send at any time."""
MOST_HELD = 256 << 20
"""Bytes of unfinished frames of all clients together, above which those that send long ones are refused."""


class Intake:
    """Counts the bytes of unfinished frames of all connections. An INVOKE may have 17 MiB, and clients are many."""

    def __init__(self) -> None:
        self.held = 0


Accept = Callable[["Connection", Invocation, list[int]], Attendant | None]


class Connection:
    """It is a session's `Link`. `accept` gets each whole invocation with the descriptors that came beside it.

    `patience`: seconds in which the whole INVOKE must have come. `intake`: shared with the server's other connections.
    It takes in what has come when `begin` is called.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        readers: Readers,
        peer: socket.SocketType,
        accept: Accept,
        closed: Callable[["Connection"], None],
        patience: float = PATIENCE,
        intake: Intake | None = None,
    ) -> None:
        self._loop = loop
        self._readers = readers
        self._socket = peer
        self._patience = patience
        self._accept = accept
        self._closed = closed
        self._reader = FrameReader()
        self._intake = intake if intake is not None else Intake()
        self._held = 0
        """Our part of the intake."""
        self._descriptors: list[int] = []
        self._attendant: Attendant | None = None
        self._out = bytearray()
        self._rights: list[tuple[int, list[int]]] = []
        """Descriptors to send beside the byte that stands so far from the beginning of `_out`."""
        self._starter: JobStarter | None = None
        self._settling: deque[Callable[[], None]] = deque()
        self._writing = False
        self._ending = False
        self._is_open = True
        self.goes_on = False
        """Its client goes on with the next server."""
        self._room: Callable[[], None] | None = None
        self._stdin: Callable[[bytes], None] | None = None
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self.peer, self.user, self._group = _CREDENTIALS.unpack(credentials)
        self._timer: TimerHandle | None = None

    def begin(self) -> None:
        """Take in what has come, nearly always the whole INVOKE; wait only for what has not, and for the client's end.

        Most invocations are over when this returns.
        """
        self.read()
        if self._is_open:
            self._readers.add(self._socket.fileno(), self.read)
            if not self._reader.invoked:
                self._timer = self._loop.call_later(self._patience, self.close)

    def output(self, descriptor: int, data: bytes) -> None:
        self._send(frames.encode_output(descriptor, data))

    def status(self, line: bytes) -> None:
        self._send(frames.encode_status(line))

    def settle(self, done: Callable[[], None]) -> None:
        self._settling.append(done)
        self._send(frames.SETTLE)

    def start_job(self, order: bytes, descriptors: list[int], starter: JobStarter) -> None:
        if not self._is_open or self._ending:
            _close(descriptors)
            return
        self._starter = starter
        self._reader.allow_jobs()
        self._rights.append((len(self._out), descriptors))
        self._out += order
        self._write_later()
        self._writable()

    def go_on(self) -> None:
        self.goes_on = True
        self._send(frames.GO_ON)

    def exit(self, status: int) -> None:
        self._end(frames.encode_exit_status(status))

    def die(self, number: int) -> None:
        self._end(frames.encode_exit_signal(number))

    def refuse(self, status: int, text: str) -> None:
        """The invocation is not accepted."""
        self._end(frames.encode_refused(status, text))

    @property
    def groups(self) -> frozenset[int]:
        """The client's effective group and its supplementary ones, as they were when it connected."""
        try:
            numbers = array.array("I", self._socket.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_GROUPS * 4))
        except OSError:
            return frozenset()
        return frozenset((self._group, *numbers))

    def send_alone(self, invocation: Invocation, reason: str) -> None:
        """The client has to start an instance of its own, and tells its user why."""
        text = f"{reason}, so an instance of its own serves this command"
        if invocation.protocol < _KNOWS_ALONE:
            self.refuse(1, f"{reason}; run it with REDOD=off")
        else:
            self._end(frames.encode_alone(text))

    @property
    def is_full(self) -> bool:
        return len(self._out) > _FULL

    def on_room(self, callback: Callable[[], None]) -> None:
        self._room = callback

    def read_stdin(self, callback: Callable[[bytes], None]) -> None:
        self._stdin = callback
        self._reader.allow_stdin()
        self._send(frames.READ_STDIN)

    def close(self) -> None:
        """Let go of the client, whatever it is doing."""
        if not self._is_open:
            return
        self._is_open = False
        if self._held:
            self._count_held(0)
        self._stop_timer()
        self._readers.drop(self._socket.fileno())
        if self._writing:
            self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._close_descriptors()
        self._room = self._stdin = self._starter = None
        self._settling.clear()
        for _, descriptors in self._rights:
            _close(descriptors)
        self._rights = []
        attendant, self._attendant = self._attendant, None
        if attendant is not None:
            attendant.gone()
        self._closed(self)

    def read(self) -> None:
        """Take in what has come."""
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(_READ, _ANCILLARY, _RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        try:
            if ancillary:
                self._take_descriptors(ancillary)
            if flags & _TRUNCATED:
                raise PeerError(
                    "more descriptors came than a client sends, or they could not be received (ulimit -n of the server)"
                )
            if data and not self._ending:
                self._reader.feed(data)
                self._take_frames()
                if self._held or self._reader.held:
                    self._count_held(self._reader.held)
        except PeerError as error:
            attendant = self._attendant
            self.refuse(error.status, str(error))
            if attendant is not None:
                attendant.gone()
            return
        if not data:
            self.close()

    def _count_held(self, size: int) -> None:
        self._intake.held += size - self._held
        self._held = size
        if size > _SMALL and self._intake.held > MOST_HELD:
            raise PeerError("too many long invocations are being sent at the same time; run the command again")

    def _take_descriptors(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._descriptors.extend(array.array("i", content[: len(content) & ~3]))
        if len(self._descriptors) > _MOST_DESCRIPTORS:
            raise PeerError("more descriptors came than a client sends")

    def _take_frames(self) -> None:
        while self._is_open and not self._ending and (frame := self._reader.next_frame()) is not None:
            match frame:
                case Invoke(payload):
                    self._invoke(parse(payload))
                case Signal(number):
                    if self._attendant is not None:
                        self._attendant.interrupt(number)
                    else:
                        self.die(number)
                case Stdin(data):
                    if self._stdin is not None:
                        self._stdin(data)
                case Settled():
                    if self._settling:
                        self._settling.popleft()()
                case JobStarted(pid, error):
                    if self._starter is not None:
                        self._starter.job_started(pid, error)
                case JobEnded(pid, status):
                    if self._starter is not None:
                        self._starter.job_ended(pid, status)
                case Resized(_, columns):
                    if self._attendant is not None:
                        self._attendant.resized(columns)

    def _invoke(self, invocation: Invocation) -> None:
        self._stop_timer()
        if len(self._descriptors) != len(invocation.descriptors) + 2 * invocation.jobserver:
            raise PeerError("INVOKE field descriptors: as many descriptors did not come beside it")
        try:
            attendant = self._accept(self, invocation, self._descriptors)
        finally:
            if self._descriptors:
                self._close_descriptors()
        if self._is_open:
            self._attendant = attendant
        elif attendant is not None:
            attendant.gone()

    def _send(self, data: bytes) -> None:
        if not self._is_open or self._ending:
            return
        if not self._out:
            try:
                sent = self._socket.send(data, _SEND)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._loop.call_soon(self.close)
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._out += data
        self._write_later()

    def _write_later(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            sent = self._send_waiting()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        del self._out[:sent]
        if self._out:
            if not self.is_full and self._room is not None:
                self._room()
            return
        self._writing = False
        self._loop.remove_writer(self._socket.fileno())
        if self._ending:
            self.close()
        elif self._room is not None:
            self._room()

    def _send_waiting(self) -> int:
        """Send what can be sent of `_out`; descriptors go with the first byte of what they belong to."""
        if not self._rights:
            return self._socket.send(self._out, _SEND)
        distance, descriptors = self._rights[0]
        if distance:
            sent = self._socket.send(self._out[:distance], _SEND)
        else:
            end = self._rights[1][0] if len(self._rights) > 1 else len(self._out)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            sent = self._socket.sendmsg([self._out[:end]], rights, _SEND)
            del self._rights[0]
            _close(descriptors)
        self._rights = [(distance - sent, descriptors) for distance, descriptors in self._rights]
        return sent

    def _end(self, last: bytes) -> None:
        """Send the last frame and close once it is taken."""
        if not self._is_open or self._ending:
            return
        self._send(last)
        self._ending = True
        self._attendant = None
        if not self._out:
            self.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_descriptors(self) -> None:
        _close(self._descriptors)
        self._descriptors = []


def _close(descriptors: list[int]) -> None:
    for number in descriptors:
        os.close(number)
