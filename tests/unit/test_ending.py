"""Ending jobs with all that they started, on both loops."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest
import uvloop

from redod.jobs.ending import Group, Marks, end, find_processes
from redod.jobs.holders import Process, read_process
from redod.jobs.process import JobProcess
from redod.jobs.scan import look
from redod.jobs.spawner import Order, Spawner
from redod.readers import Readers

TOKEN = b"8b1f0c7c-of-this-test-%d" % os.getpid()
FOREVER = b"tail -f /dev/null"
CLOSE_ALL = b"for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 )) && exec {f}>&-; done; "
DAEMON = b"bash -c '" + CLOSE_ALL + b"exec %s' & "


class Deaf:
    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.closed = asyncio.Event()

    def started(self) -> None:
        pass

    def not_started(self, text: str) -> None:
        raise AssertionError(text)

    def exited(self, status: int) -> None:
        self.ended.set()

    def pipe_closed(self) -> None:
        self.closed.set()

    def printed(self, data: bytes) -> None:
        pass


class Work:
    """A running script, which writes the pids of what it starts into a FIFO when all is ready."""

    def __init__(self, directory: Path, script: bytes) -> None:
        os.mkfifo(directory / "ready")
        self.listener = Deaf()
        self.spawner = Spawner(Readers(asyncio.get_running_loop()))
        null = os.open("/dev/null", os.O_RDWR)
        env = {b"PATH": b"/usr/bin:/bin", b"REDO_JOB": TOKEN}
        order = Order((b"bash", b"-c", script), bytes(directory), env, 0o22, null)
        self.job: JobProcess = self.spawner.start(order, self.listener)
        os.close(null)
        self.marks = Marks(TOKEN, self.job.completion_id.inode)
        self.pids = [int(word) for word in (directory / "ready").read_bytes().split()]

    async def end(self, grace: float = 20.0) -> frozenset[int]:
        try:
            async with asyncio.timeout(30):
                return await end(self.job, self.marks, grace)
        finally:
            self.spawner.close()


Run = Callable[[Coroutine[None, None, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner.run


def is_gone(pid: int) -> bool:
    process = read_process(pid)
    return process is None or process.state in b"ZX"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(b"%s & echo $! >ready; wait", id="in the group"),
        pytest.param(b"setsid %s & echo $! >ready; wait", id="in a session of its own"),
        pytest.param(b"set -m; %s & echo $! >ready; wait", id="in a group of its own"),
        pytest.param(b"(setsid %s & echo $! >ready); exit", id="orphaned in another session"),
        pytest.param(b"env -i setsid %s & echo $! >ready; wait", id="without environment"),
        pytest.param(DAEMON + b"echo $! >ready; wait", id="without descriptors"),
        pytest.param(b"setsid " + DAEMON + b"echo $! >ready; exit", id="a daemon known by its environment"),
        pytest.param(b"(env -i setsid %s & echo $! >ready); exit", id="a daemon known by the pipe"),
        pytest.param(b"%s & kill -STOP $!; echo $! >ready; wait", id="stopped"),
    ],
)
def test_every_process_of_a_job_is_ended(run: Run, tmp_path: Path, script: bytes) -> None:
    async def test() -> None:
        work = Work(tmp_path, script % FOREVER)
        if script.endswith(b"exit"):
            await work.listener.ended.wait()
        assert await work.end() == frozenset()
        assert work.pids
        assert all(is_gone(pid) for pid in work.pids)
        async with asyncio.timeout(20):
            await work.listener.ended.wait()
            await work.listener.closed.wait()

    run(test())


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        work = Work(tmp_path, b"trap '' TERM; (while :; do " + FOREVER + b"; done) & echo $! $$ >ready; wait")
        assert await work.end(grace=0.1) == frozenset()
        assert all(is_gone(pid) for pid in work.pids)
        await work.listener.ended.wait()
        assert work.job.status == -9

    run(test())


def test_a_process_known_by_its_group_alone_is_killed_when_it_ignores_sigterm(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        stubborn = CLOSE_ALL + b"trap : TERM; echo $$ >ready; while :; do read x <>never; done"
        script = b"env -i bash -c '" + stubborn + b"' & wait"
        os.mkfifo(tmp_path / "never")
        work = Work(tmp_path, script)
        assert await work.end(grace=0.1) == frozenset()
        assert work.pids
        assert all(is_gone(pid) for pid in work.pids)

    run(test())


def test_a_script_may_clean_up_when_it_is_ended(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        script = b"trap 'echo x >>cleaned; exit 9' TERM; " + FOREVER + b" & echo $$ >ready; wait; wait"
        work = Work(tmp_path, script)
        assert await work.end() == frozenset()
        await work.listener.ended.wait()
        assert work.job.status == 9
        assert (tmp_path / "cleaned").read_bytes() == b"x\n"

    run(test())


def test_what_does_not_belong_to_the_job_is_left_alone(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        work = Work(tmp_path, FOREVER + b" & echo $! >ready; wait")
        found = {
            process.pid for process in find_processes(look(), work.marks, frozenset(), Group(work.job.pid, False, 0))
        }
        assert found == {work.job.pid, *work.pids}
        assert await work.end() == frozenset()

    env = {"PATH": "/usr/bin:/bin", "REDO_JOB": os.fsdecode(TOKEN) + "0", "NOT_REDO_JOB": os.fsdecode(TOKEN)}
    with subprocess.Popen(["tail", "-f", "/dev/null"], env=env) as other:
        try:
            run(test())
            assert other.poll() is None
        finally:
            other.kill()


def test_ending_a_job_that_is_gone_does_nothing(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        work = Work(tmp_path, b"echo >ready")
        await work.listener.ended.wait()
        await work.listener.closed.wait()
        assert await work.end() == frozenset()

    run(test())


def test_an_ending_process_is_known_by_its_group_after_the_script_was_reaped() -> None:
    ending = Process(101, 1, 100, 100, 50, b"S", b"sleep")
    younger = ending._replace(pid=102, started=61)
    assert Group(100, True, 60).members([ending, younger]) == {ending}


def test_a_strangers_group_of_the_same_number_is_left_alone() -> None:
    leader = Process(100, 1, 100, 100, 50, b"S", b"sh")
    assert Group(100, True, 60).members([leader, leader._replace(pid=101)]) == set()
