"""Background tasks: each is held until it is over, and an exception in one is told, not lost."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

SLICE = 0.005
"""Seconds of work after which others get a turn."""
_log = logging.getLogger(__name__)


class Tasks:
    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[None]] = set()

    def start(self, function: Callable[..., Coroutine[object, object, None]], *arguments: object) -> asyncio.Task[None]:
        """Let it run; the caller may cancel it."""
        task = asyncio.get_running_loop().create_task(function(*arguments))
        self._running.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("a background task failed", exc_info=problem)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what the running task does on behalf of a client alone: the server's end cuts it short."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)

    async def wait_empty(self, cut_short: bool = False) -> None:
        """Cut short what may be, or all of them; return when they are over."""
        for task in self._running if cut_short else self._waiting:
            task.cancel()
        while self._running:
            await asyncio.wait(self._running)
