"""What the engine must know of whoever makes a call. It does not know connections, frames or command lines."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from redod.config.model import Background
from redod.core.model import Job
from redod.jobs.command import Flags
from redod.jobs.limits import Limits
from redod.jobs.process import JobProcess
from redod.jobs.spawner import Order
from redod.logs.joblog import JobLog

if TYPE_CHECKING:
    from redod.engine.run import Run


class Setting(NamedTuple):
    """The world that a call's jobs run in: its client's."""

    environment: Callable[[], Mapping[bytes, bytes]]
    """Parsed when it is needed: most nested calls ask for sources, and run nothing."""
    umask: int
    limits: Limits
    home: bytes
    """The home directory, canonical: no workspace is ever made there."""
    cwd: bytes
    """Canonical."""
    nice: int = 0
    """See nice(2)."""


class Wishes(NamedTuple):
    """What a session wants of its jobs; None: as the target's workspace has it."""

    background: Background | None = None
    timeout: float | None = None
    """In seconds."""


class Direct(NamedTuple):
    """How a job is started that prints straight to its client's standard error."""

    stderr: int
    line: "Callable[[Run], bytes]"
    """What says that it is started."""


class OnConsole(NamedTuple):
    """How a job is started that has the client's terminal, which one job has at a time. `acquire` calls back when it
    has it; `start` then has the client start it. It may `release` the terminal and acquire it again.
    """

    acquire: "Callable[[Run, Callable[[], None]], None]"
    release: "Callable[[Run], None]"
    start: "Callable[[Order, Run], JobProcess]"


Starter = Direct | OnConsole


class Client(Protocol):
    """Who made a call."""

    @property
    def setting(self) -> Setting: ...

    @property
    def log(self) -> JobLog:
        """Where the jobs that the call waits for are shown."""

    @property
    def session_id(self) -> bytes: ...

    def flags(self, nested: bool) -> Flags:
        """What sh is to print of scripts; `nested`: of one that the call did not name itself."""

    @property
    def wishes(self) -> Wishes:
        """What the session wants of its jobs."""

    @property
    def debug(self) -> bool:
        """Wants to be told why targets are built."""

    @property
    def debug_locks(self) -> bool:
        """Wants to be told when it waits for another session's job."""

    def starter(self, job: Job, root: bytes) -> Starter | None:
        """How to start this job, whose workspace has this root; None: with its output in the log."""

    def complain(self, text: str) -> None:
        """Tell the user."""

    def reply(self, status: int) -> None:
        """The call is over."""
