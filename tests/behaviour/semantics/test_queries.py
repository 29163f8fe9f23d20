"""redo-whichdo, redo-targets, redo-sources, redo-ood: what is known, told relative to the working directory."""

from pathlib import Path

import pytest

from tests.behaviour.project import Project


def lines(project: Project, *argv: str, cwd: Path | None = None) -> list[str]:
    return project.run(*argv, cwd=cwd, check=True).stdout.decode().splitlines()


@pytest.fixture
def built(project: Project) -> Project:
    """all needs sub/x, which is made from sub/y; use is phony."""
    project.write("all.do", "redo-ifchange sub/x use")
    project.write("sub/x.do", "redo-ifchange y; cat y")
    project.write("sub/y", "source")
    project.write("use.do", "redo-ifchange sub/x; redo-ifcreate absent")
    project.redo("all")
    return project


def test_whichdo_lists_the_candidates_up_to_the_one_that_exists(project: Project) -> None:
    project.write("default.b.do", "")
    project.write("sub/here", "")
    assert lines(project, "redo-whichdo", "sub/x.a.b") == [
        "sub/x.a.b.do", "sub/default.a.b.do", "sub/default.b.do", "sub/default.do", "default.a.b.do", "default.b.do",
    ]  # fmt: skip


def test_whichdo_is_relative_to_the_working_directory(native_project: Project) -> None:
    native_project.write("default.do", "")
    native_project.write("sub/here", "")
    assert lines(native_project, "redo-whichdo", "x", cwd=native_project.path / "sub") == [
        "x.do", "default.do", "../default.do",
    ]  # fmt: skip


def test_whichdo_without_any_lists_all_candidates_and_fails_with_status_1(project: Project) -> None:
    result = project.run("redo-whichdo", "x.a")
    assert result.returncode == 1
    found = result.stdout.decode().splitlines()
    assert found[:3] == ["x.a.do", "default.a.do", "default.do"]
    assert found[-1] == "../" * len(project.path.resolve().parts[1:]) + "default.do"


@pytest.mark.parametrize("names", [[], ["x", "y"]])
def test_whichdo_takes_exactly_one_name(native_project: Project, names: list[str]) -> None:
    assert native_project.run("redo-whichdo", *names).returncode == 2


def test_targets_lists_what_redo_makes(built: Project) -> None:
    assert sorted(lines(built, "redo-targets")) == ["all", "sub/x", "use"]
    assert sorted(lines(built, "redo-targets", cwd=built.path / "sub")) == ["../all", "../use", "x"]


def test_sources_lists_what_targets_are_made_from(built: Project) -> None:
    assert sorted(lines(built, "redo-sources")) == ["all.do", "sub/x.do", "sub/y", "use.do"]
    assert sorted(lines(built, "redo-sources", cwd=built.path / "sub")) == ["../all.do", "../use.do", "x.do", "y"]


def test_ood_lists_what_is_out_of_date_and_builds_nothing(built: Project) -> None:
    assert lines(built, "redo-ood") == []
    built.write("sub/y", "other")
    for _ in range(2):
        assert sorted(lines(built, "redo-ood")) == ["all", "sub/x", "use"]
    assert built.read("sub/x") == "source"
    assert sorted(lines(built, "redo-ood", cwd=built.path / "sub")) == ["../all", "../use", "x"]
    built.redo("all")
    assert lines(built, "redo-ood") == []


def test_ood_tells_of_what_redo_ifcreate_and_redo_always_make_out_of_date(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifcreate y")
    native_project.write("a.do", "redo-always")
    native_project.redo("x", "a")
    assert lines(native_project, "redo-ood") == ["a"]
    native_project.write("y", "")
    assert lines(native_project, "redo-ood") == ["a", "x"]


def test_ood_takes_what_depends_on_a_stamped_target_for_out_of_date(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y")
    native_project.write("y.do", "redo-ifchange z; redo-stamp <z")
    native_project.write("z", "one")
    native_project.redo("x")
    native_project.write("z", "two")
    assert "y" in lines(native_project, "redo-ood")


def test_an_edited_target_is_listed_as_a_source(built: Project) -> None:
    built.write("sub/x", "edited")
    built.redo("all")
    assert "sub/x" in lines(built, "redo-sources")
    assert "sub/x" not in lines(built, "redo-targets")


def test_names_that_are_not_utf8_are_printed_as_they_are(native_project: Project) -> None:
    native_project.write("default.do", "echo made")
    native_project.run("redo", b"caf\xe9", check=True)
    assert native_project.run("redo-targets", check=True).stdout == b"caf\xe9\n"


def test_the_lists_are_empty_where_nothing_was_built(native_project: Project) -> None:
    for name in ("redo-targets", "redo-sources", "redo-ood"):
        assert lines(native_project, name) == []
    assert list(native_project.path.iterdir()) == []


@pytest.mark.parametrize("name", ["redo-targets", "redo-sources", "redo-ood"])
def test_the_lists_take_no_names(native_project: Project, name: str) -> None:
    assert native_project.run(name, "x").returncode == 2


def test_the_log_of_a_target_is_what_its_script_printed(project: Project) -> None:
    project.write("x.do", "echo first >&2; redo-ifchange y; echo last >&2")
    project.write("y.do", "echo inner >&2")
    project.redo("x")
    assert [line.strip() for line in lines(project, "redo-log", "x")] == ["redo  x", "first", "last"]
    assert [line.strip() for line in lines(project, "redo-log", "-r", "x")] == [
        "redo  x", "first", "redo    y", "inner", "last",
    ]  # fmt: skip


def test_the_recursive_log_shows_what_was_up_to_date_when_asked(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; echo outer >&2")
    native_project.write("y.do", "echo inner >&2")
    native_project.redo("x")
    native_project.run("redo", "x", check=True)
    assert "inner" not in lines(native_project, "redo-log", "-r", "x")
    assert "inner" in lines(native_project, "redo-log", "-r", "-u", "x")


def test_the_log_of_a_name_that_was_never_built_is_an_error(native_project: Project) -> None:
    native_project.write("x.do", "echo made")
    assert native_project.run("redo-log", "x").returncode == 1
