import errno
import os
import tempfile
from pathlib import Path
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redod.logs import joblog
from redod.logs.joblog import AllUnchanged, JobLog, Room, Span
from redod.logs.kept import Kept
from redod.logs.records import Child, Done, Message, Note, Started, Text, Unchanged, decode
from redod.logs.segments import Segments
from tests.descriptors import own_descriptors
from tests.unit.logs import ROOT, keep


def stored(log: JobLog) -> list[object]:
    return list(decode(log.encode(ROOT), ROOT))


def text_of(log: JobLog) -> bytes:
    spans = [entry for entry in log.entries if isinstance(entry, Span)]
    return b"".join(log.text(span, span.start, span.end - span.start) for span in spans)


def built(path: bytes, status: int = 0) -> JobLog:
    log = JobLog(path)
    log.start(1.0)
    log.finish(status, 0.5)
    return log


def small(directory: Path, memory: int = 10, total: int = 1000) -> Room:
    return Room(os.fsencode(directory), memory, total)


def test_what_happened_is_stored_in_order() -> None:
    log = JobLog(b"/w/all")
    log.note(b"all is out of date: it was never built")
    log.start(1.0)
    log.runs_as(77)
    log.write(b"one\n")
    log.write(b"two")
    log.child(built(b"/w/d/a"))
    log.unchanged([b"/w/d/b"])
    log.write(b"three")
    log.message(b"mind the gap")
    log.child(built(b"/other/c", 1))
    log.finish(-15, 1.25)
    assert stored(log) == [
        Note(b"all is out of date: it was never built"),
        Started(1.0, 77),
        Text(b"one\ntwo"),
        Child(b"/w/d/a"),
        Unchanged(b"/w/d/b"),
        Text(b"three"),
        Message(b"mind the gap"),
        Child(b"/other/c"),
        Done(-15, 1.25),
    ]


def test_a_stored_log_moves_with_its_workspace() -> None:
    log = JobLog(b"/w/all")
    log.child(built(b"/w/a"))
    log.child(built(b"/ww/a"))
    log.finish(0, 0)
    assert list(decode(log.encode(ROOT), b"/new"))[:2] == [Child(b"/new/a"), Child(b"/ww/a")]


def test_a_child_that_never_ran_is_left_out() -> None:
    log, given_up, refused = JobLog(b"/w/all"), JobLog(b"/w/b"), JobLog(b"/w/c")
    for child in (given_up, refused):
        log.child(child)
    given_up.give_up()
    refused.finish(1, 0)
    log.finish(0, 0)
    assert stored(log) == [Child(b"/w/c"), Done(0, 0)]


def test_a_silent_success_costs_nothing_and_a_silent_failure_is_kept() -> None:
    assert built(b"/w/a").encode(ROOT) == b""
    assert stored(built(b"/w/a", 3)) == [Started(1.0, 0), Done(3, 0.5)]


def test_text_beyond_the_memory_goes_to_a_file_without_a_name(tmp_path: Path) -> None:
    log = JobLog(b"/w/a", small(tmp_path))
    before = own_descriptors()
    log.write(b"0123456789")
    assert len(os.listdir("/proc/self/fd")) == before
    log.write(b"abc")
    log.write(b"def")
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert os.listdir(tmp_path) == []
    assert text_of(log) == b"0123456789abcdef"
    del log
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_spool_directory_that_does_not_exist_loses_no_text(tmp_path: Path) -> None:
    log = JobLog(b"/w/a", small(tmp_path / "gone"))
    log.write(b"x" * 100)
    assert text_of(log) == b"x" * 100


def test_beyond_the_limit_text_is_counted_and_the_end_says_so(tmp_path: Path) -> None:
    log = JobLog(b"/w/a", small(tmp_path, total=16))
    log.write(b"x" * 10)
    log.write(b"y" * 10)
    assert isinstance(log.entries[-1], Message), "the user is told at once"
    log.write(b"z" * 10)
    assert (log.size, log.lost) == (16, 14)
    log.finish(0, 0)
    text, beginning, message, done = stored(log)
    assert text == Text(b"x" * 10 + b"y" * 6)
    assert beginning == Message(b"redo: from here on its output is dropped: a log keeps no more")
    assert isinstance(message, Message)
    assert b" 14 bytes" in message.text
    assert b"first 16" in message.text
    assert done == Done(0, 0)


def test_a_full_disk_loses_all_the_rest_of_the_text_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes, offset: int) -> int:
        room = 24 - offset
        if room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:room], offset)

    real = os.pwrite
    log = JobLog(b"/w/a", small(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        log.write(b"x" * 20)
        log.write(b"y" * 20)
    log.write(b"z")
    log.finish(0, 0)
    assert (log.size, log.lost) == (24, 17)
    text, _, message, _ = stored(log)
    assert text == Text(b"x" * 20 + b"yyyy")
    assert isinstance(message, Message)
    assert b"no space" in message.text


def test_no_file_can_be_made_and_what_is_in_memory_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    log = JobLog(b"/w/a", small(tmp_path))
    log.write(b"x" * 10)
    log.write(b"y")
    assert (text_of(log), log.lost) == (b"x" * 10, 1)


def test_a_script_that_loops_costs_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "MAX_ENTRIES", 100)
    log = JobLog(b"/w/a")
    for _ in range(60):
        log.unchanged([b"/w/b", b"/w/c"])
    assert (
        90 < len(log.entries) + sum(len(entry.paths) for entry in log.entries if isinstance(entry, AllUnchanged)) < 110
    )
    log.write(b"still heard")
    child = built(b"/w/c")
    log.child(child)
    assert log.entries[-1] is child


def test_text_after_the_end_is_ignored() -> None:
    log = built(b"/w/a")
    log.write(b"late")
    assert log.size == 0


def test_a_waiter_is_called_once_at_the_next_growth_or_end() -> None:
    log = JobLog(b"/w/a")
    heard: list[str] = []

    def hear() -> None:
        heard.append("grew")

    log.wait(hear)
    assert heard == []
    log.write(b"")
    assert heard == []
    log.write(b"x")
    log.write(b"y")
    assert heard == ["grew"]
    log.wait(hear)
    log.stop_waiting(hear)
    log.write(b"z")
    assert heard == ["grew"]
    log.wait(hear)
    log.finish(0, 0)
    assert heard == ["grew", "grew"]


def test_a_settled_log_reads_its_text_from_where_it_is_stored(tmp_path: Path) -> None:
    log = JobLog(b"/w/a")
    log.write(b"abcdef")
    log.message(b"between")
    log.write(b"ghi")
    log.finish(0, 0)
    data = log.encode(ROOT)
    keep(log, Segments(bytes(tmp_path)))
    assert text_of(log) == b"abcdefghi"
    first, _, second = log.entries
    assert isinstance(first, Span)
    assert isinstance(second, Span)
    assert log.text(first, 2, 3) == b"cde"
    assert log.text(second, 7, 100) == b"hi"
    assert log.encode(ROOT) == data


def test_of_a_success_that_is_stored_its_parent_keeps_only_where_it_is(tmp_path: Path) -> None:
    segments, parent, logs = Segments(bytes(tmp_path)), JobLog(b"/w/all"), []
    for name in (b"silent", b"says", b"asks", b"fails"):
        logs.append(JobLog(b"/w/" + name))
        parent.child(logs[-1])
        logs[-1].start(1.0)
    silent, says, asks, fails = logs
    says.write(b"words\n")
    asks.child(built(b"/w/below"))
    for log in logs:
        log.finish(log is fails, 0)
        keep(log, segments)
    assert [entry.path for entry in parent.entries if isinstance(entry, Kept)] == [silent.path, says.path, asks.path]
    assert parent.entries[3] is fails
    parent.finish(1, 0)
    assert stored(parent) == [*(Child(log.path) for log in logs), Done(1, 0)]
    gone = ref(says)
    del log, says, logs
    assert gone() is None


def test_a_log_that_is_shown_in_several_places_stays_there(tmp_path: Path) -> None:
    shared, parents = JobLog(b"/w/s"), [JobLog(b"/w/a"), JobLog(b"/w/b")]
    for parent in parents:
        parent.child(shared)
    shared.start(1.0)
    shared.finish(0, 0)
    keep(shared, Segments(bytes(tmp_path)))
    assert [parent.entries for parent in parents] == [[shared]] * 2


def test_a_log_whose_start_somebody_else_says_stays(tmp_path: Path) -> None:
    parent, log = JobLog(b"/w/all"), JobLog(b"/w/a")
    parent.child(log)
    log.start(1.0, is_shown=False)
    log.finish(0, 0)
    keep(log, Segments(bytes(tmp_path)))
    assert parent.entries == [log]


def test_a_kept_log_can_be_had_again(tmp_path: Path) -> None:
    parent, log, below = JobLog(b"/w/all"), JobLog(b"/w/a"), built(b"/w/below")
    parent.child(log)
    log.note(b"a is out of date: it was never built")
    log.start(1.0)
    log.runs_as(7)
    log.write(b"one\n")
    log.child(below)
    log.unchanged([b"/w/c"])
    log.write(b"x" * 300_000)
    log.message(b"mind the gap")
    log.finish(0, 1.25)
    keep(log, Segments(bytes(tmp_path)))
    [kept] = parent.entries
    assert isinstance(kept, Kept)
    again = JobLog.again(kept)
    assert again.ended
    assert (again.started, again.done) == (log.started, log.done)
    assert again.encode(ROOT) == log.encode(ROOT)
    assert below in again.entries


def test_a_kept_log_that_cannot_be_read_any_more_says_so(tmp_path: Path) -> None:
    parent, log = JobLog(b"/w/all"), JobLog(b"/w/a")
    parent.child(log)
    log.start(1.0)
    log.write(b"words")
    log.finish(0, 0)
    keep(log, Segments(bytes(tmp_path)))
    os.truncate(tmp_path / "000001", 0)
    [kept] = parent.entries
    assert isinstance(kept, Kept)
    again = JobLog.again(kept)
    assert again.ended
    assert again.entries == [Message(b"redo: what was printed here cannot be read any more")]


@given(st.binary(max_size=200))
def test_decoding_random_bytes_raises_nothing(data: bytes) -> None:
    for entry in decode(data, ROOT):
        assert isinstance(entry, Text | Message | Note | Child | Unchanged | Done)


def test_records_of_a_newer_version_are_passed_over_and_a_cut_ends_the_log() -> None:
    log = JobLog(b"/w/a")
    log.write(b"text")
    log.finish(2, 0)
    data = log.encode(ROOT)
    unknown = b"\xc8\0\0\0\x03new"
    assert list(decode(unknown + data, ROOT)) == [Text(b"text"), Done(2, 0)]
    assert list(decode(data[:-1], ROOT)) == [Text(b"text")]
