"""The server: accepts clients, finds out which running job they belong to, and ends when it is told to or idle."""

import asyncio
import logging
import os
import socket
import time
from asyncio import AbstractEventLoop

from redod.commands.context import Attendant, Context, HelpAsked
from redod.commands.dispatch import COMMANDS
from redod.engine.engine import Engine
from redod.engine.run import Run
from redod.errors import RedodError
from redod.protocol.invocation import Invocation
from redod.server.connection import Connection
from redod.session.link import Link

_ACCEPT_AT_ONCE = 64
_FAREWELL = 2.0
"""Seconds for clients to take their last answer."""
_log = logging.getLogger(__name__)


class Server:
    """Serves `listener`. `idle`: seconds without a connection after which the server ends; None: never."""

    def __init__(
        self, loop: AbstractEventLoop, listener: socket.socket, path: bytes, engine: Engine, idle: float | None
    ) -> None:
        self.engine = engine
        self.started = time.monotonic()
        self._loop = loop
        self._listener = listener
        self._idle = idle
        self._path = path
        self._inode = _inode(path)
        self._connections: set[Connection] = set()
        self._stopping: list[Link] = []
        self._end = asyncio.Event()
        self._empty = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        loop.add_reader(listener.fileno(), self._acceptable)
        self._rest()

    async def wait_end(self) -> None:
        """Return when the server is to end."""
        await self._end.wait()

    def stop(self, link: Link | None = None) -> None:
        """End the server; the client behind `link` is answered when everything is closed."""
        if link is not None:
            self._stopping.append(link)
        self._end.set()

    async def close(self) -> None:
        """Take no more clients, end what runs, store everything, answer those who asked for the end."""
        self._leave_path()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        await self.engine.close()
        for link in self._stopping:
            link.exit(0)
        for connection in list(self._connections):
            connection.refuse(1, "the server was stopped")
        if self._connections:
            # What was answered is still on its way to clients that are slow to read.
            await asyncio.wait([self._loop.create_task(self._empty.wait())], timeout=_FAREWELL)

    def _acceptable(self) -> None:
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                peer, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                _log.error("cannot accept a client: %s", error)
                return
            self._empty.clear()
            connection = Connection(self._loop, peer, self._serve, self._connection_closed)
            self._connections.add(connection)
            self._rest()
            # Most clients have sent their INVOKE before we come to accept them.
            connection.read()

    def _serve(self, connection: Connection, invocation: Invocation, descriptors: list[int]) -> Attendant | None:
        """Carry out one invocation."""
        if connection.user not in (os.getuid(), 0):
            connection.refuse(1, f"this server belongs to user {os.getuid()}; start one of your own")
            return None
        command = COMMANDS.get(invocation.name)
        if command is None:
            connection.refuse(2, "there is no such command; call it by one of the names that redod installs")
            return None
        if self._end.is_set():
            connection.refuse(1, "the server is being stopped; run the command again")
            return None
        context = self._context(connection, invocation, descriptors)
        try:
            return command(context)
        except HelpAsked:
            return None
        except RedodError as error:
            context.fail(error)
        except Exception:
            _log.exception("%s failed", context.name)
            connection.refuse(1, "internal error; the log of the server (see redod status) tells more")
        return None

    def _context(self, connection: Connection, invocation: Invocation, descriptors: list[int]) -> Context:
        token = invocation.job_token
        run = self.engine.run_of_token(token) if token is not None else None
        passed = dict(zip(invocation.descriptors, descriptors, strict=True))
        return Context(
            self,
            invocation,
            connection,
            run,
            is_redirected=run is not None and 2 in passed and not _is_stderr_of(run, passed[2]),
            is_terminal=2 in invocation.terminal.descriptors,
        )

    def _connection_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        self._rest()

    def _rest(self) -> None:
        """Begin to be idle, or stop being so."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._idle is not None and not self._connections and not self.engine.runs:
            self._timer = self._loop.call_later(self._idle, self.stop)

    def _leave_path(self) -> None:
        """Remove the socket's name, if it is still ours."""
        if self._inode is not None and _inode(self._path) == self._inode:
            os.unlink(self._path)


def _is_stderr_of(run: Run, descriptor: int) -> bool:
    if run.process is None:
        return False
    found = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == run.process.stderr_id


def _inode(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
