"""`redo-affected --build`: what an editor calls when a file is saved."""

import shutil
from pathlib import Path

import pytest

from tests.behaviour.project import CLIENTS, Project


@pytest.fixture
def bindir(installs: dict[str, Path]) -> Path:
    """The client has no part in this."""
    return installs[CLIENTS[0]]


@pytest.fixture
def tree(project: Project) -> Project:
    """Two programs of two sources each, one source in common; install copies one of them."""
    project.write(
        "default.o.do", "redo-ifchange $2.c\ncat $2.c >&2\nif grep -q error $2.c; then exit 1; fi\ncat $2.c\n"
    )
    project.write("one.do", "redo-ifchange a.o common.o\ncat a.o common.o\n")
    project.write("two.do", "redo-ifchange b.o common.o\ncat b.o common.o\n")
    project.write("install.do", "redo-ifchange one\necho installed >>count\n")
    for name in ("a", "b", "common"):
        project.write(f"{name}.c", f"{name}\n")
    return project


def save(project: Project, name: str, text: str, *options: str) -> list[str]:
    project.write(name, text)
    return sorted(project.jobs(project.run("redo-affected", "--build", *options, name, check=True)))


def test_the_goals_that_depend_on_the_saved_file_are_built(tree: Project) -> None:
    tree.redo("one", "two")
    assert save(tree, "a.c", "new a\n") == ["a.o", "one"]
    assert save(tree, "common.c", "new\n") == ["common.o", "one", "two"]
    assert save(tree, "one.do", "redo-ifchange a.o\ncat a.o\n") == ["one"]
    assert save(tree, "common.c", "newer\n") == ["common.o", "two"]


def test_what_was_never_asked_for_by_redo_ifchange_is_not_built(tree: Project) -> None:
    tree.run("redo", "install", check=True)
    tree.redo("two")
    assert save(tree, "a.c", "new a\n") == []
    assert save(tree, "common.c", "new\n") == ["common.o", "two"]
    assert tree.read("count") == "installed\n"
    assert tree.redo("one") == ["one", "a.o"]
    assert save(tree, "a.c", "newer a\n") == ["a.o", "one"]


def test_goals_named_in_redod_toml_are_built(tree: Project) -> None:
    tree.run("redo", "one", "two", check=True)
    tree.write("redod.toml", 'goals = ["two"]\n')
    assert save(tree, "common.c", "new\n") == ["common.o", "two"]
    tree.write("redod.toml", "goals = 2\n")
    result = tree.run("redo-affected", "--build", "common.c")
    assert result.returncode == 2
    assert b"goals is 2" in result.stderr


def test_goals_outlive_the_server(tree: Project) -> None:
    tree.redo("one")
    tree.run("redod", "stop", check=True)
    assert save(tree, "a.c", "new\n") == ["a.o", "one"]


def test_goals_outlive_the_server_though_their_file_was_removed_under_it(tree: Project) -> None:
    tree.redo("one")
    shutil.rmtree(tree.path / ".redo")
    assert tree.redo("one") == []
    tree.run("redod", "stop", check=True)
    assert save(tree, "a.c", "new\n") == ["a.o", "one"]


def test_a_file_that_no_goal_depends_on_builds_nothing_and_says_so(tree: Project) -> None:
    tree.redo("one")
    tree.write("unrelated", "")
    result = tree.run("redo-affected", "--build", "unrelated", check=True)
    assert b"no goal depends on unrelated" in result.stderr
    assert tree.run("redo-affected", "--build", "--quiet", "unrelated", check=True).stderr == b""


def test_quiet_shows_what_tools_print_and_nothing_else_and_the_status_tells_of_failures(tree: Project) -> None:
    tree.redo("one")
    tree.write("a.c", "a.c:1:2: error: no\n")
    result = tree.run("redo-affected", "--build", "--quiet", "a.c")
    assert result.returncode == 1
    assert result.stderr == b"a.c:1:2: error: no\n"
    tree.write("a.c", "mended\n")
    result = tree.run("redo-affected", "--build", "--quiet", "a.c", check=True)
    assert result.stderr == b"mended\n"


def test_a_file_is_saved_under_all_its_names(tree: Project) -> None:
    (tree.path / "link.c").symlink_to("a.c")
    tree.run("redo-ifchange", "a.o", "link.o", check=True)
    assert save(tree, "a.c", "under its own\n") == ["a.o", "link.o"]
    assert save(tree, "link.c", "through the link\n") == ["a.o", "link.o"]


def test_a_name_that_nothing_can_depend_on_keeps_no_other_from_being_built(tree: Project) -> None:
    tree.redo("one")
    tree.write("a.c", "new\n")
    result = tree.run("redo-affected", "--build", "odd\nname", "a.c", check=True)
    assert sorted(tree.jobs(result)) == ["a.o", "one"]


def test_in_a_script_it_is_refused(tree: Project) -> None:
    tree.write("x.do", "redo-affected --build a.c\n")
    result = tree.run("redo", "x")
    assert result.returncode == 1
    assert b"--build is for save hooks" in result.stderr
