"""redo-stamp cuts a rebuild off: dependents run only when the data that it was given differs."""

import pytest

from tests.behaviour.project import Project


@pytest.fixture
def stamped(project: Project) -> Project:
    """x depends on y, which is made from z and stamped with its first line. Built."""
    project.write("x.do", "redo-ifchange y; cat y")
    project.write("y.do", "redo-ifchange z; cat z >$3; head -n1 z | redo-stamp")
    project.write("z", "one\nfirst\n")
    assert project.redo("x") == ["x", "y"]
    return project


def test_an_equal_stamp_keeps_dependents_from_running(stamped: Project) -> None:
    stamped.write("z", "one\nsecond\n")
    assert stamped.redo("x") == ["y"]
    assert stamped.redo("x") == []
    assert stamped.read("y") == "one\nsecond\n"
    assert stamped.read("x") == "one\nfirst\n"


def test_another_stamp_makes_dependents_run(stamped: Project) -> None:
    stamped.write("z", "two\nfirst\n")
    assert stamped.redo("x") == ["y", "x"]
    assert stamped.read("x") == "two\nfirst\n"


def test_a_stamped_target_that_is_deleted_and_comes_out_the_same_is_unchanged(stamped: Project) -> None:
    (stamped.path / "y").unlink()
    assert stamped.redo("x") == ["y"]
    assert stamped.redo("x") == []


def test_a_build_without_redo_stamp_forgets_the_checksum(stamped: Project) -> None:
    stamped.write("y.do", "redo-ifchange z; cat z >$3")
    assert stamped.redo("x") == ["y", "x"]
    stamped.write("z", "one\nsecond\n")
    assert stamped.redo("x") == ["x", "y"]


def test_a_stamp_works_through_several_levels(native_project: Project) -> None:
    native_project.write("top.do", "redo-ifchange x; cat x")
    native_project.write("x.do", "redo-ifchange y; cat y >$3; redo-stamp <$3")
    native_project.write("y.do", "redo-ifchange z; sort z >$3; redo-stamp <$3")
    native_project.write("z", "a\nb\n")
    native_project.redo("top")
    native_project.write("z", "b\na\n")
    assert native_project.redo("top") == ["y"]
    native_project.write("z", "b\na\nc\n")
    assert native_project.redo("top") == ["y", "x", "top"]


def test_always_with_a_stamp_runs_in_each_session_but_not_what_depends_on_it(project: Project) -> None:
    project.write("x.do", "redo-ifchange y; cat y")
    project.write("y.do", "redo-always; cat z >$3; redo-stamp <$3")
    project.write("z", "one")
    project.redo("x")
    assert project.redo("x") == ["y"]
    project.write("z", "two")
    assert project.redo("x") == ["y", "x"]
    assert project.read("x") == "two"


def test_a_stamp_of_nothing_is_a_stamp(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y")
    native_project.write("y.do", "redo-ifchange z; redo-stamp </dev/null")
    native_project.write("z", "one")
    native_project.redo("x")
    native_project.write("z", "other")
    assert native_project.redo("x") == ["y"]


def test_a_large_stamp_is_read_to_its_end(project: Project) -> None:
    project.write("x.do", "redo-ifchange y")
    project.write("y.do", "redo-ifchange z; { head -c 1000000 /dev/zero; cat z; } | redo-stamp")
    project.write("z", "one")
    project.redo("x")
    project.write("z", "two")
    assert project.redo("x") == ["y", "x"]


def test_a_stamped_target_that_fails_makes_its_dependents_fail(stamped: Project) -> None:
    (stamped.path / "z").unlink()
    result = stamped.run("redo-ifchange", "x")
    assert result.returncode == 1
    assert stamped.read("x") == "one\nfirst\n"
    stamped.write("z", "one\nback\n")
    stamped.redo("x")
    assert stamped.redo("x") == []


def test_a_dofile_may_be_stamped(native_project: Project) -> None:
    native_project.write("x.do.do", "redo-ifchange text; cat text >$3; grep -v '^#' text | redo-stamp")
    native_project.write("text", "echo one\n# comment\n")
    native_project.redo("x.do")
    native_project.redo("x")
    native_project.write("text", "echo one\n# another comment\n")
    assert native_project.redo("x") == ["x.do"]
    native_project.write("text", "echo two\n")
    assert native_project.redo("x") == ["x.do", "x"]
    assert native_project.read("x") == "two\n"
