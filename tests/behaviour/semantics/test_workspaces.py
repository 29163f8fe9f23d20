"""Where `.redo` is made: at the project, and never where redo only reads."""

from pathlib import Path

import pytest

from tests.behaviour.project import Project


def stores(directory: Path) -> list[Path]:
    return sorted(path.parent for path in directory.rglob(".redo"))


def test_a_store_is_made_where_the_command_runs(project: Project) -> None:
    project.write("sub/x.do", "redo-ifchange deep/y; echo made")
    project.write("sub/deep/y.do", "echo y")
    project.redo("sub/x")
    assert stores(project.path.parent) == [project.path]


@pytest.mark.parametrize("marker", [".git", ".hg", "redod.toml"])
def test_a_store_is_made_at_the_top_of_the_project_around_it(native_project: Project, marker: str) -> None:
    native_project.write(marker, "")
    native_project.write("sub/x.do", "echo made")
    native_project.run("redo", "x", cwd=native_project.path / "sub", check=True)
    assert stores(native_project.path) == [native_project.path]


def test_git_is_told_to_ignore_the_store(native_project: Project) -> None:
    native_project.write("x.do", "echo made")
    native_project.redo("x")
    assert native_project.read(".redo/.gitignore") == "*\n"


def test_no_store_is_made_beside_a_source(native_project: Project) -> None:
    header = native_project.write("../elsewhere/header.h", "one")
    native_project.write("x.do", f"redo-ifchange {header} ../elsewhere; cat {header}")
    native_project.redo("x")
    native_project.write("../elsewhere/header.h", "two")
    assert native_project.redo("x") == ["x"]
    assert native_project.run("redo-ifchange", str(header)).returncode == 0
    assert stores(native_project.path.parent) == [native_project.path]


def test_no_store_is_made_for_a_name_that_has_no_dofile(native_project: Project) -> None:
    """A mistyped path must not make a workspace of the directory of all projects."""
    native_project.write("x.do", "redo-ifcreate ../no; redo-ifchange ../mistyped/y || :")
    native_project.redo("x")
    for command in ("redo", "redo-ifchange"):
        for name in ("../y", "../mistyped/y"):
            result = native_project.run(command, name)
            assert b"no rule to make " + name.encode() in result.stderr
    assert stores(native_project.path.parent) == [native_project.path]


def test_a_target_elsewhere_that_is_built_has_a_store_there(native_project: Project) -> None:
    native_project.write("../elsewhere/y.do", "echo y")
    native_project.write("../elsewhere/phony/file", "")
    native_project.write("../elsewhere/phony.do", "echo phony >&2")
    native_project.write("x.do", "redo-ifchange ../elsewhere/y ../elsewhere/phony; cat ../elsewhere/y")
    assert native_project.redo("x") == ["x", "../elsewhere/y", "../elsewhere/phony"]
    assert native_project.redo("x") == []
    assert stores(native_project.path.parent) == [native_project.path.parent / "elsewhere", native_project.path]


def test_a_phony_directory_target_elsewhere_is_recorded_there(native_project: Project) -> None:
    native_project.write("../elsewhere/tests/file", "")
    native_project.write("../elsewhere/tests.do", "echo ran >&2")
    native_project.write("x.do", "redo-ifchange ../elsewhere/tests; echo made")
    assert native_project.redo("x") == ["x", "../elsewhere/tests"]
    assert native_project.redo("x") == []
    assert native_project.path.parent / "elsewhere" in stores(native_project.path.parent)
