"""Finding who holds a completion pipe, and telling the user."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from redod.jobs import holders
from redod.jobs.holders import (
    Holder,
    find_holders,
    holds_pipe,
    killed_notice,
    processes,
    read_process,
    waiting_notice,
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int, int]]:
    """(read end, write end, inode)"""
    read, write = os.pipe()
    yield read, write, os.fstat(read).st_ino
    os.close(read)
    os.close(write)


@contextmanager
def waiting(descriptor: int, *words: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A process with this descriptor that runs, and is not just being executed: its command line can be read."""
    command = ["sh", "-c", "echo; read x", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[descriptor]) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        yield child
        child.stdin.close()


def test_a_process_that_has_the_write_end_is_found(pipe: tuple[int, int, int]) -> None:
    _, write, inode = pipe
    with waiting(write) as child:
        (holder,) = find_holders(inode, 0, exclude=frozenset({os.getpid()}))
    assert (holder.pid, holder.command, holder.is_certain) == (child.pid, b"sh -c echo; read x", True)
    assert 0 <= holder.since < 60


def test_the_read_end_holds_nothing(pipe: tuple[int, int, int]) -> None:
    read, _, inode = pipe
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[read]) as child:
        assert holds_pipe(child.pid, inode) is False
        assert holds_pipe(os.getpid(), inode) is True


def test_processes_of_the_group_that_cannot_be_looked_into_are_suspected(
    pipe: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, process_group=0) as child:
        monkeypatch.setattr(holders, "holds_pipe", lambda _pid, _inode: None)
        (holder,) = find_holders(pipe[2], child.pid)
    assert (holder.pid, holder.is_certain) == (child.pid, False)


def test_processes_are_read_as_they_are() -> None:
    own = read_process(os.getpid())
    assert own is not None
    assert (own.parent, own.group, own.session) == (os.getppid(), os.getpgrp(), os.getsid(0))
    assert own.pid in {process.pid for process in processes()}
    assert read_process(2**22 + 1) is None


def test_a_process_name_with_brackets_and_blanks_is_no_trouble() -> None:
    script = "printf ') S 1 (' >/proc/$$/comm && echo && read x"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process = read_process(child.pid)
        assert child.stdin is not None
        child.stdin.close()
    assert process is not None
    assert (process.name, process.parent) == (b") S 1 (", os.getpid())


def test_a_long_or_wild_command_line_is_shown_bounded(pipe: tuple[int, int, int]) -> None:
    with waiting(pipe[1], "a\nb\x1b[31m", "x" * 500):
        (holder,) = find_holders(pipe[2], 0, exclude=frozenset({os.getpid()}))
    assert holder.command.startswith(b"sh -c echo; read x a?b?[31m xxx")
    assert holder.command.endswith(b"xxx...")
    assert len(holder.command) < 130


def test_an_adopted_daemon_that_cannot_be_looked_into_is_suspected(
    pipe: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own session and no group of the job's: that it is a child of ours, and no script, is all that is known."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as child:
        monkeypatch.setattr(holders, "holds_pipe", lambda _pid, _inode: None)
        found = find_holders(pipe[2], 2**22)
        earlier = find_holders(pipe[2], 2**22, age=-1.0)
    assert [(holder.pid, holder.is_certain) for holder in found] == [(child.pid, False)]
    assert earlier == [], "it is older than the job"


def test_the_notice_names_the_status_the_holders_and_the_remedies() -> None:
    text = b"\n".join(waiting_notice(b"dir/t", 3, [Holder(12, b"sleep 9", 5), Holder(13, b"[su]", 1, False)]))
    for part in (
        b"dir/t",
        b"status 3",
        b"pid 12, 5 s old: sleep 9",
        b"probably: [su]",
        b"To end it: kill 12 13.",
        b"Ctrl-C",
        b"redo-detach COMMAND",
        b"redo-service COMMAND",
    ):
        assert part in text
    assert b"signal 9" in waiting_notice(b"t", -9, [])[0]


def test_the_notice_says_what_is_known_of_another_users_process() -> None:
    text = b"\n".join(waiting_notice(b"t", 0, [Holder(13, b"lighttpd", 1, False, b"root")]))
    assert b"    pid 13, 1 s old, of user root, probably: lighttpd\n" in text
    assert b"sudo kill 13" in text
    assert b"a process that cannot be seen from here" in b"\n".join(waiting_notice(b"t", 0, []))


def test_of_many_holders_some_are_listed() -> None:
    lines = killed_notice(b"t", [Holder(number, b"x", 0) for number in range(500)])
    assert len(lines) == 12
    assert lines[-1] == b"    and 490 others"
