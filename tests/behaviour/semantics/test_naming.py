"""Names are bytes, and one file is one target under whatever spelling."""

import os
from pathlib import Path

import pytest

from tests.behaviour.project import Project

ODD = {
    "a space": b"a b",
    "quotes": b'it\'s "so"',
    "a dollar and a star": b"$x*",
    "a backslash": b"back\\slash",
    "bytes that are not UTF-8": b"caf\xe9\xff",
    "a control character": b"tab\there",
    "dots": b"...x..y",
    "a trailing dot": b"x.",
    "a plus first": b"+x",
    "a hash": b"#x",
    "the longest name": b"n" * 255,
}


def present(project: Project, name: bytes) -> bool:
    return os.path.lexists(bytes(project.path) + b"/" + name)


@pytest.mark.parametrize("kind", ODD)
def test_a_target_may_have_a_name_with(project: Project, kind: str) -> None:
    name = ODD[kind]
    project.write("default.do", 'printf "%s" "$1" >"$3"')
    project.run("redo", name, check=True)
    assert Path(os.fsdecode(bytes(project.path) + b"/" + name)).read_bytes() == name
    assert project.run("redo-ifchange", name, check=True).stderr == b""


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind != "the longest name"])
def test_a_dofile_and_a_dependency_may_have_a_name_with(native_project: Project, kind: str) -> None:
    name = ODD[kind]
    dofile, source = name + b".do", name + b".in"
    base = bytes(native_project.path) + b"/"
    Path(os.fsdecode(base + dofile)).write_text('redo-ifchange "./$1.in"; cat "./$1.in"')
    Path(os.fsdecode(base + source)).write_text("one")
    native_project.run("redo", name, check=True)
    native_project.write(os.fsdecode(source), "two")
    native_project.run("redo-ifchange", name, check=True)
    assert Path(os.fsdecode(base + name)).read_text() == "two"


@pytest.mark.parametrize("command", ["redo", "redo-ifchange"])
def test_a_name_with_a_leading_dash_stands_after_two_dashes(project: Project, command: str) -> None:
    project.write("default.do", "echo made >$3")
    project.run(command, "--", "-x", "-j", check=True)
    assert present(project, b"-x")
    assert present(project, b"-j")


def test_a_dofile_with_a_leading_dash_is_not_taken_for_an_option(native_project: Project) -> None:
    native_project.write("-x.do", 'printf %s "$1"')
    native_project.run("redo", "--", "-x", check=True)
    assert native_project.read("-x") == "-x"


@pytest.mark.parametrize("command", ["redo", "redo-ifchange", "redo-whichdo"])
@pytest.mark.parametrize("name", ["", "two\nlines"])
def test_a_name_that_is_empty_or_has_a_newline_is_an_error_with_status_204(
    project: Project, command: str, name: str
) -> None:
    project.write("default.do", "echo made")
    result = project.run(command, name)
    assert result.returncode == 204
    assert result.stderr.startswith(command.encode() + b": ")
    assert b"Traceback" not in result.stderr
    assert result.stdout == b""


def test_a_bad_name_inside_a_script_fails_its_target(native_project: Project) -> None:
    native_project.write("x.do", 'redo-ifchange ""')
    result = native_project.run("redo", "x")
    assert result.returncode == 1
    assert b"redo  x (exit 204)\n" in result.stderr


SPELLINGS = ["sub/x", "./sub/x", "sub//x", "sub/../sub/x", "link/x", "link/../sub/x", "sub/./x"]


def test_all_spellings_of_a_file_are_one_target_and_built_once(project: Project) -> None:
    project.write("sub/x.do", "echo run >>../runs; echo made")
    (project.path / "link").symlink_to("sub")
    absolute = str(project.path / "sub/x")
    project.run("redo", *SPELLINGS, absolute, check=True)
    assert project.read("runs") == "run\n"
    for spelling in [*SPELLINGS, absolute]:
        assert project.redo(spelling) == []


def test_all_spellings_in_scripts_are_one_target(native_project: Project) -> None:
    native_project.write("sub/x.do", "echo run >>../runs; echo made")
    (native_project.path / "link").symlink_to("sub")
    for number, spelling in enumerate(SPELLINGS):
        native_project.write(f"use{number}.do", f"redo-ifchange {spelling}")
    native_project.run("redo", *[f"use{number}" for number in range(len(SPELLINGS))], check=True)
    assert native_project.read("runs") == "run\n"


def test_a_working_directory_reached_through_a_link_makes_no_other_target(native_project: Project) -> None:
    native_project.write("sub/x.do", "echo made")
    (native_project.path / "link").symlink_to("sub")
    native_project.run("sh", "-c", "cd link && redo x", check=True)
    assert native_project.redo("sub/x") == []


def test_a_path_that_leaves_the_working_directory_is_the_same_target(native_project: Project) -> None:
    native_project.write("x.do", "echo made")
    native_project.write("sub/here", "")
    assert native_project.jobs(native_project.run("redo", "../x", cwd=native_project.path / "sub")) == ["../x"]
    assert native_project.redo("x") == []


def test_a_symbolic_link_as_the_last_component_is_itself_the_target(native_project: Project) -> None:
    native_project.write("real", "source")
    native_project.write("x.do", "redo-ifchange real; ln -s real $3")
    native_project.redo("x")
    assert (native_project.path / "x").is_symlink()
    assert native_project.redo("real") == []
    assert native_project.redo("x") == []


def test_a_changed_referent_of_a_source_link_is_a_change(native_project: Project) -> None:
    native_project.write("real", "one")
    (native_project.path / "link").symlink_to("real")
    native_project.write("x.do", "redo-ifchange link; cat link")
    native_project.redo("x")
    native_project.write("real", "two")
    assert native_project.redo("x") == ["x"]


def test_names_in_messages_are_relative_to_the_callers_directory(native_project: Project) -> None:
    native_project.write("sub/here", "")
    result = native_project.run("redo", "../missing", cwd=native_project.path / "sub")
    assert result.returncode == 1
    assert b"no rule to make ../missing" in result.stderr


def test_the_directory_itself_can_be_a_dependency(native_project: Project) -> None:
    assert native_project.run("redo-ifchange", ".").returncode == 0
    native_project.write("x.do", "redo-ifchange . ..; echo made")
    assert native_project.redo("x") == ["x"]
    assert native_project.redo("x") == []
