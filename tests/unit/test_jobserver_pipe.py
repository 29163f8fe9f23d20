"""A jobserver's pipe: tokens are neither lost nor made, whoever else reads and writes there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from redod.jobserver.pipe import LOWEST, DeadJobserverError, Pipe, borrow, borrow_fifo, create


@pytest.fixture(params=["anonymous", "fifo"])
def pipe(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipe]:
    """Ours, with three tokens."""
    made = create(3, os.fsencode(tmp_path / "fifo") if request.param == "fifo" else b"")
    yield made
    made.close()
    assert not (tmp_path / "fifo").exists()


def tokens(pipe: Pipe) -> int:
    """How many can be taken; they are given back."""
    number = 0
    while pipe.take():
        number += 1
    if number:
        pipe.put(number)
    return number


def test_as_many_tokens_can_be_taken_as_there_are(pipe: Pipe) -> None:
    assert [pipe.take() for _ in range(5)] == [True, True, True, False, False]
    pipe.put(2)
    assert tokens(pipe) == 2


def test_jobs_get_two_blocking_ends_of_one_pipe_at_high_numbers(pipe: Pipe) -> None:
    assert all(end >= LOWEST and os.get_blocking(end) and not os.get_inheritable(end) for end in pipe.ends)
    os.read(pipe.ends[0], 2)
    assert tokens(pipe) == 1
    os.write(pipe.ends[1], b"++")
    assert tokens(pipe) == 3


def test_o_nonblock_on_the_jobs_read_end_changes_neither_ours_nor_a_renewed_one(pipe: Pipe) -> None:
    assert not pipe.is_changed
    theirs = os.dup(pipe.ends[0])
    os.set_blocking(theirs, False)
    assert pipe.is_changed
    pipe.renew()
    assert not pipe.is_changed
    assert not os.get_blocking(theirs)
    assert os.get_blocking(pipe.ends[0])
    assert len(os.read(theirs, 9)) == 3
    os.close(theirs)


@pytest.mark.parametrize(("taken", "given", "missing"), [(0, 0, 0), (1, 0, 1), (3, 0, 3), (2, 9, -7)])
def test_refilling_gives_what_is_missing_and_takes_what_is_too_much(
    pipe: Pipe, taken: int, given: int, missing: int
) -> None:
    if taken:
        os.read(pipe.ends[0], taken)
    os.write(pipe.ends[1], b"+" * given)
    assert pipe.refill(3) == missing
    assert tokens(pipe) == 3


def test_a_makes_own_bytes_go_back_to_it(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"abc")
    pipe = borrow(read, write)
    assert pipe.take()
    assert pipe.take()
    pipe.put(1)
    pipe.close()
    assert sorted(os.read(read, 9)) == [97, 98, 99]
    os.close(read)
    os.close(write)


def test_a_makes_ends_are_used_though_it_has_made_them_nonblocking() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.write(write, b"a")
    pipe = borrow(read, write)
    assert not pipe.is_changed
    assert not os.get_blocking(read)
    assert (pipe.take(), pipe.take()) == (True, False)
    pipe.close()
    os.close(read)
    os.close(write)


def test_a_makes_fifo_is_used_and_left_there(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "fifo")
    os.mkfifo(path)
    master = os.open(path, os.O_RDWR)
    os.write(master, b"a")
    pipe = borrow_fifo(path)
    assert (pipe.take(), pipe.take()) == (True, False)
    assert pipe.auth(by_fifo=True) == b"fifo:" + path
    pipe.close()
    assert os.read(master, 9) == b"a"
    os.close(master)
    assert os.path.exists(path)


def test_what_is_no_jobserver_is_refused(tmp_path: Path) -> None:
    one, other = os.pipe(), os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    for ends in ((one[0], other[1]), (null, null), (one[0], null)):
        with pytest.raises(DeadJobserverError):
            borrow(*ends)
    for end in (*one, *other, null):
        os.close(end)
    (tmp_path / "file").touch()
    for name in ("file", "none", "."):
        with pytest.raises(DeadJobserverError):
            borrow_fifo(os.fsencode(tmp_path / name))


def test_a_stale_fifo_is_replaced(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "fifo")
    os.mkfifo(path)
    pipe = create(2, path)
    assert tokens(pipe) == 2
    pipe.close()
