"""Loaded into a server: time limits go by a clock that stands still, and moves on by an hour at each SIGUSR1."""

import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, cast

from redod.engine import run
from redod.engine.limit import TimeLimit

HOUR = 3600.0


class Timer:
    """What a time limit uses of one."""

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self._due = due
        self.callback = callback
        self.is_cancelled = False

    def when(self) -> float:
        return self._due

    def cancel(self) -> None:
        self.is_cancelled = True


class Clock:
    """What a time limit uses of a loop."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[Timer] = []

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        self._timers.append(Timer(self._now + seconds, callback))
        return self._timers[-1]

    def move_on(self) -> None:
        self._now += HOUR
        due, self._timers = [timer for timer in self._timers if timer.when() <= self._now], []
        for timer in due:
            if not timer.is_cancelled:
                timer.callback()


CLOCK = Clock()


def limit(loop: AbstractEventLoop, seconds: float, over: Callable[[], None]) -> TimeLimit:
    signal.signal(signal.SIGUSR1, lambda *_: loop.call_soon_threadsafe(CLOCK.move_on))
    return TimeLimit(cast(Any, CLOCK), seconds, over)


setattr(run, "TimeLimit", limit)  # noqa: B010 (a type checker would have it be a type)
