"""The life of a want and of a job: the states, the legal moves, and the one setter.

A *want* is one session's wish for one target. A *job* is one running dofile. An illegal move is a bug of ours: it
raises with the
history of the thing that made it.
"""

from enum import Enum
from typing import Generic, TypeVar


class WantState(Enum):
    """Where a session is with one target."""

    __hash__ = object.__hash__  # Enum's own, of the name, is dear, and each member is one object anyway

    WANTED = "asked for; nothing was looked at"
    CHECKING = "a check or the search for its dofile waits to be told what is on the disk"
    AHEAD = "other targets are built first: those with checksums that decide about it, or its dofile"
    QUEUED = "out of date; it waits for a token"
    JOINED = "a job that somebody else started is making it; when that ends it is judged again"
    RUNNING = "a job that this want started is making it"
    CLEAN = "up to date, or a source"
    FAILED = "could not be made"
    DROPPED = "nobody wants it any more"


class JobState(Enum):
    """Where a running dofile is.

    It holds a token in RUNNING, in SETTLING until its holders were reported, and of a serial pool in FINISHING.
    """

    __hash__ = object.__hash__

    RUNNING = "its script runs"
    PARKED = "its script waits in a nested call and has lent its token"
    SETTLING = "its script has ended; its completion pipe is still open"
    FINISHING = "script and pipe have ended; what it made is examined and put in place"
    DONE = "over"


_W, _J = WantState, JobState

WANT_MOVES: dict[WantState, frozenset[WantState]] = {
    _W.WANTED: frozenset({_W.CHECKING, _W.QUEUED, _W.JOINED, _W.CLEAN, _W.FAILED, _W.DROPPED}),
    _W.CHECKING: frozenset({_W.CHECKING, _W.AHEAD, _W.QUEUED, _W.JOINED, _W.CLEAN, _W.FAILED, _W.DROPPED}),
    _W.AHEAD: frozenset({_W.CHECKING, _W.FAILED, _W.DROPPED}),
    _W.QUEUED: frozenset({_W.RUNNING, _W.JOINED, _W.CLEAN, _W.DROPPED}),
    _W.JOINED: frozenset({_W.CHECKING, _W.FAILED, _W.DROPPED}),
    _W.RUNNING: frozenset({_W.CLEAN, _W.FAILED, _W.DROPPED}),
    _W.CLEAN: frozenset(),
    _W.FAILED: frozenset(),
    _W.DROPPED: frozenset(),
}

JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    _J.RUNNING: frozenset({_J.PARKED, _J.SETTLING, _J.FINISHING, _J.DONE}),
    _J.PARKED: frozenset({_J.RUNNING, _J.SETTLING, _J.FINISHING, _J.DONE}),
    _J.SETTLING: frozenset({_J.FINISHING}),
    _J.FINISHING: frozenset({_J.DONE}),
    _J.DONE: frozenset(),
}

S = TypeVar("S", bound=Enum)


class IllegalMoveError(AssertionError):
    """A move that the table does not have."""


class Living(Generic[S]):
    """What has a state, with the table of its moves and a history."""

    def __init__(self, state: S, moves: dict[S, frozenset[S]]) -> None:
        self.state = state
        self.history: list[S] = []
        """The states left behind, the oldest first, the last 32 of them."""
        self._moves = moves

    def move(self, to: S) -> None:
        """Enter a state.

        Raises:
            IllegalMoveError: the table has no such move; the text tells what it went through.
        """
        if to not in self._moves[self.state]:
            past = " > ".join(state.name for state in [*self.history, self.state])
            raise IllegalMoveError(f"{self!r}: {past} > {to.name}")
        if len(self.history) == 32:
            del self.history[0]
        self.history.append(self.state)
        self.state = to
