"""The server: accepts clients, finds out which running job they belong to, and ends when it is told to or idle."""

import asyncio
import gc
import logging
import os
import resource
import socket
import time
from asyncio import AbstractEventLoop

from redod.collector import Collector
from redod.commands.context import Attendant, Context, HelpAsked
from redod.commands.dispatch import COMMANDS
from redod.engine.engine import Engine
from redod.engine.run import Run
from redod.errors import InternalError, RedodError
from redod.jobs.process import NOWHERE, PipeId, identity
from redod.protocol.invocation import Invocation
from redod.server.connection import Connection, Intake
from redod.server.peer import Own
from redod.server.place import Place
from redod.services.supervisor import Supervisor
from redod.session.link import Link

MOST_CONNECTIONS = 10_000
"""Clients at a time; each costs some 10 kB. A chain of targets that wait for each other has one for each of them."""
_FAREWELL = 2.0
"""Seconds for clients to take their last answer."""
_BREATHER = 0.2
"""Seconds until the next attempt to accept a client, where there was no descriptor left for it."""
_log = logging.getLogger(__name__)


class Server:
    """Serves `listener`. `idle`: seconds without a connection after which the server ends; None: never.

    `own`: what we were born as; None: we are a client's own instance, which ends with its last connection.
    """

    collector: Collector | None = None

    def __init__(
        self, loop: AbstractEventLoop, listener: socket.socket, place: Place, engine: Engine, idle: float | None,
        own: Own | None,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.services = Supervisor(engine)
        self.started = time.monotonic()
        self._loop = loop
        self._users = (os.getuid(), 0)
        """Who may build."""
        self._listener = listener
        self._idle = idle if own is not None else 0.0
        self._own = own
        self._place = place
        self._connections: set[Connection] = set()
        self._most_connections = min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._intake = Intake()
        self._stopping: list[Link] = []
        self._end = asyncio.Event()
        self._empty = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._retired = False
        self._keeps_services = False
        engine.on_failure = self._fail
        listener.setblocking(False)
        self._listen()
        place.watch(loop, self.retire)
        if own is not None:
            self._rest()

    async def wait_end(self) -> None:
        """Return when the server is to end."""
        await self._end.wait()

    def stop(self, link: Link | None = None, *, keep_services: bool = False) -> None:
        """End the server; the client behind `link` is answered when everything is closed."""
        self._keeps_services = self._keeps_services or keep_services
        if link is not None:
            self._stopping.append(link)
        self._end.set()

    def _fail(self) -> None:
        """The engine met an error of its own: rather no server than a wrong one. The next client starts another."""
        for connection in list(self._connections):
            connection.refuse(1, str(InternalError()))
        self._keeps_services = True
        self._end.set()

    def retire(self) -> None:
        """Take no more clients than those that have come, and end when they are served."""
        if not self._retired:
            self._retired = True
            _log.info("no client comes here any more" if self._place.is_lost else "nothing to do")
            self._place.leave()
            self._accept_the_last()
            self._rest()

    async def close(self) -> None:
        """Take no more clients, end what runs, store everything, answer those who asked for the end."""
        self._retired = True
        self._place.leave()
        self._accept_the_last()
        if not self._keeps_services:
            await self.services.stop_all()
        await self.engine.close()
        # Whoever asked for the end may unmount the workspaces next: no forgotten object may hold a file there.
        gc.collect()
        for link in self._stopping:
            link.exit(0)
        for connection in list(self._connections):
            if connection.goes_on and not self._stopping:
                # Nobody has asked for the end of everything: another server is going to take this one's place.
                connection.close()
            else:
                connection.refuse(1, "the server was stopped")
        if self._connections:
            # What was answered is still on its way to clients that are slow to read.
            self._empty.clear()
            await asyncio.wait([self._loop.create_task(self._empty.wait())], timeout=_FAREWELL)

    def _listen(self) -> None:
        # One at a time: nearly always there is no second, and asking for it costs as much as being called again.
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> bool:
        """Take in one client; whether there may be more."""
        try:
            # `accept` is this, and makes two objects of it whose constants it looks up by name.
            number, _address = self._listener._accept()  # type: ignore[attr-defined]  # it has no public name
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            _log.error("cannot accept a client: %s", error.strerror)
            # It stays in the queue, and would call us at once, again and again.
            self._loop.remove_reader(self._listener.fileno())
            self._loop.call_later(_BREATHER, self._listen_again)
            return False
        peer = socket.SocketType(socket.AF_UNIX, socket.SOCK_STREAM, 0, number)
        connection = Connection(
            self._loop, self.engine.readers, peer, self._serve, self._connection_closed, intake=self._intake
        )
        self._connections.add(connection)
        self._stop_timer()
        if len(self._connections) > self._most_connections:
            connection.refuse(
                1,
                f"the server has {self._most_connections} clients already, the most it takes; run fewer at a time, or"
                " raise its limit of descriptors (ulimit -n), of which clients may use half",
            )
            return True
        connection.begin()
        return True

    def _listen_again(self) -> None:
        if not self._retired:
            self._listen()

    def _accept_the_last(self) -> None:
        """Those who came while the name led here wait for an answer. A socket of systemd's keeps them for the next."""
        if self._listener.fileno() < 0:
            return
        self._loop.remove_reader(self._listener.fileno())
        while self._place.is_own and self._accept():
            pass
        self._listener.close()

    def _serve(self, connection: Connection, invocation: Invocation, descriptors: list[int]) -> Attendant | None:
        """Carry out one invocation."""
        if connection.user not in self._users:
            connection.refuse(1, f"this server belongs to user {os.getuid()}; start one of your own")
            return None
        command = COMMANDS.get(invocation.name)
        if command is None:
            connection.refuse(2, "there is no such command; call it by one of the names that redod installs")
            return None
        if self._end.is_set() and invocation.name != b"redod":
            connection.refuse(1, "the server is being stopped; run the command again")
            return None
        context = self._context(connection, invocation, descriptors)
        if self._own is not None and context.run is None and invocation.name != b"redod":
            lacking = self._own.lacks(connection.peer, connection.groups, invocation.limits)
            if lacking:
                connection.send_alone(invocation, lacking)
                return None
        try:
            return command(context)
        except HelpAsked:
            return None
        except RedodError as error:
            context.fail(error)
        except Exception:
            _log.exception("%s failed", context.name)
            connection.refuse(1, str(InternalError()))
        return None

    def _context(self, connection: Connection, invocation: Invocation, descriptors: list[int]) -> Context:
        token = invocation.job_token
        stderr = descriptors[invocation.descriptors.index(2)] if 2 in invocation.descriptors else -1
        stderr_id = identity(stderr) if stderr >= 0 else NOWHERE
        if token is not None:
            run = self.engine.run_of_token(token)
        else:
            run = self.engine.run_around(connection.peer) or self._run_that_prints_to(stderr_id)
        return Context(
            self,
            invocation,
            connection,
            run,
            is_redirected=run is not None and stderr >= 0 and not _prints_to(run, stderr_id),
            stderr=stderr,
            jobserver=(descriptors[-2], descriptors[-1]) if invocation.jobserver else None,
        )

    def _run_that_prints_to(self, stderr_id: PipeId) -> Run | None:
        """A client that belongs to a job by this alone would else be shown what it itself makes the job print.

        A job whose standard error is not a pipe of ours shares it with strangers: all that run in a terminal.
        """
        runs = self.engine.runs.values() if stderr_id != NOWHERE else ()
        return next((run for run in runs if run.starter is None and _prints_to(run, stderr_id)), None)

    def _connection_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
            self._rest()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rest(self) -> None:
        """Begin to be idle, unless somebody is there."""
        self._stop_timer()
        if self._connections:
            return
        if self._retired:
            self._timer = self._loop.call_later(0, self._rested)
        elif self._idle is not None:
            self._timer = self._loop.call_later(self._idle, self._rested)

    def _rested(self) -> None:
        """Nobody has come for so long."""
        if self.engine.runs:
            # Jobs that are being killed; nobody tells us of their end.
            self._timer = self._loop.call_later(_BREATHER, self._rested)
        elif self._retired:
            # Whoever serves here next finds them again.
            self.stop(keep_services=True)
        elif self.services.supervises and self._own is not None:
            self._timer = self._loop.call_later(self._idle or 0, self._rested)
        else:
            self.retire()


def _prints_to(run: Run, stderr_id: PipeId) -> bool:
    return run.process is not None and run.process.stderr_id == stderr_id
