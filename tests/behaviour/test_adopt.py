"""When nothing tells any more which files redo has built: they are counted, and `redo --adopt` takes them back."""

import shutil

import pytest

from tests.behaviour.events import Fifo, finish
from tests.behaviour.project import Project


def lose_everything(project: Project) -> None:
    project.run("redod", "stop", check=True)
    shutil.rmtree(project.path / ".redo")


def make_tree(project: Project) -> None:
    project.write("all.do", "redo-ifchange a.o sub/b.o\n")
    project.write("default.o.do", "redo-ifchange $2.c; cat $2.c\n")
    project.write("a.c", "a\n")
    project.write("sub/b.c", "b\n")
    project.write("sub/notes.txt", "mine\n")
    project.redo()


def test_a_lost_store_is_told_with_the_number_of_files_that_may_be_built(project: Project) -> None:
    make_tree(project)
    lose_everything(project)
    result = project.run("redo-ifchange", "all", check=True)
    assert b"dofiles match 2 of the files there" in result.stderr
    assert b"redo --adopt" in result.stderr
    project.write("a.c", "new\n")
    again = project.run("redo-ifchange", "all", check=True)
    assert b"adopt" not in again.stderr, "it is said once"
    assert project.read("a.o") == "a\n", "a file that may be the user's is left alone"


@pytest.mark.parametrize("command", ["redo", "redo-ifchange"])
def test_a_lost_store_is_told_when_all_that_is_asked_for_exists(project: Project, command: str) -> None:
    """No store is made for what may be sources, so nobody is told by one."""
    make_tree(project)
    lose_everything(project)
    result = project.run(command, "a.o", "sub/b.o", "a.c")
    assert result.stderr.count(b"dofiles match 2 of the files there") == 1
    assert b"redo --adopt" in result.stderr
    assert b"dofiles match" not in project.run(command, "a.c").stderr


@pytest.mark.parametrize("is_opened", [False, True])
def test_adopted_files_are_targets_and_out_of_date(project: Project, is_opened: bool) -> None:
    make_tree(project)
    lose_everything(project)
    if is_opened:
        project.redo()
    result = project.run("redo", "--adopt", check=True)
    assert result.stdout == (
        b"adopted  a.o\nadopted  sub/b.o\n2 files are redo's now, and out of date: the next build makes them again.\n"
    )
    assert project.run("redo-ood").stdout == (b"a.o\nall\nsub/b.o\n" if is_opened else b"a.o\nsub/b.o\n")
    project.write("a.c", "new\n")
    assert sorted(project.redo()) == ["a.o", "all", "sub/b.o"]
    assert project.read("a.o") == "new\n"
    assert project.read("sub/notes.txt") == "mine\n"
    assert project.redo() == []
    assert project.run("redo", "--adopt", check=True).stdout.startswith(b"0 files")


def test_adopted_files_stay_ours_when_the_database_is_lost_again(project: Project) -> None:
    make_tree(project)
    lose_everything(project)
    project.run("redo", "--adopt", check=True)
    project.kill_server()
    for left in (project.path / ".redo").glob("redod.sqlite3*"):
        left.unlink()
    assert sorted(project.redo()) == ["a.o", "all", "sub/b.o"]


def test_what_only_default_do_matches_is_adopted_by_name_alone(project: Project) -> None:
    """It matches every source."""
    project.write("default.do", "echo $1\n")
    project.write("made", "made\n")
    project.write("source", "mine\n")
    result = project.run("redo", "--adopt", check=True)
    assert b"0 files are redo's now" in result.stdout
    assert b"made source\n" in result.stdout
    assert b"adopted  made\n" in project.run("redo", "--adopt", "made", check=True).stdout
    assert project.redo("made", "source") == ["made"]
    assert project.read("source") == "mine\n"


def test_a_name_that_no_dofile_matches_is_not_adopted(project: Project) -> None:
    project.write("notes", "mine\n")
    result = project.run("redo", "--adopt", "notes")
    assert result.returncode == 1
    assert b"no dofile matches it" in result.stderr


def test_an_edited_target_stays_the_users(project: Project) -> None:
    make_tree(project)
    project.write("a.o", "by hand\n")
    project.redo()
    assert project.run("redo", "--adopt", check=True).stdout.startswith(b"0 files")
    project.write("a.c", "new\n")
    project.redo()
    assert project.read("a.o") == "by hand\n"


def test_another_workspace_below_is_left_alone(project: Project) -> None:
    make_tree(project)
    lose_everything(project)
    (project.path / "sub/.redo").mkdir()
    assert b"adopted  a.o\n1 files" in project.run("redo", "--adopt", check=True).stdout


def test_nothing_is_adopted_under_a_build(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo $$ >pids; read y <go; echo x\n")
    project.write("y.do", "echo y\n")
    project.write("y", "y\n")
    building = project.start("redo-ifchange", "x")
    pids.receive()
    refused = project.run("redo", "--adopt")
    assert refused.returncode == 1
    assert b"something is being built" in refused.stderr
    go.send()
    finish(building)
