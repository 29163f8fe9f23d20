"""MAKEFLAGS: the jobserver that is named there, and what scripts get instead."""

import pytest

from redod.jobserver.makeflags import Named, named_jobserver, with_jobserver


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (b"", None),
        (b"ks", None),
        (b" -j", None),
        (b"-j8", None),
        (b" -j4 --jobserver-auth=3,4", Named(b"3,4", b"", 4)),
        (b"k -j4 --jobserver-auth=3,4 -- V=1", Named(b"3,4", b"", 4)),
        (b" --jobserver-fds=3,4 -j", Named(b"3,4", b"", 1000)),
        (b" -j4 --jobserver-auth=fifo:/tmp/GMfifo12", Named(b"fifo:/tmp/GMfifo12", b"/tmp/GMfifo12", 4)),
        (b" --jobs=7 --jobserver-auth=3,4", Named(b"3,4", b"", 7)),
        (b"--jobserver-auth=3,4 --jobserver-auth=5,6", Named(b"5,6", b"", 1000)),
        (b" -j2 --jobserver-auth=-2,-2", Named(b"-2,-2", b"", 2)),
        (b" -j1 --jobserver-auth=3,4", Named(b"3,4", b"", 2)),
        (b"-- --jobserver-auth=3,4", None),
        (b" -j2 -- X=--jobserver-auth=3,4 --jobserver-auth=3,4", None),
        (b"x--jobserver-auth=3,4", None),
    ],
)
def test_the_jobserver_that_is_named(flags: bytes, named: Named | None) -> None:
    assert named_jobserver(flags) == named


@pytest.mark.parametrize(
    ("flags", "others"),
    [
        (b"", (b"", b"")),
        (b" -j8", (b"", b"")),
        (b"ks", (b"ks", b"")),
        (b"k -j4 --jobserver-auth=3,4 -- V=1 W=-j2", (b"k", b" -- V=1 W=-j2")),
        (b"-- V=1", (b"", b" -- V=1")),
        (b" -j --jobserver-fds=3,4 --no-print-directory", (b" --no-print-directory", b"")),
        (b"--jobs=4 -w --jobserver-auth=fifo:/x --jobserver-auth=3,4", (b" -w", b"")),
        (b"-k --jobs", (b"-k", b"")),
        (b" -Otarget -j3", (b" -Otarget", b"")),
        (b" --eval=-j3", (b" --eval=-j3", b"")),
    ],
)
def test_scripts_get_ours_in_its_place(flags: bytes, others: tuple[bytes, bytes]) -> None:
    options, variables = others
    assert with_jobserver(flags, 5, b"100,101") == options + b" -j5 --jobserver-auth=100,101" + variables
    assert with_jobserver(flags, 5, b"") == options + variables
    assert with_jobserver(with_jobserver(flags, 5, b"100,101"), 9, b"fifo:/f") == with_jobserver(flags, 9, b"fifo:/f")
