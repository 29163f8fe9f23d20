"""Judging targets without building: for those who only want to know what is out of date, and why.

It owns the walk through a long list, in slices. The verdicts are the core's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import takewhile

from redod.core.check import Check
from redod.core.dofiles import candidates
from redod.core.graph import Kind, Node
from redod.core.scheduler import Scheduler
from redod.core.settle import settle
from redod.core.stamps import MISSING, Moment, difference, source_difference
from redod.core.suspects import must_be_made
from redod.core.verdicts import Reason, Verdict
from redod.engine.looking import Looking
from redod.engine.stores import Stores
from redod.engine.tasks import SLICE
from redod.files.observe import ObserveError


class Judging:
    """`catch_up` returns when the core knows all that has happened."""

    def __init__(
        self, scheduler: Scheduler, stores: Stores, looking: Looking, catch_up: Callable[[], Awaitable[None]]
    ) -> None:
        self._scheduler = scheduler
        self._stores = stores
        self._looking = looking
        self._catch_up = catch_up

    async def judge(
        self, nodes: list[Node], outdated: dict[Node, tuple[int, Reason]] | None = None
    ) -> dict[Node, Verdict]:
        """Check targets as a new session would; nothing is built. `outdated`: gets what was found to be so (`Check`).

        Raises ObserveError.
        """
        outdated = {} if outdated is None else outdated
        epoch = self._scheduler.world.next_epoch()
        verdicts: dict[Node, Verdict] = {}
        await self._catch_up()
        deadline = time.monotonic() + SLICE
        for node in nodes:
            check = Check(self._scheduler.graph, node, epoch, outdated=outdated)
            while isinstance(result := check.run(), list):
                now = time.time_ns()
                stamps, watched = self._looking.look(result, now)
                check.observed(stamps, Moment(epoch, now, watched))
                deadline = await self._let_others(deadline)
            for changed in check.changed:
                self._stores.record(changed)
            verdicts[node] = result
            deadline = await self._let_others(deadline)
        return verdicts

    def changed(self, node: Node, absent: set[bytes]) -> bytes:
        """Look at a file of which nothing may have told: what has changed, it or a script that would come before its
        own; empty: nothing. Then what happens to it from now on is told, where that is possible. `absent`: scripts that
        were looked for already; gets more.
        """
        epoch, now = self._scheduler.world.next_epoch(), time.time_ns()
        try:
            (stamp,), watched = self._looking.look([node.path], now)
            differs = difference if node.kind is Kind.TARGET else source_difference
            if differs(node.stamp or MISSING, stamp):
                return node.path
            if node.stamp is not None:
                settle(self._scheduler.graph, node, stamp, Moment(epoch, now, watched))
            return self._script_before(node, now, absent)
        except ObserveError:
            return node.path

    def _script_before(self, node: Node, now: int, absent: set[bytes]) -> bytes:
        """A script that a target does not have yet, or one that comes before its own, if that may have come unheard."""
        if node.doubts is not None or (node.kind is not Kind.TARGET and not must_be_made(node)):
            return b""
        own = b"" if node.dofile is None else node.dofile.path
        before = takewhile(own.__ne__, (candidate.path for candidate in candidates(node.path)))
        names = [name for name in before if name not in absent]
        stamps, _ = self._looking.look(names, now, until_file=True)
        if stamps and stamps[-1].leads_to_file:
            return names[len(stamps) - 1]
        absent.update(names)
        return b""

    async def _let_others(self, deadline: float) -> float:
        """Give others a turn after the deadline; the next one."""
        if time.monotonic() < deadline:
            return deadline
        await asyncio.sleep(0)
        await self._catch_up()
        return time.monotonic() + SLICE
