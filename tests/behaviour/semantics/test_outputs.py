"""What a script may make, and how it becomes the target."""

import os
import stat

import pytest

from tests.behaviour.project import Project


def names(project: Project) -> set[str]:
    """What is in the project's directory."""
    return {entry.name for entry in project.path.iterdir()} - {".redo"}


def mode(project: Project, name: str) -> int:
    return stat.S_IMODE((project.path / name).lstat().st_mode)


def test_what_a_script_prints_becomes_the_target(project: Project) -> None:
    project.write("x.do", "printf 'a\\0b'")
    project.redo("x")
    assert (project.path / "x").read_bytes() == b"a\0b"


def test_a_large_output_becomes_the_target_whole(native_project: Project) -> None:
    native_project.write("x.do", "head -c 3000000 /dev/zero")
    native_project.redo("x")
    assert (native_project.path / "x").read_bytes() == bytes(3000000)


def test_the_file_made_under_the_temporary_name_becomes_the_target(project: Project) -> None:
    project.write("x.do", "echo made >$3")
    project.redo("x")
    assert project.read("x") == "made\n"
    assert names(project) == {"x", "x.do"}


def test_an_empty_file_under_the_temporary_name_becomes_the_target(native_project: Project) -> None:
    native_project.write("x.do", ": >$3")
    native_project.redo("x")
    assert native_project.read("x") == ""


def test_a_script_that_makes_nothing_counts_as_built(project: Project) -> None:
    project.write("x.do", "echo ran >&2")
    assert project.redo("x") == ["x"]
    assert not (project.path / "x").exists()
    assert project.redo("x") == []


def test_the_old_file_goes_when_the_script_makes_none(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; if test -s y; then echo made; fi")
    native_project.write("y", "yes")
    native_project.redo("x")
    assert native_project.read("x") == "made\n"
    native_project.write("y", "")
    native_project.redo("x")
    assert names(native_project) == {"x.do", "y"}


def test_a_directory_stays_when_the_script_makes_nothing(native_project: Project) -> None:
    native_project.write("x.do", "mkdir -p x; echo new >x/made")
    native_project.write("x/mine", "old")
    assert native_project.redo("x") == ["x"]
    assert native_project.read("x/mine") == "old"
    assert native_project.read("x/made") == "new\n"
    assert native_project.redo("x") == []


@pytest.mark.parametrize("script", ["echo made", "echo made >$3"])
def test_the_callers_umask_applies_to_the_target(project: Project, script: str) -> None:
    project.write("x.do", script)
    project.run("sh", "-c", "umask 027; redo x", check=True)
    assert mode(project, "x") == 0o640


def test_the_mode_that_a_script_gives_is_kept(native_project: Project) -> None:
    native_project.write("x.do", "echo made >$3; chmod 751 $3")
    native_project.redo("x")
    assert mode(native_project, "x") == 0o751


def test_a_directory_can_be_a_target_and_is_replaced_whole(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; mkdir $3; cat y >$3/$(cat y)")
    native_project.write("y", "one")
    native_project.redo("x")
    native_project.write("y", "two")
    native_project.redo("x")
    assert [entry.name for entry in (native_project.path / "x").iterdir()] == ["two"]
    assert native_project.redo("x") == []
    assert names(native_project) == {"x", "x.do", "y"}


def test_a_directory_can_take_the_place_of_a_file_that_was_the_target(native_project: Project) -> None:
    native_project.write("x.do", "echo file")
    native_project.redo("x")
    native_project.write("x.do", "mkdir $3; echo inside >$3/y")
    native_project.redo("x")
    assert native_project.read("x/y") == "inside\n"
    assert names(native_project) == {"x", "x.do"}


def test_a_file_does_not_take_the_place_of_a_directory(native_project: Project) -> None:
    native_project.write("x.do", "echo file >$3")
    native_project.write("x/mine", "kept")
    result = native_project.run("redo", "x")
    assert result.returncode == 1
    assert b"redo  x (exit 209)\n" in result.stderr
    assert native_project.read("x/mine") == "kept"
    assert names(native_project) == {"x", "x.do"}


def test_a_symbolic_link_can_be_a_target_and_is_not_followed(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; ln -s $(cat y) $3")
    native_project.write("y", "one")
    native_project.write("one", "first")
    (native_project.path / "two").mkdir()
    native_project.redo("x")
    native_project.write("y", "two")
    native_project.redo("x")
    assert os.readlink(native_project.path / "x") == "two"
    assert native_project.redo("x") == []
    native_project.write("y", "nowhere")
    native_project.redo("x")
    assert os.readlink(native_project.path / "x") == "nowhere"
    assert native_project.read("one") == "first"
    assert native_project.redo("x") == []


def test_a_hard_link_to_a_source_can_be_a_target(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; ln y $3")
    native_project.write("y", "one")
    assert native_project.redo("x") == ["x"]
    assert native_project.redo("x") == []
    assert (native_project.path / "x").samefile(native_project.path / "y")


def test_a_hard_link_to_a_target_does_not_make_that_one_out_of_date(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; ln y $3")
    native_project.write("y.do", "echo y")
    assert native_project.redo("x") == ["x", "y"]
    assert native_project.redo("x") == []


def test_one_script_may_make_two_files(native_project: Project) -> None:
    native_project.write("x.do", "echo other >x.other; echo made")
    native_project.write("use.do", "redo-ifchange x; cat x x.other")
    native_project.redo("use")
    assert native_project.read("use") == "made\nother\n"
    assert native_project.redo("use") == []


def test_a_background_process_cannot_change_a_committed_target(native_project: Project) -> None:
    os.mkfifo(native_project.path / "go")
    os.mkfifo(native_project.path / "done")
    close = 'for n in $(ls /proc/self/fd); do [ "$n" -gt 2 ] && eval "exec $n>&-"; done'
    native_project.write(
        "x.do", f"#!/bin/bash\necho made\n(exec 2>/dev/null; {close}; read x <go; echo late; echo >done) &\n"
    )
    native_project.redo("x")
    (native_project.path / "go").write_text("\n")
    (native_project.path / "done").read_text()
    assert native_project.read("x") == "made\n"


BROKEN = {
    "fails": ("echo new >$3; exit 7", 7, b""),
    "both outputs": ("echo new; echo new >$3", 207, b"use one of them"),
    "both outputs, the file empty": ("echo new; : >$3", 207, b"use one of them"),
    "writes its target": ("echo new >$1", 206, b"write to $3 instead"),
    "appends to its target": ("echo new >>$1", 206, b"write to $3 instead"),
    "replaces its target": ("echo new >$3; mv $3 $1", 206, b"write to $3 instead"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_script_that_breaks_a_rule_fails_with_advice_and_leaves_nothing_behind(project: Project, broken: str) -> None:
    script, status, advice = BROKEN[broken]
    project.write("x.do", script)
    result = project.run("redo", "x")
    assert result.returncode == 1
    assert f"redo  x (exit {status})\n".encode() in result.stderr
    assert advice in result.stderr
    assert not [name for name in names(project) if name.endswith(".tmp")]


@pytest.mark.parametrize("broken", ["fails", "both outputs", "both outputs, the file empty"])
def test_the_old_target_stays_when_a_build_fails(native_project: Project, broken: str) -> None:
    native_project.write("x.do", "echo old")
    native_project.redo("x")
    native_project.write("x.do", BROKEN[broken][0])
    assert native_project.run("redo", "x").returncode == 1
    assert native_project.read("x") == "old\n"
    assert names(native_project) == {"x", "x.do"}


def test_a_target_that_its_script_wrote_itself_is_built_again_once_the_script_is_mended(
    native_project: Project,
) -> None:
    native_project.write("x.do", "echo new >$1")
    assert native_project.run("redo", "x").returncode == 1
    native_project.write("x.do", "echo right >$3")
    assert native_project.redo("x") == ["x"]
    assert native_project.read("x") == "right\n"


@pytest.mark.parametrize("script", ["echo made", "ln -s y $3 2>/dev/null || echo made"])
def test_a_target_in_a_directory_that_does_not_exist_fails_with_209_and_says_so(project: Project, script: str) -> None:
    project.write("default.do", script)
    result = project.run("redo", "no/where/x")
    assert result.returncode == 1
    assert b"redo  no/where/x (exit 209)\n" in result.stderr
    assert b"does not exist" in result.stderr
    assert names(project) == {"default.do"}


def test_a_script_may_remove_its_old_target_first(native_project: Project) -> None:
    native_project.write("x.do", "rm -f $1; echo made >$3")
    for _ in range(2):
        native_project.run("redo", "x", check=True)
        assert native_project.read("x") == "made\n"


def test_a_script_may_fill_a_directory_in_place(native_project: Project) -> None:
    native_project.write("x.do", "mkdir -p $1; echo made >$1/y")
    for _ in range(2):
        native_project.run("redo", "x", check=True)
        assert native_project.read("x/y") == "made\n"


def test_a_directory_of_sources_is_not_replaced_by_one_that_a_script_makes(native_project: Project) -> None:
    native_project.write("x/mine", "by hand")
    native_project.write("use.do", "redo-ifchange x/mine; cat x/mine")
    native_project.redo("use")
    native_project.write("x.do", "mkdir $3; echo made >$3/y")
    result = native_project.run("redo", "x")
    assert result.returncode == 1
    assert b"redo  x (exit 209)\n" in result.stderr
    assert b"x/mine" in result.stderr
    assert native_project.read("x/mine") == "by hand"


def test_a_directory_in_which_other_targets_are_is_not_replaced(native_project: Project) -> None:
    native_project.write("x.do", "mkdir $3; echo made >$3/y")
    native_project.redo("x")
    native_project.write("default.o.do", "redo-ifchange x; echo object")
    native_project.redo("x/y.o")
    result = native_project.run("redo", "x")
    assert result.returncode == 1
    assert b"redo  x (exit 209)\n" in result.stderr
    assert b"x/y.o" in result.stderr
    assert native_project.read("x/y.o") == "object\n"


def test_a_directory_whose_files_others_depend_on_can_be_made_again(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; mkdir $3; cat y >$3/y")
    native_project.write("y", "one")
    native_project.write("use.do", "redo-ifchange x; redo-ifchange x/y; cat x/y")
    native_project.redo("use")
    native_project.write("y", "three")
    assert native_project.redo("use") == ["use", "x"]
    assert native_project.read("use") == "three"
