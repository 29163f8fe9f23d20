"""How jobs are started, in every way: what they are given, and what is said where that cannot be."""

import os
import re
import resource
from contextlib import suppress

import pytest

from redod.jobs.spawner import Order, SpawnError
from tests.unit.shop import ENV, Recorder, Run, Shop


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
