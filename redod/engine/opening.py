"""Opening and leaving workspaces: a few milliseconds at a time, so that builds elsewhere go on meanwhile.

It owns how long work is done in slices, and who waits for it. What the work is, and what follows it, is for others.
"""

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Generator
from math import inf

from redod.core.leaving import Leaving
from redod.engine.tasks import SLICE
from redod.store.database import Store


class Slices:
    """Steps that are taken between other things. `_end` is called when all are, and with the error when one raises."""

    def __init__(self, loop: AbstractEventLoop, steps: Generator[None, None, None]) -> None:
        self._loop = loop
        self._steps = steps
        self._future: asyncio.Future[None] = loop.create_future()
        # Whoever waited for it may be gone when it fails.
        self._future.add_done_callback(lambda future: future.cancelled() or future.exception())
        loop.call_soon(self._go_on)

    async def wait(self) -> None:
        """Return when all is done; who gives up the wait does not end it. Raises what a step raises."""
        await asyncio.shield(self._future)

    def finish(self) -> None:
        """Do all that is left at once. Raises what a step raises."""
        self._take(inf)
        self._future.result()

    def give_up(self) -> None:
        self._steps.close()
        self._future.cancel()

    def _go_on(self) -> None:
        self._take(time.monotonic() + SLICE)
        if not self._future.done():
            self._loop.call_soon(self._go_on)

    def _take(self, until: float) -> None:
        if self._future.done():
            return
        failure: Exception | None = None
        try:
            for _ in self._steps:
                if time.monotonic() > until:
                    return
        except Exception as error:
            failure = error
        try:
            self._end(failure)
        except Exception as error:
            failure = error
        if failure is None:
            self._future.set_result(None)
        else:
            self._future.set_exception(failure)

    def _end(self, failure: Exception | None) -> None:
        """To be said by each kind; a callback that knows the object would keep it, and what it has, in memory."""
        raise NotImplementedError


class Opening(Slices):
    """A store that is being read, until all is known that whoever uses it must know. When that fails, or is given up,
    its workspace is released. `root_of`: the root of the workspace that a directory belongs to.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        store: Store,
        root_of: Callable[[bytes], bytes],
        over: Callable[["Opening", Exception | None], None],
    ) -> None:
        self.store = store
        self.roots: set[bytes] = set()
        """Of the workspaces, this one and others, that hold files which the store names."""
        self._opened = over
        super().__init__(loop, self._open(root_of))

    def _end(self, failure: Exception | None) -> None:
        self._opened(self, failure)

    def _open(self, root_of: Callable[[bytes], bytes]) -> Generator[None, None, None]:
        yield from self.store.load()
        try:
            for directory in self.store.places():
                self.roots.add(root_of(directory))
                yield
        except BaseException:
            self.store.close()
            raise


class Departure(Slices):
    """The files of a workspace that was closed leave the graph."""

    def __init__(self, loop: AbstractEventLoop, leaving: Leaving, over: Callable[["Departure"], None]) -> None:
        self.leaving = leaving
        self._left = over
        super().__init__(loop, leaving.steps())

    def _end(self, failure: Exception | None) -> None:
        self._left(self)
