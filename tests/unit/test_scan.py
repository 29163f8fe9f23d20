"""Looking at all processes: what is seen, and that those who ask at the same time share a look."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from redod.jobs import scan
from redod.jobs.scan import Scan, Seen, look


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@contextmanager
def waiting(descriptor: int, env: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that runs, and is not just being executed: then it has no environment for a moment."""
    pipe = subprocess.PIPE
    with subprocess.Popen(["cat"], bufsize=0, stdin=pipe, stdout=pipe, pass_fds=[descriptor], env=env) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"x")
        child.stdout.read(1)
        yield child
        child.stdin.close()


def test_a_process_is_seen_with_its_token_and_the_pipes_it_can_write_to(pipe: tuple[int, int]) -> None:
    inode = os.fstat(pipe[0]).st_ino
    environment = {"PATH": "/usr/bin:/bin", "REDO_JOB": "abc", "X": "y"}
    with waiting(pipe[1], environment) as writer, waiting(pipe[0], {"PATH": "/usr/bin:/bin"}) as reader:
        seen = {one.process.pid: one for one in look()}
    assert (seen[writer.pid].token, inode in seen[writer.pid].pipes) == (b"abc", True)
    assert (seen[reader.pid].token, inode in seen[reader.pid].pipes) == (b"", False)
    assert os.getpid() not in seen


def test_a_process_that_takes_the_place_of_one_that_was_listed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A double fork: what was listed has ended by the time it is looked at, and its child is not in that listing."""
    with subprocess.Popen(["true"]) as gone:
        pass
    child = subprocess.Popen(["sleep", "1000"])
    listings = [[gone.pid], [gone.pid, child.pid], [child.pid]]
    with child:
        monkeypatch.setattr(scan, "pids", lambda: listings.pop(0))
        seen = [one.process.pid for one in look()]
        child.kill()
    assert seen == [child.pid]


def test_an_orphan_that_executes_another_program_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is empty for a moment."""
    answers = [b"\0\0", b"\0\0", b"\0REDO_JOB=abc\0"]
    child = subprocess.Popen(["sleep", "1000"])
    with child:
        monkeypatch.setattr(scan, "pids", lambda: [child.pid])
        monkeypatch.setattr(scan, "environ_of", lambda _: answers.pop(0))
        (seen,) = look()
        child.kill()
    assert seen.token == b"abc"


def test_a_process_that_has_no_environment_is_seen_all_the_same() -> None:
    child = subprocess.Popen(["/bin/sleep", "1000"], env={})
    with child:
        seen = {one.process.pid: one for one in look()}
        child.kill()
    assert (seen[child.pid].token, seen[child.pid].is_bare) == (b"", True)


def test_of_what_is_older_than_the_job_only_that_it_exists_is_looked_at(pipe: tuple[int, int]) -> None:
    with waiting(pipe[1], {"PATH": "/usr/bin:/bin", "REDO_JOB": "abc"}) as child:
        started = next(one.process.started for one in look() if one.process.pid == child.pid)
        before, after = ({one.process.pid: one for one in look(started + more)} for more in (0, 1))
    assert before[child.pid].token == b"abc"
    assert (after[child.pid].token, after[child.pid].pipes) == (b"", frozenset())


async def test_who_asks_during_a_look_gets_the_next_one_with_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[list[Seen]] = []
    began, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def slow_look(_since: int) -> list[Seen]:
        looks.append([])
        began.release()
        go_on.acquire()
        return looks[-1]

    monkeypatch.setattr(scan, "look", slow_look)
    shared = Scan()
    early = [asyncio.ensure_future(shared.look()) for _ in range(3)]
    await asyncio.to_thread(began.acquire)
    late = [asyncio.ensure_future(shared.look()) for _ in range(3)]
    go_on.release()
    assert all(found is looks[0] for found in await asyncio.gather(*early))
    go_on.release()
    assert all(found is looks[1] for found in await asyncio.gather(*late))
    assert len(looks) == 2


async def test_a_look_that_fails_fails_for_those_who_asked_and_for_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_since: int) -> list[Seen]:
        raise OSError(24, "no descriptor")

    shared = Scan()
    with monkeypatch.context() as patch:
        patch.setattr(scan, "look", broken)
        with pytest.raises(OSError, match="no descriptor"):
            await shared.look()
    assert await shared.look()
