"""Capture files, with real files."""

import errno
import os
from pathlib import Path

import pytest

from redod.files.captures import Captures, capture_file


def test_the_capture_file_has_no_name_and_can_be_opened_by_its_descriptor(tmp_path: Path) -> None:
    number = capture_file(bytes(tmp_path))
    assert os.listdir(tmp_path) == []
    assert not os.get_inheritable(number)
    Path(f"/proc/self/fd/{number}").write_bytes(b"hello")
    assert os.pread(number, 10, 0) == b"hello"
    os.close(number)


def test_a_capture_file_can_be_had_without_tmpfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = os.open

    def refuse(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no")
        return real_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    number = capture_file(bytes(tmp_path))
    os.write(number, b"x")
    assert os.listdir(tmp_path) == []
    assert os.pread(number, 10, 0) == b"x"
    os.close(number)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_used_again_by_the_next_job_of_its_directory(tmp_path: Path) -> None:
    before, captures = descriptors(), Captures()
    first = captures.take(bytes(tmp_path))
    os.write(first.script, b"hello")
    os.close(first.script)
    captures.give_back(first)
    again = captures.take(bytes(tmp_path))
    assert (again.own, os.pread(again.own, 10, 0)) == (first.own, b"")
    os.close(again.script)
    captures.give_back(again)
    captures.close_all()
    assert descriptors() == before


def test_a_file_that_somebody_has_open_still_is_not_used_again(tmp_path: Path) -> None:
    before, captures = descriptors(), Captures()
    first = captures.take(bytes(tmp_path))
    captures.give_back(first)
    os.write(first.script, b"late")
    second = captures.take(bytes(tmp_path))
    assert os.pread(second.own, 10, 0) == b""
    os.close(first.script)
    os.close(second.script)
    captures.give_back(second)
    captures.close_all()
    assert descriptors() == before


def test_files_of_many_directories_are_not_all_kept(tmp_path: Path) -> None:
    before, captures = descriptors(), Captures()
    for number in range(50):
        directory = tmp_path / str(number)
        directory.mkdir()
        taken = [captures.take(bytes(directory)) for _ in range(4)]
        for capture in taken:
            os.close(capture.script)
            captures.give_back(capture)
    assert descriptors() - before < 70
    captures.close_all()
    assert descriptors() == before
