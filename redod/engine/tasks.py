"""Background tasks: each is held until it is over, and an exception in one is told, not lost."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

_log = logging.getLogger(__name__)


class Tasks:
    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

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

    async def wait_empty(self) -> None:
        """Return when all are over."""
        while self._running:
            await asyncio.wait(self._running)
