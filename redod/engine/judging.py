"""Judging targets without building: for those who only want to know what is out of date, and why.

It owns the walk through a long list, in slices. The verdicts are the core's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from redod.core.check import Check
from redod.core.graph import Node
from redod.core.scheduler import Scheduler
from redod.core.stamps import Moment
from redod.core.verdicts import Reason, Verdict
from redod.engine.looking import Looking
from redod.engine.stores import Stores
from redod.engine.tasks import SLICE


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

    async def _let_others(self, deadline: float) -> float:
        """Give others a turn after the deadline; the next one."""
        if time.monotonic() < deadline:
            return deadline
        await asyncio.sleep(0)
        await self._catch_up()
        return time.monotonic() + SLICE
