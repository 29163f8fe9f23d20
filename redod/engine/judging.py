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

    def has_changed(self, node: Node) -> bool:
        """Look at a file: whether it is another than the graph had. What happens to it from now on is told, where that
        is possible.
        """
        epoch, now = self._scheduler.world.next_epoch(), time.time_ns()
        try:
            (stamp,), watched = self._looking.look([node.path], now)
        except ObserveError:
            return True
        differs = difference if node.kind is Kind.TARGET else source_difference
        has_changed = bool(differs(node.stamp or MISSING, stamp))
        if settle(self._scheduler.graph, node, stamp, Moment(epoch, now, watched)):
            self._stores.record(node)
        return has_changed

    def script_before(self, node: Node, absent: set[bytes]) -> bytes:
        """The script that a target does not have yet, or that comes before its own, if one may have come unheard; else
        empty. `absent`: names that were looked for already; gets more. Raises ObserveError.
        """
        if node.doubts is not None or (node.kind is not Kind.TARGET and not must_be_made(node)):
            return b""
        own = b"" if node.dofile is None else node.dofile.path
        before = takewhile(own.__ne__, (candidate.path for candidate in candidates(node.path)))
        names = [name for name in before if name not in absent]
        stamps, _ = self._looking.look(names, time.time_ns(), until_file=True)
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
