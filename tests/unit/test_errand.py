"""Errands: commands that take their time answer their client, whatever happens."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest

from redod.commands.context import Context, Errand
from redod.engine.tasks import Tasks
from redod.errors import InternalError, RedodError
from redod.files.observe import ObserveError


class Asked:
    """A context that remembers what its client was told."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.told: list[RedodError | int] = []
        stores = SimpleNamespace(resting=SimpleNamespace(errand=nullcontext))
        self.engine = SimpleNamespace(tasks=self.tasks, stores=stores)
        self.link = SimpleNamespace(die=self.told.append)
        self.name = "redo-ood"

    def fail(self, error: RedodError) -> None:
        self.told.append(error)

    @property
    def context(self) -> Context:
        return cast(Context, self)


async def fail(error: Exception) -> None:
    raise error


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def test_what_cannot_be_looked_at_is_told_and_not_waited_for() -> None:
    asked, error = Asked(), ObserveError("cannot look at x")
    Errand(asked.context, fail, error)
    await asked.tasks.wait_empty()
    assert asked.told == [error]


async def test_a_mistake_of_ours_is_logged_and_the_client_answered(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked()
    Errand(asked.context, fail, ZeroDivisionError())
    await asked.tasks.wait_empty()
    assert [type(told) for told in asked.told] == [InternalError]
    assert "ZeroDivisionError" in caplog.text


async def test_the_work_ends_with_its_client() -> None:
    asked = Asked()
    errand = Errand(asked.context, wait_for_ever)
    await asyncio.sleep(0)
    errand.interrupt(2)
    await asked.tasks.wait_empty()
    assert asked.told == [2]
