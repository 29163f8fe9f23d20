import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redod.logs.joblog import JobLog, Room
from redod.logs.segments import Segments
from redod.logs.transcript import Style, show_name, status_words
from redod.logs.viewer import Viewer
from tests.unit.logs import keep

STYLE = Style(cwd=b"/w")


def read_all(viewer: Viewer, limit: int = 1 << 16) -> bytes:
    """Everything that can be shown now."""
    pieces = []
    while piece := viewer.read(limit):
        assert len(piece) <= limit
        pieces.append(piece)
    return b"".join(pieces)


def child(parent: JobLog, name: bytes) -> JobLog:
    log = JobLog(b"/w/" + name)
    parent.child(log)
    log.start(1.0)
    return log


def shown(root: JobLog, style: Style = STYLE) -> bytes:
    viewer = Viewer(root, style)
    data = read_all(viewer)
    assert viewer.finished
    return data


def test_a_child_is_shown_to_its_end_where_it_was_asked_for() -> None:
    root = JobLog(b"")
    every = child(root, b"all")
    every.write(b"before\n")
    a, b = child(every, b"d/a"), child(every, b"d/b")
    b.write(b"b says\n")
    every.write(b"after\n")
    viewer = Viewer(root, STYLE)
    assert read_all(viewer) == b"redo  all\nbefore\nredo    d/a\n"
    b.finish(0, 0)
    assert viewer.read(100) == b""
    a.write(b"a ")
    assert viewer.read(100) == b"a "
    a.write(b"says\n")
    a.finish(0, 0)
    assert read_all(viewer) == b"says\nredo    d/b\nb says\nafter\n"
    every.finish(0, 0)
    assert not viewer.finished
    root.finish(0, 0)
    assert viewer.read(100) == b""
    assert viewer.finished


@given(st.permutations([b"a", b"b", b"c"] * 4))
def test_the_order_is_the_same_however_many_run_at_a_time(steps: list[bytes]) -> None:
    root = JobLog(b"")
    logs = {name: child(root, name) for name in (b"a", b"b", b"c")}
    lines = {name: iter((b"1", b"2", b"3")) for name in logs}
    viewer, out = Viewer(root, STYLE), b""
    for name in steps:
        line = next(lines[name], None)
        if line is None:
            logs[name].finish(0, 0)
        else:
            logs[name].write(name + line + b"\n")
        out += viewer.read(7)
    root.finish(0, 0)
    out += read_all(viewer)
    assert out == b"redo  a\na1\na2\na3\nredo  b\nb1\nb2\nb3\nredo  c\nc1\nc2\nc3\n"
    assert viewer.finished


@given(st.integers(1, 9), st.lists(st.binary(max_size=5), max_size=8))
def test_any_limit_gives_the_same_bytes(limit: int, texts: list[bytes]) -> None:
    root = JobLog(b"")
    every = child(root, b"all")
    for text in texts:
        every.write(text)
        inner = child(every, b"x" * len(text))
        inner.write(text)
        inner.finish(len(text), 0)
    every.finish(0, 0)
    root.finish(0, 0)
    assert read_all(Viewer(root, STYLE), limit) == shown(root)


def test_a_failure_is_told_after_what_the_target_said() -> None:
    root = JobLog(b"")
    every = child(root, b"all")
    for name, status in ((b"a", 206), (b"b", -15), (b"c", 0)):
        log = child(every, name)
        log.write(b"oh no")
        log.finish(status, 0)
    every.finish(1, 0)
    root.finish(1, 0)
    assert shown(root) == (
        b"redo  all\n"
        b"redo    a\noh no\nredo    a (exit 206)\n"
        b"redo    b\noh no\nredo    b (signal SIGTERM)\n"
        b"redo    c\noh no\n"
        b"redo  all (exit 1)\n"
    )


def test_a_target_that_cannot_be_started_has_only_its_failure() -> None:
    root, log = JobLog(b""), JobLog(b"/w/a")
    root.child(log)
    log.message(b"redo: a: no dofile for it")
    log.finish(1, 0)
    root.finish(1, 0)
    assert shown(root) == b"redo: a: no dofile for it\nredo  a (exit 1)\n"


def test_nothing_is_shown_of_what_was_unchanged_or_given_up() -> None:
    root, given_up = JobLog(b""), JobLog(b"/w/b")
    root.child(given_up)
    root.unchanged([b"/w/c"])
    last = child(root, b"d")
    viewer = Viewer(root, STYLE)
    assert viewer.read(100) == b""
    given_up.give_up()
    assert viewer.read(100) == b"redo  d\n"
    last.finish(0, 0)
    root.finish(0, 0)
    assert viewer.read(100) == b""
    assert viewer.finished


def test_a_partial_line_is_ended_before_a_line_of_ours_and_before_another_target() -> None:
    root = JobLog(b"")
    every = child(root, b"all")
    every.write(b"checking... ")
    a = child(every, b"a")
    a.write(b"partial")
    a.finish(0, 0)
    every.write(b"done, ")
    every.write(b"all")
    every.message(b"redo: a word")
    every.write(b"end")
    every.finish(0, 0)
    root.finish(0, 0)
    assert shown(root) == b"redo  all\nchecking... \nredo    a\npartial\ndone, all\nredo: a word\nend"


def test_a_log_under_several_parents_is_shown_once_in_each_session_from_its_start() -> None:
    shared = JobLog(b"/w/s")
    shared.start(1.0)
    shared.write(b"early\n")
    roots = [JobLog(b""), JobLog(b"")]
    viewers = []
    for root in roots:
        for name in (b"a", b"b"):
            log = child(root, name)
            log.child(shared)
            log.finish(0, 0)
        root.finish(0, 0)
        viewers.append(Viewer(root, STYLE))
    before = [read_all(viewer) for viewer in viewers]
    shared.write(b"late\n")
    shared.finish(0, 0)
    after = [read_all(viewer) for viewer in viewers]
    assert before == [b"redo  a\nredo    s\nearly\n"] * 2
    assert after == [b"late\nredo  b\n"] * 2


Tree = tuple[bytes, int, list["Tree"]]
"""What a target says before and after it asks for others, how it ends, and those others."""

TREES: st.SearchStrategy[Tree] = st.recursive(
    st.tuples(st.binary(max_size=3), st.sampled_from([0, 0, 0, 1]), st.just([])),
    lambda below: st.tuples(st.binary(max_size=3), st.sampled_from([0, 0, 0, 1]), st.lists(below, max_size=4)),
)


def run(parent: JobLog, tree: Tree, ended: Callable[[JobLog], None]) -> None:
    """All of one call are started before the first of them ends."""
    text, _, below = tree
    parent.write(text)
    logs = [child(parent, b"%d" % number) for number in range(len(below))]
    for log, inner in zip(logs, below, strict=True):
        run(log, inner, ended)
        log.finish(inner[1], 0.25)
        ended(log)
    parent.write(text)


@given(TREES, st.integers(1, 40))
def test_what_is_shown_is_the_same_when_logs_are_stored_as_they_end(tree: Tree, pace: int) -> None:
    style = STYLE._replace(times=True, pids=True)
    live, root = JobLog(b""), JobLog(b"")
    run(live, tree, lambda log: None)
    with tempfile.TemporaryDirectory() as directory:
        segments = Segments(os.fsencode(directory))
        slow, out = Viewer(root, style), b""

        def ended(log: JobLog) -> None:
            nonlocal out
            keep(log, segments)
            out += slow.read(pace)

        run(root, tree, ended)
        live.finish(0, 0)
        root.finish(0, 0)
        assert out + read_all(slow) == shown(root, style) == shown(live, style)
        assert slow.finished


def test_a_viewer_keeps_no_log_that_it_has_left(tmp_path: Path) -> None:
    segments, root = Segments(bytes(tmp_path)), JobLog(b"")
    viewer = Viewer(root, STYLE)
    log = child(root, b"a")
    log.write(b"words\n")
    assert read_all(viewer) == b"redo  a\nwords\n"
    log.finish(0, 0)
    keep(log, segments)
    root.write(b"more words\n")
    assert read_all(viewer) == b"more words\n"
    gone = ref(log)
    del log
    assert gone() is None


def test_on_ready_is_called_once_after_an_empty_read() -> None:
    calls: list[str] = []
    root = JobLog(b"")
    viewer = Viewer(root, STYLE, lambda: calls.append("ready"))
    log = child(root, b"a")
    assert calls == []
    assert read_all(viewer) == b"redo  a\n"
    root.write(b"it waits for a\n")
    assert calls == []
    log.write(b"x")
    log.write(b"y")
    assert calls == ["ready"]
    assert read_all(viewer) == b"xy"
    log.finish(0, 0)
    assert calls == ["ready"] * 2
    assert read_all(viewer) == b"\nit waits for a\n"
    root.finish(0, 0)
    assert calls == ["ready"] * 3


def test_a_closed_viewer_waits_for_nothing() -> None:
    calls: list[str] = []
    root = JobLog(b"")
    viewer = Viewer(root, STYLE, lambda: calls.append("ready"))
    assert viewer.read(10) == b""
    viewer.close()
    root.write(b"x")
    assert calls == []
    assert viewer.finished


def test_a_log_that_is_stored_while_it_is_read_goes_on_where_it_was(tmp_path: Path) -> None:
    root = JobLog(b"")
    log = JobLog(b"/w/a", Room(memory=4))
    root.child(log)
    log.write(b"0123456789")
    viewer = Viewer(root, STYLE)
    assert viewer.read(3) == b"012"
    log.finish(0, 0)
    keep(log, Segments(bytes(tmp_path)))
    assert read_all(viewer) == b"3456789"


def test_a_text_that_the_disk_does_not_give_back_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    root = JobLog(b"")
    log = child(root, b"a")
    log.write(b"lost\n")
    log.finish(1, 0)
    keep(log, Segments(bytes(tmp_path)))
    os.truncate(tmp_path / "000001", 0)
    root.finish(1, 0)
    assert shown(root) == b"redo  a\nredo  a (exit 1)\n"


def test_a_chain_of_a_hundred_thousand_targets_is_shown() -> None:
    root = JobLog(b"")
    logs = [root]
    for n in range(100_000):
        log = JobLog(b"/w/%d" % n)
        logs[-1].child(log)
        logs.append(log)
    for log in reversed(logs):
        log.finish(0, 0)
    logs[-2].message(b"deep")
    assert shown(root) == b"deep\n"


def test_notes_are_shown_only_when_asked_for_and_details_can_be_left_out() -> None:
    root = JobLog(b"")
    log = JobLog(b"/w/a")
    root.child(log)
    log.note(b"redo: a is out of date: b changed")
    log.start(1.0)
    log.write(b"words")
    log.finish(1, 0)
    root.finish(1, 0)
    assert shown(root) == b"redo  a\nwords\nredo  a (exit 1)\n"
    assert shown(root, STYLE._replace(details=False)) == b"redo  a\nredo  a (exit 1)\n"
    assert shown(root, STYLE._replace(debug=True, details=False)).startswith(
        b"redo: a is out of date: b changed\nredo  a\n"
    )


def test_a_viewer_that_is_not_recursive_shows_the_roots_targets_and_nothing_below() -> None:
    root = JobLog(b"/w")
    named = child(root, b"named")
    named.write(b"own\n")
    child(named, b"asked for").finish(0, 0)
    named.finish(3, 0)
    root.finish(0, 0)
    assert read_all(Viewer(root, STYLE, recursive=False)) == b"redo  named\nown\nredo  named (exit 3)\n"


def test_depth_and_names_follow_the_reader() -> None:
    root = JobLog(b"")
    child(root, b"d/a").finish(0, 0)
    root.finish(0, 0)
    assert shown(root, Style(cwd=b"/w/d", depth=2)) == b"redo      a\n"
    assert shown(root, Style(cwd=b"/w/e")) == b"redo  ../d/a\n"
    assert shown(root, Style(cwd=b"/")) == b"redo  w/d/a\n"


def test_text_is_never_escaped_and_messages_may_have_several_lines() -> None:
    root = JobLog(b"")
    root.write(b"\x1b[1mbold\xff\x00\r\n")
    root.message(b"one\ntwo")
    root.finish(0, 0)
    assert shown(root, STYLE._replace(terminal=True)) == b"\x1b[1mbold\xff\x00\r\none\ntwo\n"


@pytest.mark.parametrize(
    ("name", "plain", "terminal"),
    [
        (b"a b", b"a b", b"a b"),
        (b"a\x1b[2J\n", b"a\\x1b[2J\\x0a", b"a\\x1b[2J\\x0a"),
        ("ö".encode(), "ö".encode(), "ö".encode()),
        (b"\xff\xf6", b"\xff\xf6", b"\\xff\\xf6"),
        ("\x9b2J".encode(), "\x9b2J".encode(), b"\\xc2\\x9b2J"),
    ],
)
def test_names_cannot_steer_a_terminal(name: bytes, plain: bytes, terminal: bytes) -> None:
    assert show_name(name, False) == plain
    assert show_name(name, True) == terminal


def test_statuses_in_words() -> None:
    assert [status_words(n) for n in (1, -9, -99)] == [b"exit 1", b"signal SIGKILL", b"signal 99"]


def test_where_pids_are_shown_a_start_waits_for_its_pid() -> None:
    root = JobLog(b"")
    log = JobLog(b"/w/a")
    root.child(log)
    log.start(1.0)
    ready: list[bool] = []
    viewer = Viewer(root, STYLE._replace(pids=True), on_ready=lambda: ready.append(True))
    assert viewer.read(100) == b""
    log.runs_as(77)
    assert ready
    assert b"77" in viewer.read(100)
