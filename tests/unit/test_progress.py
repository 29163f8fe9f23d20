"""The status line for every width and state."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redod.progress.cells import fit, last_cells, width
from redod.progress.line import Progress, duration, status_line

BUSY = Progress(37, 200, 12.7, ("src/a.o", "src/b.o", "lib/c.o"))
WAITING = BUSY._replace(running=(), waits=("waits for a token",))

PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Co")), max_size=20)
STATES = st.builds(
    Progress,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.floats(0, 10**6),
    st.lists(PRINTABLE, max_size=5).map(tuple),
    st.lists(PRINTABLE, max_size=3).map(tuple),
)


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (80, "[37/200] 12s  src/a.o src/b.o lib/c.o"),
        (38, "[37/200] 12s  src/a.o src/b.o lib/c.o"),
        (37, "[37/200] 12s  src/a.o src/b.o +1"),
        (32, "[37/200] 12s  src/a.o +2"),
        (25, "[37/200] 12s  src/a.o +2"),
        (24, "[37/200]  src/a.o +2"),
        (20, "[37/200]  ../a.o +2"),
        (16, "[37/200]"),
        (9, "[37/200]"),
        (8, ""),
        (1, ""),
    ],
)
def test_what_does_not_fit_goes_the_least_important_first(columns: int, line: str) -> None:
    assert status_line(BUSY, columns) == line


def test_a_terminal_of_unknown_width_counts_as_usual() -> None:
    assert status_line(BUSY, 0) == status_line(BUSY, 80)


def test_what_it_waits_for_stands_after_the_names() -> None:
    both = BUSY._replace(running=("a",), waits=("serve is held", "waits for a token"))
    assert status_line(both, 80) == "[37/200] 12s  a  (serve is held) (waits for a token)"
    assert status_line(both, 50) == "[37/200] 12s  a  (serve is held) +1"
    assert status_line(WAITING, 80) == "[37/200] 12s  (waits for a token)"


def test_more_done_than_known_is_never_shown() -> None:
    assert status_line(Progress(3, 1, 0), 80) == "[3/3] 0s"


def test_colours_change_nothing_but_the_colours() -> None:
    for columns in range(1, 100):
        plain, coloured = status_line(BUSY, columns), status_line(BUSY, columns, color=True)
        assert re.sub(r"\x1b\[\d*m", "", coloured) == plain
        assert coloured == plain or coloured.startswith("\x1b[32m[37/200]\x1b[m")


@given(STATES, st.integers(0, 300), st.booleans())
def test_the_last_column_stays_free_whatever_the_names(state: Progress, columns: int, color: bool) -> None:
    line = re.sub(r"\x1b\[\d*m", "", status_line(state, columns, color))
    assert width(line) < (columns or 80)
    assert line.isprintable() or "\n" not in line


@given(STATES, st.integers(1, 300))
def test_a_wider_terminal_shows_no_less_of_the_counts(state: Progress, columns: int) -> None:
    if line := status_line(state, columns):
        assert status_line(state, columns + 1).startswith(line.split()[0])


@pytest.mark.parametrize(
    ("text", "cells"), [("abc", 3), ("é", 1), ("e\u0301", 1), ("日本", 4), ("a\u200bb", 2), ("\uff57", 2), ("", 0)]
)
def test_wide_characters_take_two_cells_and_combining_ones_none(text: str, cells: int) -> None:
    assert width(text) == cells


@pytest.mark.parametrize(
    ("text", "most", "cut"),
    [
        ("directory/file.o", 16, "directory/file.o"),
        ("directory/file.o", 10, "..y/file.o"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "..語"),
        ("日本語", 4, "..語"),
        ("日本語", 3, ".."),
        ("xe\u0301y", 3, "xe\u0301y"),
        ("abcde\u0301", 3, "..e\u0301"),
        ("abcdef", 2, ""),
        ("abcdef", 0, ""),
        ("abcdef", -1, ""),
    ],
)
def test_a_long_name_loses_its_beginning(text: str, most: int, cut: str) -> None:
    assert last_cells(text, most) == cut


@given(PRINTABLE, st.integers(-1, 30))
def test_what_is_cut_fits(text: str, most: int) -> None:
    assert width(last_cells(text, most)) <= max(most, 0)


@pytest.mark.parametrize(
    ("words", "most", "shown"),
    [
        (["aa", "bb", "cc"], 8, "aa bb cc"),
        (["aa", "bb", "cc"], 7, "aa +2"),
        (["aa", "bb", "cc"], 5, "aa +2"),
        (["aaaa", "bb"], 6, "..a bb"),
        (["aaaaa", "bb"], 7, "..aa bb"),
        (["aa", "bb"], 4, ""),
        ([], 10, ""),
    ],
)
def test_as_many_words_as_fit_then_how_many_more(words: list[str], most: int, shown: str) -> None:
    assert fit(words, most) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m00s"), (605, "10m05s"), (3599, "59m59s"), (3600, "1h00m"), (90061, "25h01m")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
