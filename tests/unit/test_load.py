"""Waiting for a low load: asked again until it is, told once."""

import asyncio

from redod.core.graph import Graph
from redod.core.model import Session
from redod.core.scheduler import Scheduler
from redod.engine.load import LoadWatch, running_processes


def session_with_limit() -> Session:
    return Scheduler(Graph(1), 1).open_session(load_limit=3)


async def test_a_low_load_is_low_at_once() -> None:
    watch = LoadWatch(asyncio.get_running_loop(), print, print, lambda: 2)
    assert watch.is_low(session_with_limit())


async def test_a_high_load_is_looked_at_until_it_is_low_and_told_once() -> None:
    fell: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
    loads, told, session = [5, 3, 2], [], session_with_limit()
    watch = LoadWatch(
        asyncio.get_running_loop(), fell.set_result, lambda _, load: told.append(load), lambda: loads.pop(0)
    )
    assert not watch.is_low(session)
    assert await asyncio.wait_for(fell, 60) is session
    assert (loads, told) == ([], [5])


async def test_a_session_that_ends_is_asked_about_no_more() -> None:
    session = session_with_limit()
    watch = LoadWatch(asyncio.get_running_loop(), print, lambda *_: None, lambda: 9)
    assert not watch.is_low(session)
    watch.forget(session)
    watch.forget(session)
    assert not watch._timers


def test_the_load_of_this_machine_is_a_number() -> None:
    assert running_processes() >= 0
