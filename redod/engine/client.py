"""What the engine must know of whoever makes a call. It does not know connections, frames or command lines."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from redod.config.model import Background
from redod.jobs.command import Flags
from redod.jobs.limits import Limits
from redod.logs.joblog import JobLog


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


class Wishes(NamedTuple):
    """What a session wants of its jobs; None: as the target's workspace has it."""

    background: Background | None = None
    timeout: float | None = None
    """In seconds."""


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

    def complain(self, text: str) -> None:
        """Tell the user."""

    def reply(self, status: int) -> None:
        """The call is over."""
