"""Job processes, on both loops."""

import asyncio
import gc
import os
import re
import resource
import signal
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop

from redod.jobs.cgroups import Cgroup, Cgroups
from redod.jobs.limits import Limits, changes
from redod.jobs.process import NOBODY, JobProcess
from redod.jobs.spawner import Order, Spawner, SpawnError
from redod.readers import Readers
from tests.client.conftest import COMPILER, compile_client

CLOSE_ALL = b"for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 )) && exec {f}>&-; done; "
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


@pytest.fixture(scope="module")
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


def test_a_job_is_over_when_it_has_exited_and_its_pipe_is_closed(run: Run) -> None:
    async def test(shop: Shop) -> None:
        job, recorder = shop.start(b"echo out; echo err >&2; exit 3")
        await recorder.over()
        assert sorted(recorder.facts) == ["closed", "exited 3"]
        assert (recorder.output, shop.written) == (b"err\n", b"out\n")
        assert job.is_over
        assert job.status == 3

    run(test)


def test_death_by_a_signal_is_a_negative_status(run: Run) -> None:
    async def test(shop: Shop) -> None:
        assert "exited -9" in (await shop.run(b"kill -9 $$")).facts

    run(test)


def test_a_background_process_keeps_the_pipe_until_it_ends(run: Run) -> None:
    async def test(shop: Shop) -> None:
        job, recorder = shop.start(b"(read x <go; echo late >&2) & exit 5")
        await recorder.until(lambda: "exited 5" in recorder.story)
        assert not job.is_over
        assert not job.signal_group(0)
        shop.go()
        await recorder.over()
        assert recorder.facts == ["exited 5", "closed"]
        assert recorder.output == b"late\n"

    run(test)


def test_a_pipe_closed_before_the_exit_does_not_end_the_job(run: Run) -> None:
    async def test(shop: Shop) -> None:
        recorder = Recorder()
        job = shop.spawner.start(shop.order(b"bash", b"-c", CLOSE_ALL + b"read x <go; exit 4"), recorder)
        await recorder.until(lambda: "closed" in recorder.story)
        assert job.status is None
        shop.go()
        await recorder.over()
        assert recorder.facts == ["closed", "exited 4"]

    run(test)


def inheritable() -> set[int]:
    """Descriptors above 2 that do not close on exec."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.add(int(name))
    return found


def test_a_job_has_no_descriptors_but_the_agreed_ones(run: Run) -> None:
    async def test(shop: Shop) -> None:
        stray = os.open("/dev/null", os.O_RDONLY)
        # The server starts without any such; a test runner may have been given some.
        given = inheritable()
        await shop.run(b"ls -l /proc/self/fd")
        os.close(stray)
        shown = [line.partition(b" -> ") for line in shop.written.splitlines() if b" -> " in line]
        links = {int(left.split()[-1]): target for left, _, target in shown if not target.startswith(b"/proc/")}
        for number in given:
            links.pop(number, None)
        pipe = next(number for number in links if number > 2)
        assert set(links) == {0, 1, 2, pipe}
        assert links[0] == b"/dev/null"
        assert pipe >= 50
        assert links[pipe].startswith(b"pipe:")

    run(test)


def test_stderr_can_be_opened_by_name_and_does_not_lose_anything(run: Run) -> None:
    async def test(shop: Shop) -> None:
        assert (await shop.run(b"echo 1 >&2; echo 2 >/dev/stderr; echo 3 >&2")).output == b"1\n2\n3\n"

    run(test)


def test_draining_tells_at_once_what_has_been_printed(run: Run) -> None:
    async def test(shop: Shop) -> None:
        os.mkfifo(shop.directory / "ready")
        job, recorder = shop.start(b"echo hi >&2; echo >ready; read x <go")
        (shop.directory / "ready").read_bytes()
        assert recorder.output == b""
        job.drain_stderr()
        assert recorder.output == b"hi\n"
        shop.go()
        await recorder.over()

    run(test)


def test_a_megabyte_of_stderr_arrives_in_order_and_in_pieces(run: Run) -> None:
    async def test(shop: Shop) -> None:
        recorder = await shop.run(b"seq 1 150000 >&2")
        assert recorder.output == b"".join(b"%d\n" % number for number in range(1, 150001))

    run(test)


def test_a_detached_process_that_kept_stderr_can_write_to_it_and_keeps_nothing_else(run: Run) -> None:
    async def test(shop: Shop) -> None:
        before = len(os.listdir("/proc/self/fd"))
        os.mkfifo(shop.directory / "done")
        detached = CLOSE_ALL + b"read x <go; echo late >&2 && echo ok >done"
        recorder = Recorder()
        order = shop.order(b"bash", b"-c", b"(" + detached + b") & exec true")
        job = shop.spawner.start(order, recorder)
        await recorder.over()
        gone = weakref.ref(recorder)
        shop.go()
        output = await asyncio.to_thread((shop.directory / "done").read_bytes)
        assert (output, recorder.output) == (b"ok\n", b"")
        del recorder, order, job
        gc.collect()
        assert gone() is None
        async with asyncio.timeout(SECONDS):
            while len(os.listdir("/proc/self/fd")) > before:
                await one_turn()

    run(test)


def test_what_is_written_into_the_completion_pipe_is_dropped(run: Run) -> None:
    async def test(shop: Shop) -> None:
        script = b"for f in /proc/$$/fd/*; do n=${f##*/}; [ $n -ge 50 ] && [ -p $f ] && seq 1 50000 >$f; done; exit 6"
        assert sorted((await shop.run(script)).facts) == ["closed", "exited 6"]

    run(test)


def test_after_letting_go_nothing_is_told_and_the_script_is_reaped(run: Run) -> None:
    async def test(shop: Shop) -> None:
        before = len(os.listdir("/proc/self/fd"))
        job, recorder = shop.start(b"read x <go; echo x >&2")
        job.let_go()
        shop.go()
        async with asyncio.timeout(SECONDS):
            while job.status is None or len(os.listdir("/proc/self/fd")) > before:
                await one_turn()
        assert recorder.story == []

    run(test)


def test_umask_environment_and_group_are_the_jobs_own(run: Run) -> None:
    async def test(shop: Shop) -> None:
        recorder = Recorder()
        script = b'umask; printf "%s\\n" "$A"; ps -o pgid= -p $$; echo $$'
        order = Order((b"sh", b"-c", script), bytes(shop.directory), {**ENV, b"A": b"\xff="}, 0o27, shop.stdout)
        shop.spawner.start(order, recorder)
        await recorder.over()
        umask, value, group, pid = shop.written.splitlines()
        assert (umask, value, int(group)) == (b"0027", b"\xff=", int(pid))

    run(test)


def test_programs_are_found_in_the_jobs_own_path(run: Run) -> None:
    async def test(shop: Shop) -> None:
        (shop.directory / "mine").write_text("#!/bin/sh\necho mine\n")
        (shop.directory / "mine").chmod(0o755)
        recorder = Recorder()
        env = {b"PATH": bytes(shop.directory)}
        shop.spawner.start(Order((b"mine",), b"/", env, 0o22, shop.stdout), recorder)
        await recorder.over()
        assert shop.written == b"mine\n"

    run(test)


def test_a_program_that_has_gone_is_looked_for_in_the_rest_of_the_path(run: Run) -> None:
    async def test(shop: Shop) -> None:
        env = {b"PATH": bytes(shop.directory) + b":/bin"}
        (shop.directory / "true").symlink_to("/bin/false")
        for expected in ("exited 1", "exited 0"):
            recorder = Recorder()
            shop.spawner.start(Order((b"true",), b"/", env, 0o22, shop.stdout), recorder)
            await recorder.over()
            assert expected in recorder.story
            (shop.directory / "true").unlink(missing_ok=True)

    run(test)


@pytest.mark.parametrize(
    ("argv", "cwd", "env", "text"),
    [
        ((b"no-such-interpreter",), b"/", ENV, "not found.*PATH is /usr/bin:/bin"),
        ((b"/dev/null",), b"/", ENV, "may not be executed"),
        ((b"/bin/true",), b"/no/such/place", ENV, "/no/such/place does not exist"),
        ((b"/bin/true", b"x" * (1 << 18)), b"/", ENV, "too long"),
    ],
)
def test_what_cannot_be_started_says_why(
    run: Run, argv: tuple[bytes, ...], cwd: bytes, env: dict[bytes, bytes], text: str
) -> None:
    async def test(shop: Shop) -> None:
        assert re.search(text, await shop.refusal(Order(argv, cwd, env, 0o22, shop.stdout)))

    run(test)


@pytest.mark.parametrize("run", ["asyncio"], indirect=True)
def test_an_environment_that_cannot_be_is_an_error_that_says_so(run: Run) -> None:
    async def test(shop: Shop) -> None:
        assert "environment" in await shop.refusal(Order((b"/bin/true",), b"/", {b"A=B": b"c"}, 0o22, shop.stdout))

    run(test)


def test_out_of_descriptors_at_any_point_is_an_error_that_says_so(run: Run) -> None:
    async def test(shop: Shop) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = [os.dup(0)]
        while taken[-1] < 50:
            taken.append(os.dup(0))
        failures = 0
        try:
            while failures < 10:
                resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1 + failures, hard))
                try:
                    recorder = await shop.run(b"exit 0")
                except SpawnError as error:
                    assert "out of file descriptors" in str(error)  # noqa: PT017 - how many fail is not given
                    failures += 1
                else:
                    break
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for number in taken:
                os.close(number)
        assert "exited 0" in recorder.facts
        assert failures > 3

    run(test)


def test_a_process_that_cannot_be_watched_is_not_left_behind(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(shop: Shop) -> None:
        def refuse(pid: int) -> int:
            started.append(pid)
            raise OSError(24, "Too many open files")

        started: list[int] = []
        monkeypatch.setattr(os, "pidfd_open", refuse)
        assert "descriptors" in await shop.refusal(shop.order(b"tail", b"-f", b"/dev/null"))
        with pytest.raises(ProcessLookupError):
            os.kill(started[0], 0)

    run(test)


def wanted(**changed: tuple[int, int]) -> Limits:
    limits = [resource.getrlimit(number) for number in range(16)]
    for name, pair in changed.items():
        limits[getattr(resource, "RLIMIT_" + name)] = pair
    return tuple((soft % 2**64, hard % 2**64) for soft, hard in limits)


def test_a_job_has_its_clients_number_of_descriptors(run: Run) -> None:
    async def test(shop: Shop) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        await shop.run(b"ulimit -Sn; ulimit -Hn", limits=wanted(NOFILE=(777, before[1])))
        assert shop.written.split()[0] == b"777"
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == before

    run(test)


def test_a_low_limit_does_not_hinder_the_server(run: Run) -> None:
    async def test(shop: Shop) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        await shop.run(b"ulimit -Sn", limits=wanted(NOFILE=(20, hard)))
        assert shop.written == b"20\n"

    run(test)


def test_other_limits_and_lower_hard_ones_are_imposed_exactly(run: Run) -> None:
    async def test(shop: Shop) -> None:
        limits = wanted(FSIZE=(1234567, 7654321), CORE=(0, 0), NOFILE=(99, 100))
        recorder = await shop.run(b'cat /proc/self/limits; echo "$redod_gate"; ls -l /proc/self/fd/0', limits=limits)
        lines = {line[:26].strip(): line[26:].split() for line in shop.written.splitlines()}
        assert lines[b"Max file size"][:2] == [b"1234567", b"7654321"]
        assert lines[b"Max core file size"][:2] == [b"0", b"0"]
        assert lines[b"Max open files"][:2] == [b"99", b"100"]
        assert b"-> /dev/null" in shop.written
        assert "exited 0" in recorder.facts

    run(test)


def test_hard_limits_above_the_servers_are_not_asked_for() -> None:
    own = ((10, 20), (10, -1))
    assert changes(((30, 40), (10, 2**64 - 1)), own) == ((0, 20, 20),)
    assert changes(((10, -1), (2**64 - 1, 2**64 - 1)), own) == ((1, -1, -1),)
    assert changes(own, own) == ()


def test_the_group_can_be_signalled_until_the_script_is_reaped(run: Run) -> None:
    async def test(shop: Shop) -> None:
        job, recorder = shop.start(b"exec tail -f /dev/null")
        shop.spawner.settle()
        assert job.signal_group(signal.SIGTERM)
        await recorder.over()
        assert "exited -15" in recorder.facts
        assert not job.signal_group(signal.SIGTERM)

    run(test)


@pytest.mark.skipif(not COMPILER, reason="the client in Python starts no scripts for the server")
@pytest.mark.parametrize("run", ["launcher"], indirect=True)
class TestLauncher:
    """What starts scripts for the server."""

    def test_a_launcher_that_was_killed_costs_what_it_was_asked_for_and_no_more(self, run: Run) -> None:
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
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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

    def test_what_was_given_up_before_it_had_begun_is_killed(self, run: Run) -> None:
        async def test(shop: Shop) -> None:
            job, recorder = shop.start(b"exec tail -f /dev/null")
            job.let_go()
            assert job.pid == NOBODY
            async with asyncio.timeout(SECONDS):
                while job.status is None:
                    await one_turn()
            assert (job.status, recorder.story) == (-signal.SIGKILL, [])

        run(test)

    def test_large_orders_are_carried_out_too(self, run: Run) -> None:
        async def test(shop: Shop) -> None:
            env = {**ENV, b"A": bytes(1 << 16).replace(b"\0", b"a")}
            recorder = Recorder()
            shop.spawner.start(Order((b"sh", b"-c", b"echo ${#A}"), b"/", env, 0o22, shop.stdout), recorder)
            await recorder.over()
            assert shop.written == b"65536\n"

        run(test)
