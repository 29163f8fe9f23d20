"""What every command gets: the client's invocation and the server around it."""

import getopt
import logging
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from redod.collector import Collector
from redod.commands.usage import USAGE
from redod.core.model import Job, Session
from redod.engine.client import Setting
from redod.engine.engine import Engine
from redod.engine.run import Run
from redod.errors import InternalError, RedodError, UsageError
from redod.files.observe import all_canonical
from redod.protocol.invocation import Invocation
from redod.services.supervisor import Supervisor
from redod.session.link import Link
from redod.session.options import Terminal

_log = logging.getLogger(__name__)


class Attendant(Protocol):
    """Who is told what becomes of the client while its command runs."""

    def interrupt(self, number: int) -> None:
        """The client received this signal."""

    def gone(self) -> None:
        """The client is gone."""

    def resized(self, columns: int) -> None:
        """The client's terminal is so wide now, or something else may have written on it."""


class Daemon(Protocol):
    """What the commands may ask of the server."""

    engine: Engine
    started: float
    """Monotonic clock, in seconds."""

    services: Supervisor
    collector: Collector | None

    def stop(self, link: Link, *, keep_services: bool = False) -> None:
        """End the server; the client is answered last."""


@dataclass(slots=True)
class Context:
    """One invocation. `run`: the running job that it belongs to. `jobserver`: that of `Invocation`, for now."""

    daemon: Daemon
    invocation: Invocation
    link: Link
    run: Run | None
    is_redirected: bool
    stderr: int
    """Our descriptor for the client's standard error, closed when the command has been called; -1: it has none."""
    jobserver: tuple[int, int] | None

    @property
    def engine(self) -> Engine:
        return self.daemon.engine

    @property
    def name(self) -> str:
        return os.fsdecode(self.invocation.name)

    @property
    def client(self) -> int:
        return self.link.peer

    @property
    def session(self) -> Session | None:
        """Only a `Caller` builds for one."""
        return None

    @property
    def job(self) -> Job | None:
        """Nor does a script wait for what is only asked."""
        return None

    def setting(self) -> Setting:
        call = self.invocation
        home = _real(call.variable(b"HOME") or os.path.expanduser(b"~"))
        nice = _niceness(self.link.peer) if self.run is None else self.run.client.setting.nice
        return Setting(lambda: call.environment, call.umask, call.limits, home, call.cwd, nice)

    def paths(self, names: list[bytes]) -> list[bytes]:
        """The canonical paths of these names.

        Raises BadNameError for one that no file can have.
        """
        cwd = self.invocation.cwd
        # A working directory comes from getcwd(3), which gives it without symbolic links.
        directories = {cwd: cwd}
        return all_canonical(names, cwd, directories)

    def options(
        self, short: str = "", long: tuple[str, ...] = (), *, until_name: bool = False
    ) -> tuple[list[tuple[str, str]], list[bytes]]:
        """Split the arguments into options and names; `--help` is answered here. `until_name`: no option follows one.

        Raises UsageError; HelpAsked after having answered.
        """
        args = self.invocation.args
        if b"\0-" not in b"\0".join((b"", *args)):
            return [], list(args)
        split = getopt.getopt if until_name else getopt.gnu_getopt
        try:
            found, names = split([os.fsdecode(arg) for arg in args], short, [*long, "help"])
        except getopt.GetoptError as error:
            raise UsageError(f"{error.msg}; see {self.name} --help") from error
        if ("--help", "") in found:
            self.link.output(1, USAGE[self.invocation.name].encode())
            self.link.exit(0)
            raise HelpAsked
        return found, [os.fsencode(name) for name in names]

    def terminal(self, descriptor: int) -> Terminal:
        """What the client's descriptor 1 or 2 is connected to."""
        call = self.invocation
        # Of a pipe's environment nothing need be known, and to parse one costs.
        is_terminal = descriptor in call.terminal.descriptors
        return Terminal(is_terminal, call.terminal.columns, call.environment if is_terminal else {})

    def complain(self, text: str) -> None:
        """Tell the user."""
        self.link.output(2, os.fsencode(f"{self.name}: {text}\n"))

    def fail(self, error: RedodError) -> None:
        """Tell the user and end the client."""
        self.complain(str(error))
        self.link.exit(error.status)


class Errand:
    """A command that takes its time. Whatever happens its client is answered, and when that goes the work ends."""

    def __init__(self, context: Context, work: Callable[..., Coroutine[object, object, None]], *arguments: object):
        self._context = context
        self._task = context.engine.tasks.start(self._do, work, *arguments)

    def interrupt(self, number: int) -> None:
        self.gone()
        self._context.link.die(number)

    def gone(self) -> None:
        self._task.cancel()

    def resized(self, columns: int) -> None:
        pass

    async def _do(self, work: Callable[..., Coroutine[object, object, None]], *arguments: object) -> None:
        try:
            with self._context.engine.stores.resting.errand():
                await work(*arguments)
        except RedodError as error:
            self._context.fail(error)
        except Exception:
            _log.exception("%s failed", self._context.name)
            self._context.fail(InternalError())


class HelpAsked(Exception):  # noqa: N818  (not an error: the client has been answered)
    """The usage text was asked for and has been sent."""


def _niceness(pid: int) -> int:
    try:
        return os.getpriority(os.PRIO_PROCESS, pid)
    except ProcessLookupError:
        return 0


@lru_cache(maxsize=64)
def _real(directory: bytes) -> bytes:
    return os.path.realpath(directory)
