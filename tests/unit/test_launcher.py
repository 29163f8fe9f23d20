"""The launcher: what becomes of scripts when it, their cgroup or their job is gone, and of large orders."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from redod.jobs.cgroups import Cgroup, Cgroups
from redod.jobs.process import NOBODY
from redod.jobs.spawner import Order
from tests.client.conftest import COMPILER
from tests.unit.shop import ENV, SECONDS, Recorder, Run, Shop, one_turn

pytestmark = [
    pytest.mark.skipif(not COMPILER, reason="the client in Python starts no scripts for the server"),
    pytest.mark.parametrize("run", ["launcher"], indirect=True),
]


def test_a_launcher_that_was_killed_costs_what_it_was_asked_for_and_no_more(run: Run) -> None:
    async def test(shop: Shop) -> None:
        (launcher,) = shop.spawner.children
        os.kill(launcher, signal.SIGSTOP)
        asked = [shop.start(b"exit 3")[1] for _ in range(3)]
        os.kill(launcher, signal.SIGKILL)
        for each in asked:
            while not each.refusal:
                await one_turn()
            assert "build again" in each.refusal
        job, recorder = shop.start(b"exit 4")
        assert job.pid != NOBODY
        await recorder.over()
        assert "exited 4" in recorder.facts
        assert not shop.spawner.children
        # In place of the socket to it.
        os.dup(shop.stdout)

    run(test)


def test_a_script_is_started_also_where_its_cgroup_is_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel cannot, or we may not, or somebody has removed it."""

    async def test(shop: Shop) -> None:
        cgroup = Cgroup(bytes(tmp_path), os.open(tmp_path, os.O_PATH))
        monkeypatch.setattr(Cgroups, "take", lambda self: cgroup)
        job, recorder = shop.start(b"exit 3")
        assert (job.pid, job.cgroup) == (NOBODY, cgroup)
        await recorder.over()
        assert "exited 3" in recorder.facts
        os.close(cgroup.number)

    run(test)


def test_what_was_given_up_before_it_had_begun_is_killed(run: Run) -> None:
    async def test(shop: Shop) -> None:
        job, recorder = shop.start(b"exec tail -f /dev/null")
        job.let_go()
        assert job.pid == NOBODY
        async with asyncio.timeout(SECONDS):
            while job.status is None:
                await one_turn()
        assert (job.status, recorder.story) == (-signal.SIGKILL, [])

    run(test)


def test_large_orders_are_carried_out_too(run: Run) -> None:
    async def test(shop: Shop) -> None:
        env = {**ENV, b"A": bytes(1 << 16).replace(b"\0", b"a")}
        recorder = Recorder()
        shop.spawner.start(Order((b"sh", b"-c", b"echo ${#A}"), b"/", env, 0o22, shop.stdout), recorder)
        await recorder.over()
        assert shop.written == b"65536\n"

    run(test)
