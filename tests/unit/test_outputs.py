"""Putting outputs in place, with real files."""

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from redod.core.stamps import DIRECTORY, MISSING, difference
from redod.files.captures import capture_file
from redod.files.observe import observe
from redod.files.outputs import (
    OutputError,
    commit,
    delete_tree,
    discard,
    examine,
    is_written_to,
    remove_target,
    stage_stdout,
    stage_temporary,
)


@pytest.fixture
def place(tmp_path: Path) -> bytes:
    return os.path.realpath(bytes(tmp_path))


def write(path: bytes, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def read(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def captured(place: bytes, data: bytes) -> int:
    number = capture_file(place)
    os.write(number, data)
    return number


def test_what_was_produced_is_found_out(place: bytes) -> None:
    number = captured(place, b"12345")
    os.mkdir(place + b"/tmp")
    produced = examine(place + b"/t", place + b"/tmp", number)
    assert (produced.stdout_size, produced.temporary, produced.after) == (5, DIRECTORY, MISSING)
    os.close(number)


@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0o000])
def test_captured_stdout_becomes_the_target(place: bytes, size: int, umask: int) -> None:
    data = os.urandom(size)
    write(place + b"/t", b"old")
    number = captured(place, data)
    staged = stage_stdout(place + b"/t", place + b"/t.tmp", number, umask)
    assert read(place + b"/t") == b"old"
    installed = commit(staged)
    assert read(place + b"/t") == data
    assert stat.S_IMODE(installed.stamp.mode) == 0o666 & ~umask
    assert difference(staged.stamp, installed.stamp) == ""
    assert installed.stamp == observe(place + b"/t")
    assert os.listdir(place) == [b"t"]
    os.write(number, b"later")
    assert read(place + b"/t") == data
    os.close(number)


def test_a_large_stdout_is_copied_where_the_kernel_cannot(place: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EXDEV, "no")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    data = os.urandom(2_500_000)
    number = captured(place, data)
    commit(stage_stdout(place + b"/t", place + b"/t.tmp", number, 0o022))
    assert read(place + b"/t") == data
    os.close(number)


def test_holes_stay_holes(place: bytes) -> None:
    number = captured(place, b"begin")
    os.pwrite(number, b"middle", 1 << 30)
    os.ftruncate(number, 3 << 30)
    installed = commit(stage_stdout(place + b"/t", place + b"/t.tmp", number, 0o022))
    os.close(number)
    assert installed.stamp.size == 3 << 30
    assert os.stat(place + b"/t").st_blocks * 512 < 1 << 20
    with open(place + b"/t", "rb") as file:
        assert file.read(5) == b"begin"
        assert os.pread(file.fileno(), 8, (1 << 30) - 1) == b"\0middle\0"


def test_a_copy_is_given_up_with_its_build(place: bytes) -> None:
    pieces = iter([False, True])
    number = captured(place, bytes(50_000_000))
    with pytest.raises(OutputError, match="given up"):
        stage_stdout(place + b"/t", place + b"/t.tmp", number, 0o022, lambda: next(pieces))
    os.close(number)
    assert os.listdir(place) == []


def test_a_full_disk_leaves_the_old_target_and_no_temporary(place: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_number: int, _data: bytes, _offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    write(place + b"/t", b"old")
    number = captured(place, b"new")
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(OutputError, match="no space left"):
        stage_stdout(place + b"/t", place + b"/t.tmp", number, 0o022)
    assert os.listdir(place) == [b"t"]
    assert read(place + b"/t") == b"old"
    os.close(number)


def test_a_missing_directory_is_said_to_be_missing(place: bytes) -> None:
    number = captured(place, b"x")
    with pytest.raises(OutputError, match=r"no/dir does not exist.*mkdir -p"):
        stage_stdout(place + b"/no/dir/t", place + b"/no/dir/t.tmp", number, 0o022)
    os.close(number)


def test_the_temporary_becomes_the_target_with_its_mode(place: bytes) -> None:
    write(place + b"/tmp", b"new")
    os.chmod(place + b"/tmp", 0o751)
    staged = stage_temporary(place + b"/t", place + b"/tmp", observe(place + b"/tmp"), may_be_held=True)
    installed = commit(staged)
    assert staged.path == place + b"/tmp"
    assert difference(staged.stamp, installed.stamp) == ""
    assert stat.S_IMODE(installed.stamp.mode) == 0o751
    assert os.listdir(place) == [b"t"]


def test_a_temporary_that_is_still_written_to_is_copied(place: bytes) -> None:
    write(place + b"/tmp", b"new")
    os.chmod(place + b"/tmp", 0o700)
    script = f"exec >>{os.fsdecode(place)}/tmp; echo ready >&2; read x; echo late; echo done >&2"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stderr is not None
        assert writer.stdin is not None
        writer.stderr.readline()
        assert is_written_to(place + b"/tmp")
        installed = commit(stage_temporary(place + b"/t", place + b"/tmp", observe(place + b"/tmp"), may_be_held=True))
        writer.stdin.write(b"\n")
        writer.stdin.close()
        assert writer.stderr.readline() == b"done\n"
    assert read(place + b"/t") == b"new"
    assert stat.S_IMODE(installed.stamp.mode) == 0o700
    assert os.listdir(place) == [b"t"]


def test_a_reader_is_no_writer(place: bytes) -> None:
    write(place + b"/tmp", b"new")
    with open(place + b"/tmp", "rb") as file, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file.fileno()):
        assert not is_written_to(place + b"/tmp")


def test_where_leases_cannot_be_had_a_file_may_be_written_to(place: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place + b"/tmp", b"new")

    def refuse(_number: int, _command: int, _argument: int) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert is_written_to(place + b"/tmp")


def test_a_link_becomes_the_target_and_is_not_followed(place: bytes) -> None:
    write(place + b"/elsewhere", b"keep")
    os.symlink(b"elsewhere", place + b"/t")
    os.symlink(b"nowhere", place + b"/tmp")
    installed = commit(stage_temporary(place + b"/t", place + b"/tmp", observe(place + b"/tmp"), may_be_held=True))
    assert os.readlink(place + b"/t") == b"nowhere"
    assert stat.S_ISLNK(installed.stamp.mode)
    assert read(place + b"/elsewhere") == b"keep"


def test_a_second_name_of_the_target_itself_leaves_nothing_behind(place: bytes) -> None:
    write(place + b"/t", b"same")
    os.link(place + b"/t", place + b"/tmp")
    commit(stage_temporary(place + b"/t", place + b"/tmp", observe(place + b"/tmp"), may_be_held=False))
    assert os.listdir(place) == [b"t"]
    assert read(place + b"/t") == b"same"


@pytest.mark.parametrize("has_exchange", [True, False])
@pytest.mark.parametrize("old", ["nothing", "file", "link", "empty", "tree"])
def test_a_directory_takes_the_place_of_anything(
    place: bytes, old: str, has_exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_exchange:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    target = place + b"/t"
    os.mkdir(place + b"/outside")
    write(place + b"/outside/f", b"keep")
    if old == "file":
        write(target, b"old")
    elif old == "link":
        os.symlink(b"outside", target)
    elif old != "nothing":
        os.mkdir(target)
    if old == "tree":
        os.symlink(b"../outside", target + b"/link")
        os.makedirs(target + b"/a/b")
        os.chmod(target + b"/a", 0o500)
    os.mkdir(place + b"/tmp")
    write(place + b"/tmp/f", b"new")
    installed = commit(stage_temporary(target, place + b"/tmp", observe(place + b"/tmp"), may_be_held=False))
    assert installed.stamp == DIRECTORY
    assert bool(installed.leftover) == (old == "tree")
    if installed.leftover:
        delete_tree(installed.leftover)
    assert os.listdir(target) == [b"f"]
    assert sorted(os.listdir(place)) == [b"outside", b"t"]
    assert read(place + b"/outside/f") == b"keep"


def test_a_file_does_not_take_the_place_of_a_directory(place: bytes) -> None:
    os.mkdir(place + b"/t")
    write(place + b"/tmp", b"new")
    staged = stage_temporary(place + b"/t", place + b"/tmp", observe(place + b"/tmp"), may_be_held=False)
    with pytest.raises(OutputError, match="a directory stands there"):
        commit(staged)
    assert os.path.isdir(place + b"/t")
    discard(staged.path)
    assert os.listdir(place) == [b"t"]


def test_an_old_file_is_removed_and_a_directory_never(place: bytes) -> None:
    write(place + b"/t", b"old")
    os.mkdir(place + b"/d")
    for name in (b"/t", b"/t", b"/d", b"/no/t"):
        remove_target(place + name)
    assert os.listdir(place) == [b"d"]


def test_read_only_trees_are_deleted_and_links_in_them_not_followed(
    place: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.makedirs(place + b"/tree/a/b")
    os.mkdir(place + b"/outside", 0o755)
    os.symlink(place + b"/outside", place + b"/tree/a/link")
    os.chmod(place + b"/tree/a", 0o500)
    real_rmtree, calls = shutil.rmtree, []

    def first_in_vain(path: bytes, ignore_errors: bool) -> None:
        calls.append(stat.S_IMODE(os.stat(place + b"/tree/a").st_mode))
        if len(calls) > 1:
            real_rmtree(path, ignore_errors)

    # Root may write everywhere, so the first attempt is made to fail as it does for others.
    monkeypatch.setattr(shutil, "rmtree", first_in_vain)
    delete_tree(place + b"/tree")
    assert calls == [0o500, 0o700]
    assert os.listdir(place) == [b"outside"]
    assert stat.S_IMODE(os.stat(place + b"/outside").st_mode) == 0o755
