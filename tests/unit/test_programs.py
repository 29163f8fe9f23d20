import os
from pathlib import Path

import pytest

from redod.jobs.programs import Programs


def make_program(directory: Path, name: str = "tool") -> bytes:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text("#!/bin/sh\n")
    (directory / name).chmod(0o755)
    return bytes(directory / name)


def path_of(*directories: Path | bytes) -> dict[bytes, bytes]:
    return {b"PATH": b":".join(map(bytes, directories))}


def test_the_first_executable_file_on_the_path_is_found(tmp_path: Path) -> None:
    (tmp_path / "a" / "tool").mkdir(parents=True)
    make_program(tmp_path / "b")
    (tmp_path / "b" / "tool").chmod(0o644)
    found = make_program(tmp_path / "c")
    make_program(tmp_path / "d")
    path = path_of(*(tmp_path / name for name in "abcd"))
    assert Programs().find(b"tool", path) == found
    assert Programs().find(b"./tool", path) == b"./tool"


def test_each_path_has_its_own_programs(tmp_path: Path) -> None:
    programs = Programs()
    here, there = make_program(tmp_path / "here"), make_program(tmp_path / "there")
    assert programs.find(b"tool", path_of(tmp_path / "here")) == here
    assert programs.find(b"tool", path_of(tmp_path / "there")) == there


def test_what_was_found_by_a_relative_path_is_not_taken_for_another_directorys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs()
    common = make_program(tmp_path / "common")
    (tmp_path / "empty").mkdir()
    make_program(tmp_path / "full")
    path = path_of(b".", tmp_path / "common")
    monkeypatch.chdir(tmp_path / "empty")
    assert programs.find(b"tool", path) == common
    monkeypatch.chdir(tmp_path / "full")
    assert programs.find(b"tool", path) == b"./tool"


def test_what_is_not_there_is_looked_for_again(tmp_path: Path) -> None:
    programs = Programs()
    (tmp_path / "bin").mkdir()
    with pytest.raises(FileNotFoundError):
        programs.find(b"tool", path_of(tmp_path / "bin"))
    made = make_program(tmp_path / "bin")
    assert programs.find(b"tool", path_of(tmp_path / "bin")) == made
    os.unlink(made)
    programs.forget()
    with pytest.raises(FileNotFoundError):
        programs.find(b"tool", path_of(tmp_path / "bin"))
