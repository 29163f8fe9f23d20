"""Finding who holds a completion pipe, and telling the user."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from redod.jobs import holders
from redod.jobs.holders import DETACHED, Holder, find_holders, holds_pipe, notice, processes, read_process


@pytest.fixture
def pipe() -> Iterator[tuple[int, int, int]]:
    """(read end, write end, inode)"""
    read, write = os.pipe()
    yield read, write, os.fstat(read).st_ino
    os.close(read)
    os.close(write)


def test_a_process_that_has_the_write_end_is_found(pipe: tuple[int, int, int]) -> None:
    _, write, inode = pipe
    with subprocess.Popen(["sleep", "1000"], pass_fds=[write]) as child:
        try:
            (holder,) = find_holders(inode, 0, frozenset({os.getpid()}))
        finally:
            child.kill()
    assert (holder.pid, holder.command, holder.is_certain) == (child.pid, b"sleep 1000", True)
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
    command = ["sh", "-c", "read x", "a\nb\x1b[31m", "x" * 500]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[pipe[1]]) as child:
        (holder,) = find_holders(pipe[2], 0, frozenset({os.getpid()}))
        assert child.stdin is not None
        child.stdin.close()
    assert holder.command.startswith(b"sh -c read x a?b?[31m xxx")
    assert holder.command.endswith(b"xxx...")
    assert len(holder.command) < 130


def test_the_notice_names_the_status_the_holders_and_the_remedies() -> None:
    text = b"\n".join(notice(b"dir/t", 3, [Holder(12, b"sleep 9", 5), Holder(13, b"[su]", 1, False)]))
    for part in (
        b"dir/t",
        b"status 3",
        b"pid 12, 5 s old: sleep 9",
        b"probably: [su]",
        b"kill 12 13",
        b"Ctrl-C",
        DETACHED,
    ):
        assert part in text
    assert b"signal 9" in notice(b"t", -9, [])[0]


def test_the_remedy_of_the_notice_frees_the_pipe(pipe: tuple[int, int, int]) -> None:
    _, write, inode = pipe
    started, starting = os.pipe()
    script = DETACHED.replace(b"COMMAND", b'sh -c "echo started; read x" <&0') + b"\nwait"
    with subprocess.Popen(
        [b"sh", b"-c", script.replace(b"' &", b"' <&0")], stdin=subprocess.PIPE, stdout=starting, pass_fds=[write]
    ) as shell:
        os.close(starting)
        assert os.read(started, 20) == b"started\n"
        found = {holder.pid for holder in find_holders(inode, 0, frozenset({os.getpid()}))}
        assert found <= {shell.pid}
        assert any(process.parent == shell.pid for process in processes()) or found == set()
        assert shell.stdin is not None
        shell.stdin.close()
    os.close(started)
