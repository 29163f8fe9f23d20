"""What a job's process costs, and that it does not cost more in a large server.

Starts `/bin/true` many times as a job (spawned, exit and end of the completion pipe awaited) with 50 MB and 500 MB of
ballast, on asyncio and on uvloop, beside os.posix_spawn and waitpid, which is about what the kernel asks for. Run it as
`python -m bench.spawn [COUNT]`. All kinds take turns, so that a change in the machine's load is shared by all of them.
"""

import asyncio
import os
import sys
import time
from asyncio import AbstractEventLoop
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import uvloop

from redod.jobs.spawner import Order, Spawner
from redod.readers import Readers

PROGRAM = b"/bin/true"
ENV = {b"PATH": b"/usr/bin:/bin"} | {b"VARIABLE_%d" % number: b"value" for number in range(40)}
BALLAST_MB = (50, 500)
ROUNDS = 10
LOOPS: tuple[tuple[str, Callable[[], AbstractEventLoop]], ...] = (
    ("asyncio", asyncio.new_event_loop),
    ("uvloop", uvloop.new_event_loop),
)


class Cost(NamedTuple):
    """Seconds: `whole` from the order to the end, `own` of this thread's processor time."""

    whole: float
    own: float


class Finish:
    """A listener that waits for the two facts that end a job."""

    def __init__(self, future: "asyncio.Future[None]") -> None:
        self._future = future
        self._missing = 2

    def started(self) -> None:
        pass

    def not_started(self, text: str) -> None:
        raise AssertionError(text)

    def exited(self, status: int) -> None:
        if status:
            raise RuntimeError(f"{PROGRAM!r} failed with {status}")
        self._one_less()

    def pipe_closed(self) -> None:
        self._one_less()

    def printed(self, data: bytes) -> None:
        raise RuntimeError(f"{PROGRAM!r} printed {data!r}")

    def _one_less(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._future.set_result(None)


async def job_costs(count: int) -> list[Cost]:
    loop = asyncio.get_running_loop()
    spawner = Spawner(Readers(loop))
    null = os.open("/dev/null", os.O_WRONLY)
    order = Order((PROGRAM,), b"/", ENV, 0o022, null)
    costs: list[Cost] = []
    for _ in range(count):
        began, began_own = time.perf_counter(), time.thread_time()
        future = loop.create_future()
        spawner.start(order, Finish(future))
        await future
        costs.append(Cost(time.perf_counter() - began, time.thread_time() - began_own))
    os.close(null)
    spawner.close()
    return costs


def peer_costs(count: int) -> list[Cost]:
    costs: list[Cost] = []
    for _ in range(count):
        began, began_own = time.perf_counter(), time.thread_time()
        os.waitpid(os.posix_spawn(PROGRAM, (PROGRAM,), ENV), 0)
        costs.append(Cost(time.perf_counter() - began, time.thread_time() - began_own))
    return costs


def measure(count: int, found: dict[str, list[Cost]]) -> None:
    """Add to what was found, with the memory that this process has now."""
    found["posix_spawn"] += peer_costs(count)
    for name, factory in LOOPS:
        with asyncio.Runner(loop_factory=factory) as runner:
            found[name] += runner.run(job_costs(count))


def report(results: list[dict[str, Cost]]) -> None:
    sizes = "".join(f"{size:>8} MB{'own':>8}" for size in BALLAST_MB)
    print(f"{'ms, median':<14}{sizes}{'growth':>10}{'to peer':>10}")
    for name, small in results[0].items():
        large, peer = results[-1][name], results[-1]["posix_spawn"]
        cells = "".join(f"{result[name].whole * 1e3:>11.3f}{result[name].own * 1e3:>8.3f}" for result in results)
        print(f"{name:<14}{cells}{large.whole / small.whole:>10.2f}{large.whole / peer.whole:>10.2f}")


def main(count: int) -> None:
    found: list[dict[str, list[Cost]]] = [defaultdict(list) for _ in BALLAST_MB]
    for _ in range(ROUNDS):
        for size, costs in zip(BALLAST_MB, found, strict=True):
            # Written to, so that the pages exist and a fork would have to copy their table.
            ballast = b"\1" * (size << 20)
            measure(count // ROUNDS, costs)
            del ballast
    report([{name: _median(costs) for name, costs in by_name.items()} for by_name in found])


def _median(costs: list[Cost]) -> Cost:
    return Cost(median(cost.whole for cost in costs), median(cost.own for cost in costs))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
