"""Opening a workspace: its store is read a few milliseconds at a time, so that builds elsewhere go on meanwhile.

It owns who waits for that, and in which pieces it is done. What becomes of the store is for whoever has begun it.
"""

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from math import inf

from redod.store.database import Store

SLICE = 0.005
"""Seconds of work after which others get a turn."""


class Opening:
    """One store that is being read. `over` is called with it when it is, and with None when it cannot be."""

    def __init__(self, loop: AbstractEventLoop, store: Store, over: Callable[[Store | None], None]) -> None:
        self.store = store
        self._loop = loop
        self._steps = store.load()
        self._over = over
        self._future: asyncio.Future[None] = loop.create_future()
        # Whoever waited for it may be gone when it fails.
        self._future.add_done_callback(lambda future: future.cancelled() or future.exception())
        loop.call_soon(self._go_on)

    async def wait(self) -> None:
        """Return when it is read; who gives up the wait does not end it. Raises StoreError."""
        await asyncio.shield(self._future)

    def finish(self) -> None:
        """Read all that is left at once. Raises StoreError."""
        self._read(inf)
        self._future.result()

    def give_up(self) -> None:
        """Release the workspace."""
        self._steps.close()
        self._future.cancel()

    def _go_on(self) -> None:
        self._read(time.monotonic() + SLICE)
        if not self._future.done():
            self._loop.call_soon(self._go_on)

    def _read(self, until: float) -> None:
        if self._future.done():
            return
        try:
            for _ in self._steps:
                if time.monotonic() > until:
                    return
            self._over(self.store)
        except Exception as error:
            self._over(None)
            self._future.set_exception(error)
        else:
            self._future.set_result(None)


async def gently(steps: Iterator[None]) -> None:
    """Take all steps, and now and then let others have a turn."""
    deadline = time.monotonic() + SLICE
    for _ in steps:
        if time.monotonic() > deadline:
            await asyncio.sleep(0)
            deadline = time.monotonic() + SLICE
