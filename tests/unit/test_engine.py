"""The engine's own failures. What it does with files and processes is shown in tests/behaviour."""

import asyncio
from pathlib import Path

import pytest

from redod.core import events
from redod.core.graph import Graph
from redod.core.scheduler import Scheduler
from redod.engine.engine import Engine
from redod.store.lock import Owner


async def test_an_internal_error_ends_the_engine_instead_of_leaving_callers_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Scheduler, event: events.Event) -> list[object]:
        raise ZeroDivisionError

    owner = Owner(bytes(tmp_path / "socket"), "host", 1, 0)
    engine = Engine(asyncio.get_running_loop(), jobs=1, owner=owner, commands=bytes(tmp_path))
    failures = []
    engine.on_failure = lambda: failures.append("failed")
    monkeypatch.setattr(Scheduler, "step", fail)
    session = Scheduler(Graph(1), 1).open_session()
    engine.post(events.SessionCancelled(session))
    engine.post(events.SessionCancelled(session))
    assert failures == ["failed"]
    assert engine.is_broken
    await engine.close()
