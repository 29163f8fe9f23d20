"""A job's time limit. It owns how long the job has run; it does not know what follows when the time is over."""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable


class TimeLimit:
    """Calls `over` once `seconds` have passed, those left out in which the job waits for what it has asked for:
    otherwise a limit would be one on everything below the target, too.
    """

    def __init__(self, loop: AbstractEventLoop, seconds: float, over: Callable[[], None]) -> None:
        self._loop = loop
        self._left = seconds
        self._over = over
        self._waits = 0
        self._is_over = False
        self._timer: TimerHandle | None = loop.call_later(seconds, over)

    def pause(self) -> None:
        """One more nested call waits."""
        self._waits += 1
        if self._timer is not None:
            self._left = max(0.0, self._timer.when() - self._loop.time())
            self._timer.cancel()
            self._timer = None

    def resume(self) -> None:
        """One nested call less."""
        self._waits -= 1
        if self._waits == 0 and not self._is_over:
            self._timer = self._loop.call_later(self._left, self._over)

    def stop(self) -> None:
        """The job is over. Calls that outlive it change nothing any more."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
