"""What a session needs of a connection. It does not know sockets."""

from collections.abc import Callable
from typing import Protocol


class JobStarter(Protocol):
    """Who has the client start processes."""

    def job_started(self, pid: int, error: int) -> None:
        """The oldest order that was not answered: done, or an errno."""

    def job_ended(self, pid: int, status: int) -> None:
        """`status` as waitpid(2) gives it."""


class Link(Protocol):
    """The way to one client.

    Nothing is ever awaited: what the peer does not take waits here, and `on_room` tells when to go on.
    """

    @property
    def peer(self) -> int:
        """The client's pid."""

    def output(self, descriptor: int, data: bytes) -> None:
        """Have the client write this to its descriptor 1 or 2."""

    def status(self, line: bytes) -> None:
        """Have the client, whose descriptor 2 is a terminal, show this below its output until there is more output, or
        another line; empty: none.
        """

    def settle(self, done: Callable[[], None]) -> None:
        """Call `done` when the client has written out all that was sent."""

    def start_job(self, order: bytes, descriptors: list[int], starter: "JobStarter") -> None:
        """Have the client start a process: a START_JOB frame, and what goes beside it. The descriptors are closed once
        they are sent. `starter` is told.
        """

    def go_on(self) -> None:
        """Have the client send its invocation to the next server if this one ends."""

    def exit(self, status: int) -> None:
        """The end: the client exits with this status."""

    def die(self, number: int) -> None:
        """The end: the client dies by this signal."""

    @property
    def is_full(self) -> bool:
        """So much waits to be taken that no more should be sent now."""

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call back whenever the link is not full any more."""

    def read_stdin(self, callback: Callable[[bytes], None]) -> None:
        """Ask for the client's standard input; `callback` gets it in pieces, an empty one at its end."""
