"""The journal of what was put in place."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redod.store.made import Entry, Journal, Mark, Print, _line, _parse

A = Entry(Print(1_700_000_000_000_000_001, 5, 77), b"a")
B = Entry(Print(-1, 0, 2**64 - 1), b"sp ace\n\\n\\\xff")
ALL = Mark(0, 0)


def journal(directory: Path) -> Journal:
    return Journal(os.fsencode(directory / "made"))


def test_lines_are_read_back_in_order(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    for entry in (A, B, A):
        opened.append(entry.name, entry.file)
    opened.close()
    again = journal(tmp_path)
    assert again.entries(ALL) == [A, B, A]
    assert again.generation == opened.generation
    again.close()


@given(st.binary(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**64 - 1))
def test_every_name_stays_one_line(name: bytes, mtime_ns: int, size: int, inode: int) -> None:
    entry = Entry(Print(mtime_ns, size, inode), name)
    line = _line(*entry)
    assert line.count(b"\n") == 1
    assert _parse(line[:-1]) == entry


def test_a_mark_tells_new_lines_from_old_ones(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    opened.append(A.name, A.file)
    mark = Mark(opened.generation, opened.length)
    opened.append(B.name, B.file)
    assert opened.entries(mark) == [B]
    opened.close()


def test_a_mark_of_another_journal_hides_nothing(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    opened.append(A.name, A.file)
    assert opened.entries(Mark(opened.generation + 1, opened.length)) == [A]
    opened.close()


def test_a_journal_made_again_is_another_one(tmp_path: Path) -> None:
    first = journal(tmp_path)
    first.close()
    (tmp_path / "made").unlink()
    second = journal(tmp_path)
    assert second.generation != first.generation
    second.close()


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    opened.append(A.name, A.file)
    opened.append(B.name, B.file)
    opened.close()
    path = tmp_path / "made"
    os.truncate(path, path.stat().st_size - 3)
    again = journal(tmp_path)
    again.append(A.name, A.file)
    assert again.entries(ALL) == [A, A]
    again.close()


@pytest.mark.parametrize("content", [b"garbage\n", b"\0" * 4096, b"redod made 2 5\n", b"redod made 1 x\n", b"\n\n"])
def test_a_damaged_head_leaves_the_lines(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "made").write_bytes(content + b"\n" + _line(*A) + b"1 2 x y\n" + _line(*B))
    opened = journal(tmp_path)
    assert opened.generation == 0
    assert opened.entries(Mark(0, opened.length)) == [A, B]
    opened.close()


def test_replacing_keeps_the_tail_and_starts_a_generation(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    opened.append(A.name, A.file)
    before = opened.generation
    start = opened.append(B.name, B.file)
    kept = opened.replace([A, A], start)
    assert opened.generation != before
    assert opened.entries(Mark(opened.generation, kept)) == [B]
    opened.append(A.name, A.file)
    assert opened.entries(ALL) == [A, A, B, A]
    opened.close()
    again = journal(tmp_path)
    assert again.entries(ALL) == [A, A, B, A]
    assert again.generation == opened.generation
    again.close()


def test_a_line_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    offset = opened.append(A.name, A.file)
    assert (tmp_path / "made").read_bytes()[offset:] == b"1700000000000000001 5 77 a\n"
    opened.close()
