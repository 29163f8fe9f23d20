"""What the classic redo's database says it has built."""

import os
import sqlite3
from pathlib import Path

import pytest

from redod.files.observe import observe
from redod.store.classic import built

SCHEMA = """
create table Schema (version int);
create table Runid (id integer primary key autoincrement);
create table Files (name not null primary key, is_generated int, is_override int, checked_runid int,
    changed_runid int, failed_runid int, stamp, csum);
create table Deps (target int, source int, mode not null, delete_me int, primary key (target, source));
insert into Runid values (1000000000);
insert into Files (name) values ('//ALWAYS');
"""


def stamp_of(path: Path) -> str:
    """As the classic redo writes it: of a link also the referent's, behind a plus sign."""

    def fields(found: os.stat_result) -> str:
        rest = (found.st_size, found.st_ino, found.st_mode, found.st_uid, found.st_gid)
        return "-".join(["%.6f" % found.st_mtime, *map(str, rest)])  # noqa: UP031 (the form that it writes)

    link = f"+{fields(path.stat())}" if path.is_symlink() else ""
    return fields(path.lstat()) + link


def make_database(root: Path, rows: list[tuple[object, ...]], version: int = 2) -> None:
    """`rows`: name, is_generated, is_override, stamp."""
    (root / ".redo").mkdir(exist_ok=True)
    connection = sqlite3.connect(root / ".redo/db.sqlite3")
    connection.execute("pragma journal_mode=wal")
    connection.executescript(SCHEMA)
    connection.execute("insert into Schema values (?)", [version])
    connection.executemany("insert into Files (name, is_generated, is_override, stamp) values (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()


def names(root: Path) -> set[bytes]:
    return {name for _, name in built(os.fsencode(root), observe)}


def test_what_it_built_and_nobody_touched_is_named(tmp_path: Path) -> None:
    for name in ("made", "overridden", "source", "changed", "sub"):
        (tmp_path / name).mkdir() if name == "sub" else (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("made")
    rows: list[tuple[object, ...]] = [
        ("made", 1, 0, stamp_of(tmp_path / "made")),
        ("link", 1, None, stamp_of(tmp_path / "link")),
        ("overridden", 1, 1, stamp_of(tmp_path / "overridden")),
        ("source", 0, 0, stamp_of(tmp_path / "source")),
        ("changed", 1, 0, stamp_of(tmp_path / "changed")),
        ("sub", 1, 0, "dir"),
        ("gone", 1, 0, "0"),
        ("../outside", 1, 0, stamp_of(tmp_path / "made")),
        ("odd", 1, 0, None),
        ("odder", 1, 0, "what-is-this"),
    ]
    (tmp_path / "odder").write_text("")
    (tmp_path / "changed").write_text("by hand, later")
    make_database(tmp_path, rows)
    assert names(tmp_path) == {b"made", b"link"}


@pytest.mark.parametrize("mtime", [1_700_000_000_123_456_789, 1_700_000_000_000_000_500, 999_999_999, 0])
def test_its_times_are_rounded(tmp_path: Path, mtime: int) -> None:
    (tmp_path / "made").write_text("")
    os.utime(tmp_path / "made", ns=(mtime, mtime))
    make_database(tmp_path, [("made", 1, 0, stamp_of(tmp_path / "made"))])
    assert names(tmp_path) == {b"made"}
    os.utime(tmp_path / "made", ns=(mtime, mtime + 10_000))
    assert names(tmp_path) == set()


def test_its_files_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("")
    make_database(tmp_path, [("made", 1, 0, stamp_of(tmp_path / "made"))])
    before = {name: (tmp_path / ".redo" / name).stat() for name in os.listdir(tmp_path / ".redo")}
    names(tmp_path)
    assert {name: (tmp_path / ".redo" / name).stat() for name in os.listdir(tmp_path / ".redo")} == before


@pytest.mark.parametrize("damage", [b"", b"noise " * 1000])
def test_a_database_that_cannot_be_read_names_nothing(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / ".redo").mkdir()
    (tmp_path / ".redo/db.sqlite3").write_bytes(damage)
    assert names(tmp_path) == set()


def test_another_version_of_its_schema_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("")
    make_database(tmp_path, [("made", 1, 0, stamp_of(tmp_path / "made"))], version=1)
    assert names(tmp_path) == set()
