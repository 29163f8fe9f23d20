"""`redo --watch` between two turns of the loop, where no client can be on time."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from redod.commands.watch import Watch
from redod.core.graph import Graph


@dataclass
class Link:
    peer: int = 0
    deaths: list[int] = field(default_factory=list)

    def go_on(self) -> None:
        pass

    def die(self, number: int) -> None:
        self.deaths.append(number)


@dataclass
class Context:
    engine: Any
    daemon: Any
    link: Any
    stderr: int = -1


@dataclass
class Build:
    """Ends by a signal, or when it is told to."""

    context: Context

    def interrupt(self, number: int) -> None:
        self.context.link.die(number)

    def gone(self) -> None:
        pass


def watch(loop: asyncio.AbstractEventLoop, act: Callable[[Watch, Build], None]) -> list[int]:
    """Begin to watch, do something in one turn of the loop; by which signals the client was told to die."""
    engine = SimpleNamespace(
        graph=Graph(1), judging=None, loop=loop, watching=SimpleNamespace(listeners=[]),
        goals=SimpleNamespace(watched=Counter()), tasks=SimpleNamespace(start=lambda *_: None),
    )  # fmt: skip
    daemon = SimpleNamespace(services=SimpleNamespace(listeners=[]))
    builds: list[Build] = []

    def build(context: Any) -> Any:
        builds.append(Build(context))
        return builds[-1]

    link = Link()
    attendant = Watch(Context(engine, daemon, link), [b"/w/x"], build, restart=False)  # type: ignore[arg-type]
    act(attendant, builds[-1])
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert engine.watching.listeners == [] or not link.deaths
    return link.deaths


def test_a_signal_ends_the_build_and_the_watch() -> None:
    loop = asyncio.new_event_loop()
    assert watch(loop, lambda attendant, _: attendant.interrupt(signal.SIGINT)) == [signal.SIGINT]
    loop.close()


def test_a_signal_in_the_moment_in_which_a_build_is_over_ends_the_watch() -> None:
    def act(attendant: Watch, build: Build) -> None:
        build.context.link.exit(0)
        attendant.interrupt(signal.SIGTERM)

    loop = asyncio.new_event_loop()
    assert watch(loop, act) == [signal.SIGTERM]
    loop.close()
