from collections.abc import Iterable

from redod.logs.joblog import JobLog
from redod.logs.records import Child, Done, Entry, Message, Note, Text, Unchanged, decode
from redod.logs.replay import replay
from redod.logs.transcript import Style
from redod.logs.viewer import Viewer

STYLE = Style(cwd=b"/w")

LOGS: dict[bytes, list[Entry]] = {
    b"/w/all": [
        Note(b"redo: all: why"),
        Text(b"first\n"),
        Child(b"/w/a"),
        Unchanged(b"/w/u"),
        Text(b"last"),
        Message(b"redo: a word"),
        Done(1, 0),
    ],
    b"/w/a": [Text(b"a says"), Child(b"/w/s"), Done(-9, 0)],
    b"/w/u": [Text(b"u says\n"), Child(b"/w/s"), Done(0, 0)],
}


def replayed(*targets: bytes, style: Style = STYLE, recursive: bool = False, unchanged: bool = False) -> bytes:
    return b"".join(replay(targets, LOGS.get, style, recursive, unchanged))


def test_a_targets_own_lines() -> None:
    assert replayed(b"/w/all") == b"redo  all\nfirst\nlast\nredo: a word\nredo  all (exit 1)\n"


def test_recursive_shows_what_it_asked_for_in_order() -> None:
    assert replayed(b"/w/all", recursive=True) == (
        b"redo  all\nfirst\nredo    a\na says\nredo      s\nredo    a (signal SIGKILL)\n"
        b"last\nredo: a word\nredo  all (exit 1)\n"
    )


def test_unchanged_shows_also_what_was_up_to_date_and_each_target_once() -> None:
    assert replayed(b"/w/all", recursive=True, unchanged=True) == (
        b"redo  all\nfirst\nredo    a\na says\nredo      s\nredo    a (signal SIGKILL)\n"
        b"redo    u\nu says\nlast\nredo: a word\nredo  all (exit 1)\n"
    )


def test_several_targets_one_after_the_other_each_once() -> None:
    assert replayed(b"/w/u", b"/w/a", b"/w/u") == b"redo  u\nu says\nredo  a\na says\nredo  a (signal SIGKILL)\n"


def test_notes_only_when_asked_for() -> None:
    assert b"redo: all: why\n" in replayed(b"/w/all", style=STYLE._replace(debug=True))


def test_a_cycle_in_what_is_stored_ends() -> None:
    logs: dict[bytes, list[Entry]] = {b"/w/x": [Child(b"/w/y")], b"/w/y": [Child(b"/w/x"), Child(b"/w/y")]}
    assert b"".join(replay([b"/w/x"], logs.get, STYLE, recursive=True)) == b"redo  x\nredo    y\n"


def test_a_chain_of_a_hundred_thousand_targets_is_replayed() -> None:
    def lookup(path: bytes) -> Iterable[Entry]:
        number = int(path[3:])
        return [Child(b"/w/%d" % (number + 1))] if number < 100_000 else [Message(b"deep")]

    style = STYLE._replace(depth=-100_001)
    pieces = list(replay([b"/w/0"], lookup, style, recursive=True))
    assert max(map(len, pieces)) < 1 << 20
    assert b"".join(pieces).endswith(b"redo  100000\ndeep\n")


def test_a_replay_shows_what_the_live_build_showed() -> None:
    stored: dict[bytes, bytes] = {}
    every, a, b = JobLog(b"/w/all"), JobLog(b"/w/a"), JobLog(b"/w/b")
    root = JobLog(b"")
    root.child(every)
    every.start(1.0)
    every.write(b"one\n")
    every.child(a)
    a.start(1.0)
    a.write(b"partial")
    a.finish(3, 0)
    every.write(b"two\n")
    every.child(b)
    b.start(1.0)
    b.finish(0, 0)
    every.finish(1, 0)
    root.finish(1, 0)
    for log in (every, a, b):
        stored[log.path] = log.encode(b"/w")

    def lookup(path: bytes) -> Iterable[Entry] | None:
        return decode(stored[path], b"/w")

    assert b"".join(replay([b"/w/all"], lookup, STYLE, recursive=True)) == Viewer(root, STYLE).read(1 << 16)
