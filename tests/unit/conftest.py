"""What several files of unit tests use: a spawner, on each loop and with the launcher; a place for a workspace."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests.client.conftest import COMPILER, compile_client
from tests.unit.shop import SECONDS, Run, Shop, one_turn


@pytest.fixture(scope="session")
def redod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command that starts scripts for the server."""
    path = tmp_path_factory.mktemp("bin") / "redod"
    compile_client(path)
    return path


@pytest.fixture(params=["asyncio", "uvloop", *(["launcher"] if COMPILER else [])])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a test's coroutine with a shop, and sees to it that no descriptor is left open."""
    # Jobs keep their cgroups until somebody says that they are over.
    monkeypatch.setattr("redod.jobs.spawner.delegated", lambda: b"")
    launcher = bytes(request.getfixturevalue("redod")) if request.param == "launcher" else b""

    async def with_shop(test: Callable[[Shop], Awaitable[None]]) -> None:
        shop = Shop(tmp_path, launcher)
        if launcher:
            await shop.launcher_begins()
        # What other tests have left must not be closed in the midst of this one.
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        try:
            await test(shop)
            # The kernel closes an ended process's descriptors one by one: the end of its stderr may come a turn later.
            async with asyncio.timeout(SECONDS):
                while len(os.listdir("/proc/self/fd")) != before:
                    await one_turn()
        finally:
            shop.close()

    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield lambda test: runner.run(with_shop(test))


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    """Where a workspace may be made."""
    return os.path.realpath(os.fsencode(tmp_path)) + b"/w"
