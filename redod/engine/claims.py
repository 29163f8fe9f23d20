"""Claims: which sessions use which workspaces, which other servers have asked for one, and who waits for whom.

It decides when a workspace may be given up, and that of two servers whose builds wait for each other one is refused. It
does not know stores. Workspaces are named by their roots, servers by their sockets.
"""

import asyncio
import os
from collections.abc import Iterable
from typing import NamedTuple

from redod.core.model import Session
from redod.core.paths import show
from redod.store import StoreError


class Request(NamedTuple):
    """Another server wants a workspace. `client`: the pid of whoever made it want that."""

    socket: bytes
    client: int
    is_building: bool
    """Scripts of its session run and wait. Else it is still gathering the workspaces that it needs."""


class Wanted(NamedTuple):
    """A request that waits. `given` ends when the workspace is given up."""

    request: Request
    given: "asyncio.Future[None]"


class Claims:
    """`socket`: ours."""

    def __init__(self, socket: bytes) -> None:
        self._socket = socket
        self._used: dict[Session, set[bytes]] = {}
        self._gathering: set[Session] = set()
        """Sessions that have not begun: they give up what they have to one that has."""
        self._waits: dict[Session, bytes] = {}
        """For which server a session waits."""
        self.wanted: dict[bytes, list[Wanted]] = {}

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
        self._waits.pop(session, None)
        return self._used.pop(session, set())

    def is_used(self, root: bytes, request: Request | None = None) -> bool:
        """Whether a session uses it that need not yield to the request."""
        yields = self._gathering if request is not None and request.is_building else ()
        return any(root in used and session not in yields for session, used in self._used.items())

    def uses(self, session: Session, root: bytes) -> bool:
        return root in self._used.get(session, ())

    def is_building(self, session: Session | None) -> bool:
        return session in self._used and session not in self._gathering

    def begin_wait(self, session: Session, server: bytes) -> None:
        """The session waits for a workspace that another server has."""
        self._waits[session] = server
        self._refuse_the_later()

    def end_wait(self, session: Session) -> None:
        self._waits.pop(session, None)

    async def wait_given(self, root: bytes, request: Request) -> None:
        """Return when the workspace was given up. Raises StoreError when that would never be."""
        wanted = Wanted(request, asyncio.get_running_loop().create_future())
        self.wanted.setdefault(root, []).append(wanted)
        self._refuse_the_later()
        try:
            await wanted.given
        finally:
            self.wanted[root].remove(wanted)
            if not self.wanted[root]:
                del self.wanted[root]

    def give(self, root: bytes) -> None:
        """It was given up."""
        for wanted in self.wanted.get(root, ()):
            if not wanted.given.done():
                wanted.given.set_result(None)

    def _refuse_the_later(self) -> None:
        """Both servers see that they wait for each other; the one whose socket's name comes first goes on."""
        for root, all_wanted in self.wanted.items():
            for wanted in all_wanted:
                asker = wanted.request.socket
                waits = any(server == asker and self.uses(session, root) for session, server in self._waits.items())
                if waits and self._socket < asker and not wanted.given.done():
                    text = (
                        f"redod (pid {os.getpid()}) is building in {show(root)}, and waits for a workspace in which"
                        " this build is; run it again when that has ended, or let one redod build both"
                    )
                    wanted.given.set_exception(StoreError(text))
