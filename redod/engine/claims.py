"""Claims: which sessions use which workspaces, which of these others have asked for, and who waits for one elsewhere.

It decides when a workspace may be given up. It does not know stores. Workspaces are named by their roots.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from redod.core.model import Job, Session
from redod.core.waits import jobs_awaited


class Request(NamedTuple):
    """Another server wants a workspace. `client`: the pid of whoever made it want that."""

    client: int
    is_building: bool
    """Scripts of its session run and wait. Else it is still gathering the workspaces that it needs."""


@dataclass(eq=False, slots=True)
class Wait:
    """A caller here waits until a server (`server`: its socket; empty: none just now) gives a workspace up.

    `job`: whose script makes the call; without one it is the session's own. `lock`: of the workspace, see
    `WorkspaceBusy.identity`.
    """

    number: int
    session: Session | None
    job: Job | None
    is_building: bool
    server: bytes = b""
    lock: bytes = b""
    is_blind: bool = False
    """It may not ask that server anything."""


class Claims:
    def __init__(self) -> None:
        self._used: dict[Session, set[bytes]] = {}
        self._gathering: set[Session] = set()
        """Sessions that have not begun: they give up what they have to one that has."""
        self._waits: list[Wait] = []
        self._numbers = count()
        self.wanted: dict[bytes, list[asyncio.Future[None]]] = {}
        """By root, requests that wait: each ends when the workspace is given up."""

    def claim(self, session: Session, needed: Iterable[bytes], is_open: Iterable[bytes]) -> None:
        """The session needs these workspaces, and uses what it has of them.

        While it gathers, it keeps only those that come before the first that it lacks: all take them in the same order,
        so none keeps what another needs first.
        """
        if session not in self._used:
            self._gathering.add(session)
        missing = min(set(needed).difference(is_open), default=None)
        if missing is None:
            self._gathering.discard(session)
        if session in self._gathering:
            self._used[session] = {root for root in needed if missing is not None and root < missing}
        else:
            self._used.setdefault(session, set()).update(needed)

    def add(self, session: Session, root: bytes) -> None:
        self._used.setdefault(session, set()).add(root)

    def take_over(self, old: Session, new: Session) -> None:
        """A job of `old` belongs to `new` now, which uses all that it may need."""
        self._used.setdefault(new, set()).update(self._used.get(old, ()))

    def leave(self, session: Session) -> set[bytes]:
        """The session is over; what it used."""
        self._gathering.discard(session)
        return self._used.pop(session, set())

    def is_used(self, root: bytes, request: Request | None = None) -> bool:
        """Whether a session uses it that need not yield to the request."""
        return bool(self._users(root, request is not None and request.is_building))

    def _users(self, root: bytes, is_building: bool) -> set[Session]:
        """Those that need not yield to such a request."""
        yields = self._gathering if is_building else ()
        return {session for session, used in self._used.items() if root in used and session not in yields}

    def uses(self, session: Session, root: bytes) -> bool:
        return root in self._used.get(session, ())

    def is_building(self, session: Session | None) -> bool:
        return session in self._used and session not in self._gathering

    @contextmanager
    def waiting(self, session: Session | None, job: Job | None) -> Iterator[Wait]:
        """Around what a caller does that may wait for other servers."""
        wait = Wait(next(self._numbers), session, job, self.is_building(session))
        self._waits.append(wait)
        try:
            yield wait
        finally:
            self._waits.remove(wait)

    def waits_behind(self, root: bytes, is_building: bool) -> list[Wait]:
        """Those that must be over before the workspace can be given up to such a request."""
        users = self._users(root, is_building)
        jobs = jobs_awaited(users)
        return [
            wait
            for wait in self._waits
            if wait.server and (wait.session in users if wait.job is None else wait.job in jobs)
        ]

    async def wait_given(self, root: bytes) -> None:
        """Return when the workspace was given up."""
        given = asyncio.get_running_loop().create_future()
        self.wanted.setdefault(root, []).append(given)
        try:
            await given
        finally:
            self.wanted[root].remove(given)
            if not self.wanted[root]:
                del self.wanted[root]

    def give(self, root: bytes) -> None:
        """It was given up."""
        for given in self.wanted.get(root, ()):
            if not given.done():
                given.set_result(None)
