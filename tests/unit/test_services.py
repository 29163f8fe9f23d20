"""What is kept of services, the ports that they listen on, and how one is found to be ready."""

import asyncio
import os
import re
import socket
from pathlib import Path

import pytest

from redod.jobs.holders import read_process
from redod.services.ports import listening_ports
from redod.services.process import ServiceProcess
from redod.services.ready import ReadyPipe, wait_line_on, wait_printed
from redod.services.record import LOG_SIZE, Record, Records

NAME = b"dir/a name\xff"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    (tmp_path / ".redo").mkdir()
    return Records(bytes(tmp_path / ".redo"))


def record(**values: object) -> Record:
    return Record.model_validate({"target": NAME.hex(), "token": "abc", **values})


def test_a_record_is_read_as_it_was_written(records: Records) -> None:
    assert list(records) == []
    records.write(record(pid=12, started=34, committed=True))
    records.write(record(pid=13, started=35, command="x y"))
    (found,) = records
    assert found == record(pid=13, started=35, command="x y")
    assert found.name == NAME
    records.remove(NAME)
    records.remove(NAME)
    assert list(records) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"target": "no hexadecimal", "token": ""}', '{"token": "x"}'])
def test_what_is_no_record_is_removed(records: Records, tmp_path: Path, content: str) -> None:
    records.write(record())
    damaged = tmp_path / ".redo/services/damaged.json"
    damaged.write_text(content)
    assert list(records) == [record()]
    assert not damaged.exists()


def test_a_long_log_is_cut_to_whole_lines_and_goes_on_at_its_end(records: Records) -> None:
    log = records.open_log(NAME)
    line = b"x" * 1023 + b"\n"
    for _ in range(LOG_SIZE // len(line) // 64):
        os.write(log, line * 64)
    records.cut_log(NAME)
    path = Path(os.fsdecode(records.log_path(NAME)))
    assert path.stat().st_size == LOG_SIZE
    os.write(log, b"last\n")
    records.cut_log(NAME)
    os.write(log, b"after\n")
    os.close(log)
    lines = path.read_bytes().splitlines()
    assert LOG_SIZE // 2 - 1024 < path.stat().st_size <= LOG_SIZE // 2 + 6
    assert set(lines[:-2]) == {line[:-1]}
    assert lines[-2:] == [b"last", b"after"]


def test_a_new_log_is_empty(records: Records) -> None:
    for _ in range(2):
        log = records.open_log(NAME)
        os.write(log, b"one\n")
        os.close(log)
    assert Path(os.fsdecode(records.log_path(NAME))).read_bytes() == b"one\n"


def has_ipv6() -> bool:
    """Not in every container."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_the_ports_that_a_process_listens_on() -> None:
    family, address = (socket.AF_INET6, "::1") if has_ipv6() else (socket.AF_INET, "127.0.0.1")
    with socket.socket() as one, socket.socket(family) as other, socket.socket() as idle:
        one.bind(("127.0.0.1", 0))
        other.bind((address, 0))
        idle.bind(("127.0.0.1", 0))
        one.listen()
        other.listen()
        expected = {one.getsockname()[1], other.getsockname()[1]}
        found = set(listening_ports([os.getpid(), 0]))
        assert expected <= found
        assert idle.getsockname()[1] not in found
    assert not expected & set(listening_ports([os.getpid()]))


async def test_a_ready_pipe_waits_for_a_whole_line() -> None:
    loop = asyncio.get_running_loop()
    pipe = ReadyPipe()
    waiting = loop.create_task(wait_line_on(loop, pipe))
    await asyncio.wait([waiting], timeout=0)
    os.write(pipe.theirs, b"half")
    await asyncio.wait([waiting], timeout=0.01)
    assert not waiting.done()
    os.write(pipe.theirs, b" a line\n")
    await waiting
    pipe.close()


async def test_a_printed_line_is_found_though_it_comes_in_pieces(records: Records) -> None:
    log = records.open_log(NAME)
    waiting = asyncio.ensure_future(wait_printed(records.log_path(NAME), re.compile(b"^server is up$")))
    for piece in (b"noise\nserv", b"er is", b" up", b"\n"):
        await asyncio.wait([waiting], timeout=0.01)
        assert not waiting.done()
        os.write(log, piece)
    await waiting
    os.close(log)


def start_reader() -> tuple[int, int]:
    """The pid of a process that ends when what is returned with it is closed."""
    source, held = os.pipe()
    pid = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, source, 0)])
    os.close(source)
    return pid, held


def wait_exit(pid: int) -> None:
    """Return when it has exited; it stays to be reaped."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


async def test_an_end_is_known_before_the_loop_has_told_of_it() -> None:
    """A server that stood still while a service ended must not take it for one that runs."""
    pid, held = start_reader()
    found = read_process(pid)
    assert found is not None
    process = ServiceProcess(asyncio.get_running_loop(), found.identity, lambda: None, is_child=True)
    assert not process.has_exited
    os.close(held)
    wait_exit(pid)
    assert process.status is None
    assert process.has_exited
    await process.wait_end()
    assert process.status == 0
