"""Which script makes a target, what it is called with, and what runs it."""

import re
import sys

import pytest

from tests.behaviour.project import Project

CANDIDATES = [
    ("dir/foo.a.b.do", "foo.a.b", "foo.a.b"),
    ("dir/default.a.b.do", "foo.a.b", "foo"),
    ("dir/default.b.do", "foo.a.b", "foo.a"),
    ("dir/default.do", "foo.a.b", "foo.a.b"),
    ("default.a.b.do", "dir/foo.a.b", "dir/foo"),
    ("default.b.do", "dir/foo.a.b", "dir/foo.a"),
    ("default.do", "dir/foo.a.b", "dir/foo.a.b"),
    ("../default.b.do", "project/dir/foo.a.b", "project/dir/foo.a"),
]
"""The names in the order of the search, each with the `$1` and `$2` that it is called with."""
SHOW_E = "case $- in *e*) echo stops >&2;; *) echo goes on >&2;; esac\n"
"""Tells whether `sh -e` runs the script."""


def test_the_first_name_of_the_search_runs_with_its_arguments_in_its_directory(native_project: Project) -> None:
    for dofile, _, _ in CANDIDATES:
        native_project.write(dofile, f"printf '%s %s %s %s' {dofile} $1 $2 $PWD")
    for dofile, target, stem in CANDIDATES:
        native_project.redo("dir/foo.a.b")
        script = native_project.path / dofile
        directory = script.parent.resolve()
        assert native_project.read("dir/foo.a.b") == f"{dofile} {target} {stem} {directory}"
        script.unlink()


def test_a_dofile_of_the_exact_name_is_not_looked_for_in_parent_directories(native_project: Project) -> None:
    native_project.write("foo.do", "echo wrong")
    native_project.write("sub/other", "")
    assert native_project.run("redo", "sub/foo").returncode == 1


def test_a_directory_with_the_name_of_a_dofile_is_passed_over(native_project: Project) -> None:
    (native_project.path / "x.do").mkdir()
    native_project.write("default.do", "echo default")
    native_project.redo("x")
    assert native_project.read("x") == "default\n"


def test_a_dofile_may_be_a_symbolic_link(native_project: Project) -> None:
    native_project.write("elsewhere/script", "echo $PWD")
    (native_project.path / "x.do").symlink_to("elsewhere/script")
    native_project.redo("x")
    assert native_project.read("x") == f"{native_project.path}\n"


def test_a_dofile_may_be_a_target(native_project: Project) -> None:
    native_project.write("x.do.do", 'redo-ifchange text; echo "echo $(cat text)"')
    native_project.write("text", "one")
    native_project.redo("x.do")
    assert native_project.redo("x") == ["x"]
    native_project.write("text", "three")
    assert native_project.redo("x") == ["x.do", "x"]
    assert native_project.read("x") == "three\n"


def test_the_temporary_name_begins_with_the_target_and_differs_in_each_run(project: Project) -> None:
    project.write("default.do", 'test ! -e "$3"; echo "$3" >&2; echo made >$3')
    (project.path / "sub.d").mkdir()
    names = [project.run("redo", "sub.d/x", check=True).stderr.split()[-1] for _ in range(2)]
    assert all(re.fullmatch(rb"sub\.d/x\.\w{8}\.redo\.tmp", name) for name in names)
    assert names[0] != names[1]


def test_the_targets_directory_need_not_exist_before_the_script_runs(native_project: Project) -> None:
    native_project.write("default.do", 'mkdir -p "${1%/*}"; echo made >$3')
    native_project.redo("deep/er/x")
    assert native_project.read("deep/er/x") == "made\n"


def test_a_script_that_writes_to_stdout_may_make_the_targets_directory(native_project: Project) -> None:
    native_project.write("default.do", 'mkdir -p "${1%/*}"; echo made')
    native_project.redo("deep/er/x")
    assert native_project.read("deep/er/x") == "made\n"


def test_files_whose_names_begin_with_the_temporary_name_are_removed(native_project: Project) -> None:
    native_project.write("x.do", "echo a >$3.d; mkdir $3.dir; echo b >$3.dir/file; echo c >$3; echo d >x.kept")
    native_project.redo("x")
    assert {entry.name for entry in native_project.path.iterdir()} == {".redo", "x", "x.do", "x.kept"}


def test_a_script_stops_at_the_first_command_that_fails(project: Project) -> None:
    project.write("x.do", "false\necho went on >&2\n")
    result = project.run("redo", "x")
    assert result.returncode == 1
    assert b"went on" not in result.stderr
    assert b"redo  x (exit 1)\n" in result.stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", b"stops"),
        ("#!/bin/sh", b"goes on"),
        ("#!/bin/sh -e", b"stops"),
        ("#! /bin/sh", b"goes on"),
        ("#!/usr/bin/env sh", b"goes on"),
        ("#!env sh", b"goes on"),
        ("#!sh", b"goes on"),
    ],
)
@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_the_first_line_says_what_runs_the_script(
    native_project: Project, line: str, expected: bytes, mode: int
) -> None:
    native_project.write("x.do", f"{line}\n{SHOW_E}").chmod(mode)
    assert expected in native_project.run("redo", "x", check=True).stderr


def test_an_interpreter_other_than_sh_gets_the_same_arguments(native_project: Project) -> None:
    native_project.write("default.b.do", f"#!{sys.executable}\nimport sys; print(*sys.argv[:3])")
    native_project.redo("x.b")
    assert native_project.read("x.b") == "default.b.do x.b x\n"


def test_an_interpreter_that_does_not_exist_fails_the_target_with_127(native_project: Project) -> None:
    native_project.write("x.do", "#!/no/such/interpreter\n")
    result = native_project.run("redo", "x")
    assert result.returncode == 1
    assert b"cannot start /no/such/interpreter: not found" in result.stderr
    assert b"redo  x (exit 127)\n" in result.stderr


def test_a_dofile_that_is_not_a_script_fails_its_target_with_a_message(native_project: Project) -> None:
    native_project.write("x.do", b"\x7fELF\0\0\0\n")
    result = native_project.run("redo", "x")
    assert result.returncode == 1
    assert b"is not a script" in result.stderr


def test_the_standard_input_of_a_script_is_empty(project: Project) -> None:
    project.write("x.do", "readlink /proc/self/fd/0; cat")
    project.run("redo", "x", input=b"not for the script", check=True)
    assert project.read("x") == "/dev/null\n"


def test_a_failed_script_is_shown_with_its_status(project: Project) -> None:
    project.write("x.do", "exit 42")
    result = project.run("redo", "x")
    assert result.returncode == 1
    assert b"redo  x (exit 42)\n" in result.stderr


def test_a_script_that_is_killed_is_shown_with_the_signal(native_project: Project) -> None:
    native_project.write("x.do", "kill -KILL $$")
    result = native_project.run("redo", "x")
    assert result.returncode == 1
    assert b"killed by signal 9" in result.stderr
    assert b"redo  x (signal 9)\n" in result.stderr or b"redo  x (signal SIGKILL)\n" in result.stderr


def test_the_status_of_the_script_counts_not_that_of_what_it_leaves_behind(native_project: Project) -> None:
    native_project.write("x.do", "(exit 3) & echo made")
    native_project.redo("x")
    assert native_project.read("x") == "made\n"


def test_a_script_that_has_closed_its_descriptors_above_2_can_ask_for_targets(native_project: Project) -> None:
    native_project.write("x.do", "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-\nunset MAKEFLAGS\nredo-ifchange y\ncat y")
    native_project.write("y.do", "echo y")
    native_project.redo("x")
    assert native_project.read("x") == "y\n"
