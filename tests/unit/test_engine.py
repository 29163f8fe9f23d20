"""The engine's own failures and costs. What it does with files and processes is shown in tests/behaviour."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from redod.core import events
from redod.core.check import Check
from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.core.model import Job
from redod.core.scheduler import Scheduler
from redod.core.verdicts import Dirty
from redod.engine.client import Setting
from redod.engine.engine import Engine
from redod.engine.run import Run
from redod.files.observe import observe
from redod.session.caller import Caller
from redod.session.link import JobStarter
from redod.session.options import BuildOptions, Terminal
from redod.store.lock import Owner


def make_engine(directory: Path) -> Engine:
    owner = Owner(bytes(directory / "socket"), "host", 1, 0)
    return Engine(asyncio.get_running_loop(), jobs=1, owner=owner, commands=bytes(directory))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    await made.close()


async def test_an_internal_error_ends_the_engine_instead_of_leaving_callers_waiting(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Scheduler, event: events.Event) -> list[object]:
        raise ZeroDivisionError

    failures = []
    engine.on_failure = lambda: failures.append("failed")
    monkeypatch.setattr(Scheduler, "step", fail)
    session = Scheduler(Graph(1), 1).open_session()
    engine.post(events.SessionCancelled(session))
    engine.post(events.SessionCancelled(session))
    assert failures == ["failed"]
    assert engine.is_broken


async def test_an_engine_that_failed_ends_though_somebody_waits(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    waiting = engine.tasks.start(wait_for_ever)
    await asyncio.sleep(0)
    engine.is_broken = True
    await engine.close()
    assert waiting.cancelled()


async def test_a_chain_that_is_out_of_date_is_walked_once_by_redo_ood(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain: list[Node] = []
    for number in range(200):
        path = bytes(tmp_path / str(number))
        os.mkdir(path)
        node = engine.graph.node(path)
        node.kind, node.stamp, node.version, node.status = Kind.TARGET, observe(path), number + 1, 0
        node.deps = (Dep(DepKind.IFCHANGE, chain[-1], chain[-1].version),) if chain else ()
        chain.append(node)
    chain[0].status = 1
    judged: list[Node] = []
    judge_itself = Check._judge_itself

    def count(check: Check, frame: object) -> object:
        judged.append(frame.node)  # type: ignore[attr-defined]  # private to the module
        return judge_itself(check, frame)  # type: ignore[arg-type]

    monkeypatch.setattr(Check, "_judge_itself", count)
    verdicts = await engine.judging.judge(chain[::-1])
    assert all(isinstance(verdict, Dirty) for verdict in verdicts.values())
    assert len(judged) < 3 * len(chain)


@pytest.mark.parametrize(("status", "found"), [(None, True), (0, False)])
async def test_only_a_script_that_is_not_reaped_is_known_by_its_pid(
    engine: Engine, status: int | None, found: bool
) -> None:
    run = cast(Run, SimpleNamespace(process=SimpleNamespace(pid=os.getpid(), status=status)))
    job = cast(Job, object())
    engine.runs[job] = run
    try:
        assert (engine.run_around(os.getpid()) is run) == found
    finally:
        del engine.runs[job]


class StuckLink:
    """A client that takes nothing."""

    peer = 0
    is_full = True

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []

    def output(self, descriptor: int, data: bytes) -> None: ...
    def on_room(self, callback: Callable[[], None]) -> None: ...
    def read_stdin(self, callback: Callable[[bytes], None]) -> None: ...
    def status(self, line: bytes) -> None: ...
    def settle(self, done: Callable[[], None]) -> None: ...

    def go_on(self) -> None: ...
    def start_job(self, order: bytes, descriptors: list[int], starter: JobStarter) -> None: ...
    def exit(self, status: int) -> None:
        self.said.append(("exit", status))

    def die(self, number: int) -> None:
        self.said.append(("die", number))


async def test_a_client_that_is_slow_to_read_can_be_interrupted_when_its_build_is_over(engine: Engine) -> None:
    link = StuckLink()
    setting = Setting(dict, 0o022, (), b"/", b"/")
    caller = Caller(
        engine, link, setting, "redo", BuildOptions(), run=None, is_redirected=False, terminal=Terminal(False, 0, {})
    )
    caller.complain("what nobody reads")
    caller.build([], force=True)
    assert not link.said
    caller.interrupt(2)
    assert link.said == [("die", 2)]


async def test_who_ends_a_session_is_told_that_its_results_could_not_be_stored(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    setting = Setting(dict, 0o022, (), b"/", b"/")
    caller = Caller(
        engine,
        StuckLink(),
        setting,
        "redo",
        BuildOptions(),
        run=None,
        is_redirected=False,
        terminal=Terminal(False, 0, {}),
    )
    monkeypatch.setattr(caller, "complain", told.append)
    monkeypatch.setattr(engine.stores.committing, "commit", lambda: engine.stores.notices.append("no space"))
    caller.build([], force=True)
    assert told == ["no space"]
