"""The command line of a dofile."""

import subprocess
from pathlib import Path

import pytest

from redod.jobs.command import CommandError, Flags, dofile_command

ARGUMENTS = (b"t", b"t", b"t.tmp")


def command(directory: Path, text: bytes, name: bytes = b"t.do", flags: Flags = Flags()) -> tuple[bytes, ...]:  # noqa: B008 - immutable
    (directory / name.decode()).write_bytes(text)
    return dofile_command(bytes(directory), name, ARGUMENTS, flags)


@pytest.mark.parametrize("text", [b"", b"echo hi\n", b"echo no newline", b"# ! not one\n", b"#!\n", b"#! \n"])
def test_a_plain_script_is_run_by_sh_that_stops_at_errors(tmp_path: Path, text: bytes) -> None:
    assert command(tmp_path, text) == (b"sh", b"-e", b"t.do", *ARGUMENTS)


@pytest.mark.parametrize(
    ("flags", "option"),
    [(Flags(trace=True), b"-ex"), (Flags(verbose=True), b"-ev"), (Flags(trace=True, verbose=True), b"-evx")],
)
def test_sh_is_asked_to_show_what_it_does(tmp_path: Path, flags: Flags, option: bytes) -> None:
    assert command(tmp_path, b":\n", flags=flags)[:2] == (b"sh", option)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"#!/bin/sh", (b"/bin/sh",)),
        (b"#! /bin/sh", (b"/bin/sh",)),
        (b"#!\t/bin/sh  -e\t-u ", (b"/bin/sh", b"-e", b"-u")),
        (b"#!/usr/bin/env python3", (b"/usr/bin/env", b"python3")),
        (b"#!env -S python3 -u", (b"env", b"-S", b"python3", b"-u")),
        (b"#!/bin/sh\r", (b"/bin/sh",)),
        (b"#!/opt/na\xffme", (b"/opt/na\xffme",)),
    ],
)
def test_the_first_line_names_the_interpreter(tmp_path: Path, line: bytes, words: tuple[bytes, ...]) -> None:
    assert command(tmp_path, line + b"\n\0\n", flags=Flags(trace=True)) == (*words, b"t.do", *ARGUMENTS)


def test_an_execute_bit_without_a_first_line_still_means_sh(tmp_path: Path) -> None:
    (tmp_path / "t.do").write_bytes(b":\n")
    (tmp_path / "t.do").chmod(0o755)
    assert dofile_command(bytes(tmp_path), b"t.do", ARGUMENTS)[0] == b"sh"


@pytest.mark.parametrize("name", [b"-x.do", b"+x.do", b"--.do", b"a b'.do"])
@pytest.mark.parametrize("first_line", [b"", b"#!/bin/bash\n"])
def test_a_dofile_with_an_odd_name_is_run(tmp_path: Path, name: bytes, first_line: bytes) -> None:
    argv = command(tmp_path, first_line + b'echo "$1"\n', name)
    assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True).stdout == b"t\n"


@pytest.mark.parametrize("text", [b"\x7fELF\0\0\n", b"#!/bin/sh\0\n", b"#!/bin/sh -" + b"x" * 5000])
def test_what_is_not_a_script_is_a_clear_error(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(CommandError, match=r"t\.do"):
        command(tmp_path, text)


def test_a_dofile_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="removed"):
        dofile_command(bytes(tmp_path), b"gone.do", ARGUMENTS)
    (tmp_path / "d.do").mkdir()
    with pytest.raises(CommandError, match="directory"):
        dofile_command(bytes(tmp_path), b"d.do", ARGUMENTS)
