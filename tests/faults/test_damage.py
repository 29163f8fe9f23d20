"""A database that is damaged, of another schema or gone, with the journal `made` and without; and another redo's."""

import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.behaviour.project import Project
from tests.unit.test_store_classic import make_database, stamp_of

Damage = Callable[[Path], object]


def another_schema(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def another_programs(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE node(id INTEGER PRIMARY KEY, name TEXT)")
    connection.execute("INSERT INTO node VALUES(1, 'theirs')")
    connection.close()


DAMAGES: dict[str, Damage] = {
    "random bytes": lambda path: path.write_bytes(random.Random(1).randbytes(30_000)),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "no length": lambda path: os.truncate(path, 0),
    "another program's": another_programs,
    "another schema": another_schema,
    "gone": lambda path: path.unlink(),
}


def make_tree(project: Project) -> None:
    project.write("source", "1\n")
    project.write("all.do", "redo-ifchange a b\n")
    for name in ("a", "b"):
        project.write(f"{name}.do", "redo-ifchange source; cat source\n")
    project.redo()
    project.run("redod", "stop", check=True)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_with_its_journal_a_damaged_store_knows_what_is_ours(project: Project, damage: Damage) -> None:
    make_tree(project)
    damage(project.path / ".redo/redod.sqlite3")
    project.write("source", "22\n")
    result = project.run("redo-ifchange", "all", check=True)
    assert b"modified" not in result.stderr
    assert sorted(project.jobs(result)) == ["a", "all", "b"]
    assert (project.read("a"), project.read("b")) == ("22\n", "22\n")
    is_kept = (project.path / ".redo/redod.sqlite3.damaged-1").exists()
    assert (b"2 files are known to be built" in result.stderr) == is_kept
    project.run("redod", "stop", check=True)
    again = project.run("redo-ifchange", "all", check=True)
    assert again.stderr == b""


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_without_its_journal_a_damaged_store_says_so_and_touches_nothing(project: Project, damage: Damage) -> None:
    make_tree(project)
    damage(project.path / ".redo/redod.sqlite3")
    (project.path / ".redo/made").unlink()
    project.write("source", "22\n")
    result = project.run("redo-ifchange", "all", check=True)
    assert b"modified" not in result.stderr
    assert b"dofiles match 2 of the files there (a, ...)" in result.stderr
    assert (project.read("a"), project.read("b")) == ("1\n", "1\n")
    project.run("redo", "--adopt", check=True)
    assert sorted(project.redo()) == ["a", "all", "b"]
    assert (project.read("a"), project.read("b")) == ("22\n", "22\n")


def test_a_foreign_file_in_the_place_of_the_journal_is_replaced(project: Project) -> None:
    make_tree(project)
    (project.path / ".redo/made").write_bytes(b"This is somebody's diary.\n")
    project.write("source", "22\n")
    assert sorted(project.redo()) == ["a", "all", "b"]
    project.kill_server()
    for left in (project.path / ".redo").glob("redod.sqlite3*"):
        left.unlink()
    assert sorted(project.redo()) == ["a", "all", "b"]


def test_what_the_classic_redo_has_built_is_taken_over_once(project: Project) -> None:
    for name in ("a", "b"):
        project.write(f"{name}.do", "redo-ifchange source; cat source\n")
        project.write(name, "old\n")
    project.write("source", "new\n")
    make_database(project.path, [(name, 1, 0, stamp_of(project.path / name)) for name in ("a", "b")])
    theirs = {path.name: path.read_bytes() for path in (project.path / ".redo").iterdir()}
    project.write("b", "by hand, since\n")
    result = project.run("redo-ifchange", "a", "b", check=True)
    assert b"1 files that the classic redo built are taken over" in result.stderr
    assert project.jobs(result) == ["a"]
    assert (project.read("a"), project.read("b")) == ("new\n", "by hand, since\n")
    project.run("redod", "stop", check=True)
    assert project.run("redo-ifchange", "a", "b", check=True).stderr.count(b"taken over") == 0
    assert {name: (project.path / ".redo" / name).read_bytes() for name in theirs} == theirs
