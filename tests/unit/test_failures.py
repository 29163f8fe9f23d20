"""What is said again of failed targets."""

from redod.logs.failures import LAST_LINES, last_lines, own_failure
from redod.logs.joblog import JobLog
from redod.logs.transcript import Failure, Style
from redod.logs.viewer import Viewer


def failed(path: bytes, *texts: bytes, status: int = 1) -> JobLog:
    log = JobLog(path)
    log.dofile = path + b".do"
    log.start(1.0)
    for text in texts:
        log.write(text)
    log.finish(status, 0.5)
    return log


def test_its_last_lines_its_dofile_and_its_status() -> None:
    log = failed(b"/w/x", b"".join(b"line %d\n" % number for number in range(100)), b"half", status=-9)
    lines = [b"line %d" % number for number in range(101 - LAST_LINES, 100)]
    assert own_failure(log) == Failure(b"/w/x", b"/w/x.do", -9, [*lines, b"half"])


def test_words_of_ours_count_as_lines_in_their_place() -> None:
    log = JobLog(b"/w/x")
    log.write(b"one\n")
    log.message(b"redo: two\nredo: three")
    log.write(b"four")
    log.finish(1, 0)
    assert last_lines(log) == [b"one", b"redo: two", b"redo: three", b"four"]


def test_a_long_line_is_cut_from_its_beginning() -> None:
    assert last_lines(failed(b"/w/x", b"x" * 100_000)) == [b"x" * 4096]


def test_a_success_and_who_failed_because_of_another_have_none() -> None:
    assert own_failure(failed(b"/w/x", status=0)) is None
    parent = JobLog(b"/w/all")
    parent.child(failed(b"/w/x"))
    parent.finish(1, 0)
    assert own_failure(parent) is None
    late = JobLog(b"/w/late")
    late.blames_another = True
    late.finish(1, 0)
    assert own_failure(late) is None


def test_they_are_shown_once_after_everything_and_only_when_wanted() -> None:
    root, every = JobLog(b""), JobLog(b"/w/all")
    root.child(every)
    every.start(1.0)
    for name in (b"a", b"b"):
        every.child(failed(b"/w/" + name, name + b" says\n", status=3))
    every.finish(1, 0)
    root.give_up()
    plain = (
        b"redo  all\nredo    a\na says\nredo    a (exit 3)\nredo    b\nb says\nredo    b (exit 3)\nredo  all (exit 1)\n"
    )
    again = b"redo: failed: a (exit 3), by a.do\n  a says\nredo: failed: b (exit 3), by b.do\n  b says\n"
    assert Viewer(root, Style(b"/w")).read(10_000) == plain
    assert Viewer(root, Style(b"/w", failures=True)).read(10_000) == plain + again
