"""When the status line is drawn: by a clock that the test turns."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest

from redod.logs.joblog import JobLog
from redod.logs.transcript import Style
from redod.session.link import Link
from redod.session.screen import Screen


class Clock:
    """What a screen uses of a loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self._count = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        self._count += 1
        handle = asyncio.TimerHandle(self.now + delay, callback, args, cast(asyncio.AbstractEventLoop, self))
        heapq.heappush(self._timers, (self.now + delay, self._count, handle))
        return handle

    def call_soon(self, callback: Callable[..., object], *args: Any) -> asyncio.Handle:
        return self.call_later(0, callback, *args)

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None: ...

    def turn(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                handle._run()
        self.now = end


class Peer:
    """A client that notes what comes, and when."""

    peer = 0

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.is_full = False
        self.got: list[tuple[float, str, bytes]] = []

    def output(self, descriptor: int, data: bytes) -> None:
        self.got.append((self.clock.now, "output", data))

    def status(self, line: bytes) -> None:
        self.got.append((self.clock.now, "status", line))

    def on_room(self, callback: Callable[[], None]) -> None:
        self.on_room_callback = callback

    @property
    def lines(self) -> list[bytes]:
        return [data for _, kind, data in self.got if kind == "status"]


class Watched:
    """A log on a screen with a status line; `text` is what that says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.peer = Peer(self.clock)
        self.log = JobLog(b"/w")
        self.text = b"first"
        self.asked = 0
        self.over = False
        self.screen = Screen(
            cast(asyncio.AbstractEventLoop, self.clock), cast(Link, self.peer), self.log, Style(b"/w"), self._done,
            status=self._say,
        )  # fmt: skip

    def _say(self) -> bytes:
        self.asked += 1
        return self.text

    def _done(self) -> None:
        self.over = True


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_short_build_has_none(watched: Watched) -> None:
    watched.log.message(b"word")
    watched.clock.turn(0.2)
    watched.log.give_up()
    watched.clock.turn(1)
    assert watched.over
    assert watched.peer.lines == [b""]


def test_what_has_not_changed_is_not_drawn_again(watched: Watched) -> None:
    watched.clock.turn(5)
    assert watched.peer.lines == [b"first"]
    watched.text = b"second"
    watched.clock.turn(5)
    assert watched.peer.lines == [b"first", b"second"]


@pytest.mark.parametrize("every", [0.001, 0.02, 0.05, 0.11, 0.3])
def test_it_is_drawn_ten_times_a_second_at_most_and_right_after_output(watched: Watched, every: float) -> None:
    steps = round(5 / every)
    for step in range(steps):
        watched.text = b"%d" % step
        watched.log.message(b"line")
        watched.clock.turn(every)
    drawn = [when for when, kind, _ in watched.peer.got if kind == "status"]
    assert all(later - earlier > 0.0999 for earlier, later in pairwise(drawn))
    outputs = [place for place, (when, kind, _) in enumerate(watched.peer.got) if kind == "output" and when > 0.5]
    assert all(watched.peer.got[place + 1][1] == "status" for place in outputs[:-1])


def test_in_the_middle_of_a_line_it_stays_away(watched: Watched) -> None:
    watched.clock.turn(1)
    job = JobLog(b"/w/x")
    watched.log.child(job)
    job.start(1.0)
    job.write(b"half")
    watched.clock.turn(1)
    assert watched.peer.got[-1][1:] == ("output", b"redo  x\nhalf")
    job.write(b" line\n")
    watched.clock.turn(1)
    assert [entry[1:] for entry in watched.peer.got[-2:]] == [("output", b" line\n"), ("status", b"first")]


def test_a_client_that_takes_nothing_is_sent_nothing(watched: Watched) -> None:
    watched.peer.is_full = True
    watched.clock.turn(5)
    assert watched.peer.got == []


def test_after_a_resize_it_is_drawn_again(watched: Watched) -> None:
    watched.clock.turn(1)
    watched.screen.resized()
    watched.clock.turn(1)
    watched.text = b""
    watched.screen.resized()
    watched.clock.turn(1)
    assert watched.peer.lines == [b"first", b"first", b""]


def test_without_one_no_timer_runs() -> None:
    clock = Clock()
    peer = cast(Link, Peer(clock))
    Screen(cast(asyncio.AbstractEventLoop, clock), peer, JobLog(b"/w"), Style(b"/w"), lambda: None)
    assert not clock._timers
