"""How starts and ends look, in every style."""

import time

import pytest

from redod.logs.records import Done, Started
from redod.logs.transcript import Style, Transcript

START = Started(1_700_000_000.25, 4321)
CLOCK = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_000)).encode()
LATER = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_002)).encode()


def shown(style: Style, status: int) -> list[bytes]:
    transcript = Transcript(style)
    transcript.started(b"/w/d/x", 1, START)
    transcript.ended(b"/w/d/x", 1, START, Done(status, 2.5))
    return transcript.take(transcript.size).splitlines()


@pytest.mark.parametrize(
    ("style", "status", "lines"),
    [
        (Style(b"/w"), 0, [b"redo    d/x"]),
        (Style(b"/w/d"), 5, [b"redo    x", b"redo    x (exit 5)"]),
        (Style(b"/w"), -11, [b"redo    d/x", b"redo    d/x (signal SIGSEGV)"]),
        (Style(b"/w", pids=True), 1, [b"4321   redo    d/x", b"4321   redo    d/x (exit 1)"]),
        (Style(b"/w", times=True), 0, [CLOCK + b"  redo    d/x", LATER + b"  redo    d/x (done, 2.500 s)"]),
        (Style(b"/w", times=True), 2, [CLOCK + b"  redo    d/x", LATER + b"  redo    d/x (exit 2, 2.500 s)"]),
        (Style(b"/w", color=True), 2, [
            b"\x1b[32mredo    \x1b[1md/x\x1b[m", b"\x1b[31mredo    \x1b[1md/x (exit 2)\x1b[m",
        ]),
        (Style(b"/w", pretty=False), 0, [
            b"@@REDO:do:4321:1700000000.2500@@ d/x", b"@@REDO:done:4321:1700000002.7500@@ 0 d/x",
        ]),
        (Style(b"/w", pretty=False), -9, [
            b"@@REDO:do:4321:1700000000.2500@@ d/x", b"@@REDO:done:4321:1700000002.7500@@ -9 d/x",
        ]),
    ],
)  # fmt: skip
def test_a_start_and_an_end(style: Style, status: int, lines: list[bytes]) -> None:
    assert shown(style, status) == lines


def test_words_of_ours_are_coloured_line_by_line_and_names_in_them_escaped() -> None:
    transcript = Transcript(Style(b"/w", color=True, terminal=True))
    transcript.message(b"one\ntw\x1bo")
    assert transcript.take(100) == b"\x1b[33mone\x1b[m\n\x1b[33mtw\\x1bo\x1b[m\n"
