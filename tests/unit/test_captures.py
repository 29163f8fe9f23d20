"""Capture files, with real files."""

import errno
import os
from pathlib import Path

import pytest

from redod.files.captures import capture_file


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
