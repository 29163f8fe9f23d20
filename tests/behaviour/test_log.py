"""redo-log: what scripts printed, shown again or followed."""

import re
import signal
import time
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, expect, finish
from tests.behaviour.project import CLIENTS, Project

ODD = bytes(range(1, 256)) + b"no newline at the end"


@pytest.fixture
def bindir(installs: dict[str, Path]) -> Path:
    return installs[CLIENTS[0]]


def log(project: Project, *args: str, cwd: Path | None = None) -> bytes:
    result = project.run("redo-log", *args, cwd=cwd, check=True)
    assert result.stderr == b""
    return result.stdout


def make_tree(project: Project) -> None:
    project.write("top.do", "echo top before >&2; redo-ifchange sub/mid other; echo top after >&2\n")
    project.write("sub/mid.do", "echo mid before >&2; redo-ifchange leaf; echo mid after >&2\n")
    project.write("sub/leaf.do", "echo leaf >&2\n")
    project.write("other.do", "echo other >&2\n")


TREE = b"""redo  top
top before
redo    sub/mid
mid before
redo      sub/leaf
leaf
mid after
redo    other
other
top after
"""


def test_a_targets_log_is_shown_again_byte_by_byte(project: Project) -> None:
    project.write("odd", ODD)
    project.write("x.do", "cat odd >&2\n")
    shown = project.run("redo", "x", check=True).stderr
    assert log(project, "x") == b"redo  x\n" + ODD
    assert shown == b"redo  x\n" + ODD


def test_without_r_only_the_targets_own_words_are_shown(project: Project) -> None:
    make_tree(project)
    project.run("redo", "top", check=True)
    assert log(project, "top") == b"redo  top\ntop before\ntop after\n"


def test_with_r_all_that_it_asked_for_is_shown_where_it_was_asked_for(project: Project) -> None:
    make_tree(project)
    assert project.run("redo", "-j4", "top", check=True).stderr == TREE
    assert log(project, "-r", "top") == TREE


def test_logs_survive_the_daemon(project: Project) -> None:
    make_tree(project)
    project.run("redo", "top", check=True)
    project.run("redod", "stop", check=True)
    assert log(project, "-r", "top") == TREE
    project.kill_server()
    assert log(project, "-r", "top") == TREE


def test_names_are_relative_to_where_one_asks(project: Project) -> None:
    make_tree(project)
    project.run("redo", "top", check=True)
    shown = log(project, "-r", "../top", cwd=project.path / "sub")
    assert shown == TREE.replace(b"  top\n", b"  ../top\n", 1).replace(b"sub/", b"").replace(
        b"    other", b"    ../other"
    )


def test_u_shows_what_was_up_to_date_too(project: Project) -> None:
    make_tree(project)
    project.run("redo", "top", check=True)
    project.run("redo", "top", check=True)
    assert log(project, "-r", "top") == b"redo  top\ntop before\ntop after\n"
    assert log(project, "-ru", "top") == TREE


def test_t_tells_when_each_job_began_and_ended_how_and_how_long_it_took(project: Project) -> None:
    project.write("x.do", "echo said >&2; redo-ifchange silent || true; exit 3\n")
    project.write("silent.do", "")
    before = int(time.time())
    project.run("redo", "x")
    for lines in (log(project, "-rt", "x").decode().splitlines(), log(project, "-t", "x").decode().splitlines()):
        assert len(lines) in (3, 5)
        assert lines[1] == "said"
        for line, form in ((lines[0], r"redo  x"), (lines[-1], r"redo  x \(exit 3, \d\.\d{3} s\)")):
            found = re.fullmatch(rf"(\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d)  {form}", line)
            assert found
            assert before <= time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S")) <= time.time()
        if len(lines) == 5:
            assert re.fullmatch(r"[-\d]{10} [:\d]{8}  redo    silent", lines[2])
            assert re.fullmatch(r"[-\d]{10} [:\d]{8}  redo    silent \(done, \d\.\d{3} s\)", lines[3])


def test_the_time_of_a_silent_job_survives_the_daemon(project: Project) -> None:
    project.write("x.do", "")
    project.redo("x")
    shown = log(project, "-t", "x")
    assert shown.count(b"\n") == 2
    project.run("redod", "stop", check=True)
    assert log(project, "-t", "x") == shown


def test_no_pretty_shows_the_lines_that_other_tools_read(project: Project) -> None:
    make_tree(project)
    shown = project.run("redo", "--no-pretty", "top", check=True).stderr
    kinds = [re.sub(rb":\d+:\d+\.\d{4}@@", b"@@", line) for line in shown.splitlines()]
    assert kinds == [
        b"@@REDO:do@@ top", b"top before", b"@@REDO:do@@ sub/mid", b"mid before", b"@@REDO:do@@ sub/leaf", b"leaf",
        b"@@REDO:done@@ 0 sub/leaf", b"mid after", b"@@REDO:done@@ 0 sub/mid", b"@@REDO:do@@ other", b"other",
        b"@@REDO:done@@ 0 other", b"top after", b"@@REDO:done@@ 0 top",
    ]  # fmt: skip
    assert log(project, "-r", "--no-pretty", "top") == shown
    assert not re.search(rb":0:|:0\.0000@@", shown)


def test_debug_pids_tells_the_pids_of_scripts(project: Project) -> None:
    project.write("x.do", "echo $$ >&2\n")
    project.write("silent.do", "echo $$ >pid\n")
    first, second, third = project.run("redo", "--debug-pids", "x", "silent", check=True).stderr.splitlines()
    assert first == b"%-6d redo  x" % int(second)
    assert third == b"%-6d redo  silent" % int(project.read("pid"))
    assert log(project, "--debug-pids", "x", "silent").splitlines() == [first, second, third]


def test_debug_locks_tells_of_a_build_that_is_waited_for(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo x >pids; read x <go\n")
    first = project.start("redo", "x")
    pids.receive()
    second = project.start("redo", "--debug-locks", "x")
    expect(second, b"redo: x is being built by session ")
    go.send()
    go.send()
    pids.receive()
    finish(first)
    finish(second)


def test_gc_drops_the_logs_of_what_is_gone_and_keeps_the_others(project: Project) -> None:
    for name in ("kept", "gone", "silent"):
        project.write(f"{name}.do", "" if name == "silent" else f"echo {name} $(seq 10000) >&2; echo {name}")
    project.redo("kept", "gone", "silent")
    project.redo("kept")
    before = {name: log(project, "-t", name) for name in ("kept", "silent")}
    (project.path / "gone").unlink()
    (project.path / "gone.do").unlink()
    told = project.run("redod", "gc", check=True).stdout.decode()
    found = re.fullmatch(r".*: dropped 1 logs of targets that are gone, kept 2; freed (\d+) of (\d+) bytes\n", told)
    assert found
    assert 48_000 < int(found[1]) < int(found[2]) < 100_000
    for _ in range(2):
        assert {name: log(project, "-t", name) for name in before} == before
        project.run("redod", "stop", check=True)
    assert b"freed 0 of" in project.run("redod", "gc", check=True).stdout


def test_gc_during_a_build_loses_nothing(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("all.do", "redo-ifchange first; echo all begins >&2; echo >pids; read x <go; echo all ends >&2")
    project.write("first.do", "echo first >&2")
    building = project.start("redo", "all")
    pids.receive()
    project.run("redod", "gc", check=True)
    go.send()
    finish(building)
    shown = b"redo  all\nredo    first\nfirst\nall begins\nall ends\n"
    assert log(project, "-r", "all") == shown
    project.run("redod", "gc", check=True)
    assert log(project, "-r", "all") == shown


def test_the_log_of_a_run_stays_until_the_next_one_is_over(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo run >&2; echo $$ >pids; read x <go; exit $x")
    building = project.start("redo", "x")
    pids.receive()
    go.send("3")
    finish(building, status=1)
    assert log(project, "x") == b"redo  x\nrun\nredo  x (exit 3)\n"
    building = project.start("redo", "x")
    pids.receive()
    assert log(project, "x") == b"redo  x\nrun\nredo  x (exit 3)\n"
    building.send_signal(signal.SIGTERM)
    finish(building, status=-signal.SIGTERM)
    assert log(project, "x") == b"redo  x\nrun\nredo  x (exit 3)\n"
    building = project.start("redo", "x")
    pids.receive()
    go.send("0")
    finish(building)
    assert log(project, "x") == b"redo  x\nrun\n"


def test_a_failures_status_is_kept(project: Project) -> None:
    project.write("x.do", "echo broken >&2; exit 3\n")
    assert project.run("redo", "x").returncode == 1
    assert log(project, "x") == b"redo  x\nbroken\nredo  x (exit 3)\n"


def test_f_follows_a_running_build_to_its_end(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo early >&2; echo x >pids; read x <go; echo late >&2\n")
    building = project.start("redo", "x")
    pids.receive()
    following = project.start("redo-log", "-f", "x", stderr=None)
    assert following.stdout
    assert following.stdout.readline() == b"redo  x\n"
    assert following.stdout.readline() == b"early\n"
    go.send()
    out, _ = finish(following)
    assert out == b"late\n"
    finish(building)


def test_f_of_a_nested_target_that_runs(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo x early >&2; redo-ifchange y; echo x late >&2\n")
    project.write("y.do", "echo y early >&2; echo x >pids; read x <go; echo y late >&2\n")
    building = project.start("redo", "x")
    pids.receive()
    following = project.start("redo-log", "-rf", "x")
    assert following.stdout
    assert [following.stdout.readline() for _ in range(4)] == [
        b"redo  x\n", b"x early\n", b"redo    y\n", b"y early\n"
    ]  # fmt: skip
    go.send()
    out, _ = finish(following)
    assert out == b"y late\nx late\n"
    finish(building)


def test_who_comes_late_is_shown_all_from_the_beginning(project: Project, pids: Fifo, go: Fifo) -> None:
    """Also what has ended since, and is kept in the store alone."""
    make_tree(project)
    project.write(
        "all.do", "redo-ifchange silent top fails || :; echo x >pids; read x <go; redo-ifchange last; exit 3\n"
    )
    project.write("silent.do", "")
    project.write("fails.do", "redo-ifchange inner; echo oh no >&2; exit 4\n")
    project.write("inner.do", "echo inner >&2\n")
    project.write("last.do", "echo last >&2\n")
    building = project.start("redo", "-j2", "--no-pretty", "all")
    pids.receive()
    following = project.start("redo-log", "-rf", "--no-pretty", "all")
    joining = project.start("redo-ifchange", "all")
    seen = expect(joining, b"redo    fails (exit 4)\n")
    assert following.stdout
    early = b"".join(iter(following.stdout.readline, b"oh no\n"))
    go.send()
    _, built = finish(building, status=1)
    late = following.stdout.read()
    finish(following)
    _, joined = finish(joining, status=1)
    assert seen + joined == log(project, "-r", "all")
    assert early + b"oh no\n" + late == built
    assert [line.split()[-1] for line in built.splitlines() if b"@@REDO:do:" in line] == [
        b"all", b"silent", b"top", b"sub/mid", b"sub/leaf", b"other", b"fails", b"inner", b"last"
    ]  # fmt: skip
    assert not re.search(rb":0:|:0\.0000@@", built)


def test_f_of_a_target_that_does_not_run_shows_its_last_log(project: Project) -> None:
    project.write("x.do", "echo said >&2\n")
    project.run("redo", "x", check=True)
    assert log(project, "-f", "x") == b"redo  x\nsaid\n"


def test_a_follower_that_is_interrupted_does_not_disturb_the_build(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo early >&2; echo x >pids; read x <go; echo x\n")
    building = project.start("redo", "x")
    pids.receive()
    following = project.start("redo-log", "-f", "x")
    assert following.stdout
    assert following.stdout.readline() == b"redo  x\n"
    following.send_signal(2)
    finish(following, status=-2)
    go.send()
    finish(building)
    assert project.read("x") == "x\n"


def test_a_name_that_was_never_built_is_an_error(project: Project) -> None:
    project.write("x.do", "echo said >&2\n")
    project.redo("x")
    result = project.run("redo-log", "y")
    assert result.returncode == 1
    assert result.stderr.startswith(b"redo-log: y is not a target")


def test_a_reader_that_stops_reading_ends_redo_log_like_any_filter(project: Project) -> None:
    project.write("x.do", "seq 100000 >&2\n")
    project.redo("x")
    result = project.run("bash", "-c", "redo-log x | head -n 2; echo ${PIPESTATUS[0]}", check=True)
    assert result.stdout == b"redo  x\n1\n141\n"
    assert log(project, "x").count(b"\n") == 100_001


def test_the_log_of_the_last_run_replaces_the_one_before(project: Project) -> None:
    project.write("x.do", "echo first >&2\n")
    project.run("redo", "x", check=True)
    project.write("x.do", "echo second >&2\n")
    project.run("redo", "x", check=True)
    assert log(project, "x") == b"redo  x\nsecond\n"
    expected = project.start("redo", "x")
    assert expect(expected, b"second\n") == b"redo  x\nsecond\n"
    finish(expected)
