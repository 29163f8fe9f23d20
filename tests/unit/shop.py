"""A spawner for tests of jobs, and a listener that remembers what it is told of one."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from redod.jobs.limits import Limits
from redod.jobs.process import NOBODY, JobProcess
from redod.jobs.spawner import Order, Spawner, SpawnError
from redod.readers import Readers

ENV = {b"PATH": b"/usr/bin:/bin"}
SECONDS = 60
"""After which a job counts as hanging."""


class Recorder:
    """A listener that remembers, and lets a test wait for what it is told."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.output = b""
        self.refusal = ""
        self._told = asyncio.Event()

    def started(self) -> None:
        self._tell("started")

    def not_started(self, text: str) -> None:
        self.refusal = text
        self._tell("not started")

    def exited(self, status: int) -> None:
        self._tell(f"exited {status}")

    def pipe_closed(self) -> None:
        self._tell("closed")

    def printed(self, data: bytes) -> None:
        self.output += data
        self._tell("printed")

    def _tell(self, what: str) -> None:
        self.story.append(what)
        self._told.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                self._told.clear()
                await self._told.wait()

    async def over(self) -> None:
        await self.until(lambda: "closed" in self.story and any(told.startswith("exited") for told in self.story))

    @property
    def facts(self) -> list[str]:
        return [told for told in self.story if told not in ("started", "printed")]


class Shop:
    """A spawner and a capture file for one test."""

    def __init__(self, directory: Path, launcher: bytes = b"") -> None:
        self.directory = directory
        self.spawner = Spawner(Readers(asyncio.get_running_loop()), launcher)
        self.stdout = os.open(directory, os.O_TMPFILE | os.O_RDWR)
        os.mkfifo(directory / "go")
        self._go = os.open(directory / "go", os.O_RDWR)

    def go(self) -> None:
        """Let a script go on that waits in `read x <go`."""
        os.write(self._go, b"\n")

    def order(self, *argv: bytes, limits: Limits = ()) -> Order:
        return Order(argv, bytes(self.directory), ENV, 0o022, self.stdout, limits)

    def start(self, script: bytes, limits: Limits = ()) -> tuple[JobProcess, Recorder]:
        recorder = Recorder()
        return self.spawner.start(self.order(b"sh", b"-c", script, limits=limits), recorder), recorder

    async def launcher_begins(self) -> None:
        """Return when it starts the scripts."""
        while True:
            job, recorder = self.start(b"exit 0")
            was_launched = job.pid == NOBODY
            await recorder.over()
            if was_launched:
                return

    async def run(self, script: bytes, limits: Limits = ()) -> Recorder:
        _, recorder = self.start(script, limits)
        await recorder.over()
        return recorder

    async def refusal(self, order: Order) -> str:
        """Why this cannot be started."""
        recorder = Recorder()
        try:
            self.spawner.start(order, recorder)
        except SpawnError as error:
            return str(error)
        await recorder.until(lambda: bool(recorder.refusal))
        return recorder.refusal

    @property
    def written(self) -> bytes:
        return os.pread(self.stdout, 1 << 20, 0)

    def close(self) -> None:
        self.spawner.close()
        os.close(self.stdout)
        os.close(self._go)


async def one_turn() -> None:
    """Let the loop see to its descriptors once."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


Run = Callable[[Callable[[Shop], Awaitable[None]]], None]
