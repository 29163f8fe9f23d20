"""A job's time limit, on a clock of the test's."""

from collections.abc import Callable
from typing import cast

import pytest

from redod.engine.limit import TimeLimit


class Timer:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.callback = callback
        self._when = when
        self.is_on = True

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self.is_on = False


class Loop:
    """Only what a TimeLimit uses of a loop."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + seconds, callback))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in self.timers:
            if timer.is_on and timer.when() <= self.now:
                timer.is_on = False
                timer.callback()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def limit(loop: Loop, seconds: float, told: list[float]) -> TimeLimit:
    return TimeLimit(cast(object, loop), seconds, lambda: told.append(loop.now))  # type: ignore[arg-type]  # a part of one


def test_it_tells_once_when_the_time_is_over(loop: Loop) -> None:
    told: list[float] = []
    limit(loop, 5, told)
    loop.advance(4.9)
    assert told == []
    loop.advance(0.2)
    loop.advance(100)
    assert len(told) == 1


def test_time_in_nested_calls_does_not_count(loop: Loop) -> None:
    told: list[float] = []
    watched = limit(loop, 5, told)
    loop.advance(3)
    watched.pause()
    watched.pause()
    loop.advance(1000)
    watched.resume()
    loop.advance(1000)
    watched.resume()
    loop.advance(1.9)
    assert told == []
    loop.advance(0.2)
    assert len(told) == 1


def test_after_the_end_nothing_is_told(loop: Loop) -> None:
    """Also where a nested call outlives the script that made it."""
    told: list[float] = []
    watched = limit(loop, 5, told)
    watched.pause()
    watched.stop()
    watched.resume()
    loop.advance(1000)
    limit(loop, 5, told).stop()
    loop.advance(1000)
    assert told == []
