"""What a person sees who builds on a terminal: the status line, colours, failures said again."""

import re
import signal
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, finish, wait_for_sessions
from tests.behaviour.project import Project
from tests.behaviour.terminal import Terminal, is_stopped

STATUS = re.compile(r"^\[\d+/\d+\]")
CTRL_C, CTRL_Z = "\x03", "\x1a"


def has_status(lines: list[str]) -> bool:
    return bool(lines) and bool(STATUS.match(lines[-1]))


@pytest.fixture
def held(project: Project, pids: Fifo, go: Fifo) -> Project:
    """`all` asks for four targets; each prints a line, tells its pid, waits for a line, prints another."""
    project.write("all.do", "redo-ifchange a b c d")
    project.write("default.do", "echo begin $1 >&2; echo $$ >pids; read x <go; echo end $1 >&2; echo $1")
    return project


BEGUN = ["redo  all", "redo    a", "begin a"]


def is_shown(lines: list[str]) -> bool:
    """The status line, and what the first target has printed: the line comes after a while, whatever there is."""
    return has_status(lines) and lines[:3] == BEGUN


def release(terminal: Terminal, go: Fifo, number: int) -> None:
    for _ in range(number):
        go.send()
    assert terminal.finish() == 0


def test_the_status_line_tells_what_runs_below_the_output_and_is_gone_at_the_end(held: Project, go: Fifo) -> None:
    with Terminal(held, "redo", "-j4") as terminal:
        terminal.wait(lambda lines: is_shown(lines) and lines[-1].endswith("a b c d"))
        assert terminal.lines[:-1] == BEGUN
        assert terminal.lines[-1].startswith("[0/5] ")
        go.send()
        terminal.wait(lambda lines: has_status(lines) and lines[-1].startswith("[1/5]"))
        release(terminal, go, 3)
        lines = ["redo  all"]
        for name in "abcd":
            lines += [f"redo    {name}", f"begin {name}", f"end {name}"]
        assert terminal.lines == lines


def test_the_status_line_never_stands_amid_output(held: Project, go: Fifo) -> None:
    with Terminal(held, "redo", "-j4", rows=8) as terminal:
        terminal.wait(has_status)
        release(terminal, go, 4)
        assert not [line for line in terminal.everything if STATUS.search(line)]
        assert len(terminal.everything) == 13


def test_it_waits_for_the_end_of_a_line(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write(
        "x.do", "echo one >&2; read x <go; printf half >&2; echo now >pids; read x <go; echo ' whole' >&2; read x <go"
    )
    with Terminal(project, "redo", "x") as terminal:
        terminal.wait(has_status)
        go.send()
        terminal.wait(lambda lines: lines == ["redo  x", "one", "half"])
        go.send()
        terminal.wait(lambda lines: has_status(lines) and lines[:-1] == ["redo  x", "one", "half whole"])
        release(terminal, go, 1)


def test_it_fits_a_narrow_terminal_and_follows_its_size(held: Project, go: Fifo) -> None:
    with Terminal(held, "redo", "-j4", columns=12) as terminal:
        terminal.wait(lambda lines: has_status(lines) and lines[-1].endswith("+3"))
        assert all(len(line) < 12 for line in terminal.lines)
        terminal.resize(80, 24)
        terminal.wait(lambda lines: has_status(lines) and lines[-1].endswith("a b c d"))
        terminal.resize(5, 24)
        terminal.wait(lambda lines: not has_status(lines))
        release(terminal, go, 4)


@pytest.mark.parametrize("name", ["日本語", "e\u0301clair", "with blank", "tab\there", "\udcff\udcfe"])
def test_names_of_any_kind_keep_it_in_one_line(project: Project, pids: Fifo, go: Fifo, name: str) -> None:
    project.write("default.do", "echo $$ >pids; read x <go")
    with Terminal(project, "redo", name * 10, columns=40) as terminal:
        terminal.wait(has_status)
        assert len([line for line in terminal.lines if STATUS.match(line)]) == 1
        release(terminal, go, 1)
        assert not [line for line in terminal.lines if STATUS.match(line)]


def test_after_ctrl_c_it_is_gone_and_so_is_what_ran(held: Project, pids: Fifo) -> None:
    with Terminal(held, "redo", "-j4") as terminal:
        processes = [pids.receive_process() for _ in range(4)]
        terminal.wait(is_shown)
        terminal.send(CTRL_C)
        assert terminal.finish() == -signal.SIGINT
        assert terminal.lines[:3] == BEGUN
        assert not [line for line in terminal.lines if STATUS.search(line)]
        for process in processes:
            process.wait_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_after_a_signal_it_is_gone(held: Project, number: signal.Signals) -> None:
    with Terminal(held, "redo", "-j4") as terminal:
        terminal.wait(is_shown)
        terminal.process.send_signal(number)
        assert terminal.finish() == -number
        assert terminal.lines[:3] == BEGUN
        assert not [line for line in terminal.lines if STATUS.search(line)]


def test_when_the_server_is_killed_it_is_gone(held: Project, pids: Fifo) -> None:
    with Terminal(held, "redo", "-j4") as terminal:
        processes = [pids.receive_process() for _ in range(4)]
        terminal.wait(is_shown)
        held.kill_server()
        assert terminal.finish() == 1
        assert terminal.lines[3].startswith("redo: the build server (redod) ended without an answer")
        assert not [line for line in terminal.lines if STATUS.search(line)]
        for process in processes:
            process.kill()


def test_ctrl_z_takes_it_away_and_fg_brings_it_back(held: Project, go: Fifo) -> None:
    with Terminal(held, "bash", "--norc", "--noprofile", "-i") as terminal:
        terminal.send("redo -j4\r")
        terminal.wait(has_status)
        terminal.send(CTRL_Z)
        terminal.wait(is_stopped)
        assert not [line for line in terminal.lines if STATUS.match(line)]
        go.send()
        terminal.send("fg\r")
        terminal.wait(lambda lines: has_status(lines) and lines[-1].startswith("[1/5]"))
        for _ in range(3):
            go.send()
        terminal.wait(lambda lines: lines[-1] == "$")
        assert terminal.lines[-2] == "end d"
        terminal.send("exit\r")
        assert terminal.finish() == 0


def test_in_the_background_there_is_none(held: Project, go: Fifo) -> None:
    with Terminal(held, "bash", "--norc", "--noprofile", "-i") as terminal:
        terminal.send("redo -j4\r")
        terminal.wait(has_status)
        terminal.send(CTRL_Z)
        terminal.wait(is_stopped)
        before = len(terminal.raw)
        terminal.send("bg\r")
        for _ in range(4):
            go.send()
        terminal.wait_for("end d")
        assert not re.search(rb"\[\d+/5\]", terminal.raw[before:])
        terminal.send("exit\r")
        assert terminal.finish() == 0


@pytest.mark.parametrize(
    ("options", "environment"),
    [(["--no-status"], {}), (["--no-log"], {}), ([], {"TERM": "dumb"}), ([], {"TERM": ""})],
)  # fmt: skip
def test_there_is_none_where_it_is_not_wanted(
    held: Project, go: Fifo, pids: Fifo, options: list[str], environment: dict[str, str]
) -> None:
    with Terminal(held, "redo", "-j4", *options, env=environment) as terminal:
        for _ in range(4):
            pids.receive()
        release(terminal, go, 4)
        assert b"\r\x1b" not in terminal.raw
        assert b"[" not in re.sub(rb"\x1b\[\d*m", b"", terminal.raw)


def test_it_tells_of_another_build_that_is_waited_for(held: Project, go: Fifo, pids: Fifo) -> None:
    first = held.start("redo-ifchange", "a")
    pids.receive()
    with Terminal(held, "redo-ifchange", "a") as terminal:
        terminal.wait(lambda lines: has_status(lines) and "another build makes a" in lines[-1])
        go.send()
        assert terminal.finish() == 0
    first.communicate()


def test_who_follows_a_build_sees_it_too(held: Project, go: Fifo, pids: Fifo) -> None:
    building = held.start("redo", "-j4")
    for _ in range(4):
        pids.receive()
    with Terminal(held, "redo-log", "-f", "all") as terminal:
        terminal.wait(lambda lines: has_status(lines) and lines[-1].startswith("[0/5]"))
        for _ in range(4):
            go.send()
        assert terminal.finish() == 0
        assert terminal.lines == ["redo  all"]
    finish(building)


def test_it_tells_that_it_waits_for_a_token(held: Project, go: Fifo, pids: Fifo) -> None:
    held.write("redod.toml", "jobs = 2\n")
    first = held.start("redo-ifchange", "a", "b")
    for _ in range(2):
        pids.receive()
    with Terminal(held, "redo-ifchange", "c", "d") as terminal:
        terminal.wait(lambda lines: has_status(lines) and lines[-1].endswith(" c  (waits for a token)"))
        for _ in range(4):
            go.send()
        assert terminal.finish() == 0
    finish(first)


def test_it_tells_of_another_server_that_is_waited_for(held: Project, go: Fifo, pids: Fifo, tmp_path: Path) -> None:
    first = held.start("redo", "a")
    pids.receive()
    other = Project(held.path, held.bindir, tmp_path / "other")
    with Terminal(other, "redo", "b") as terminal:
        terminal.wait(lambda lines: has_status(lines) and "waits for another build server" in lines[-1])
        for _ in range(2):
            go.send()
        assert terminal.finish() == 0
    finish(first)
    other.close()


def test_it_tells_what_is_held(project: Project, pids: Fifo) -> None:
    project.write("serve.do", "(exec sleep 1000) & echo $! >pids")
    with Terminal(project, "redo", "serve") as terminal:
        sleeper = pids.receive_process()
        terminal.wait(lambda lines: has_status(lines) and "held by what it started: serve" in lines[-1])
        sleeper.kill()
        assert terminal.finish() == 0


def test_starts_are_green_and_failures_red_on_a_terminal(project: Project) -> None:
    project.write("x.do", "exit 3")
    with Terminal(project, "redo", "--no-status", "x") as terminal:
        assert terminal.finish() == 1
        assert b"\x1b[32mredo  \x1b[1mx\x1b[m\r\n\x1b[31mredo  \x1b[1mx (exit 3)\x1b[m\r\n" in terminal.raw


@pytest.mark.parametrize(
    ("options", "environment"),
    [(["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"}), (["--no-pretty"], {})],
)  # fmt: skip
def test_there_are_no_colours_where_they_are_not_wanted(
    project: Project, options: list[str], environment: dict[str, str]
) -> None:
    project.write("x.do", "exit 3")
    with Terminal(project, "redo", *options, "x", env=environment) as terminal:
        assert terminal.finish() == 1
        assert b"\x1b[3" not in terminal.raw


def test_color_asks_for_colours_everywhere(project: Project) -> None:
    project.write("x.do", "")
    assert project.run("redo", "--color", "x", check=True).stderr == b"\x1b[32mredo  \x1b[1mx\x1b[m\n"
    assert project.run("redo-log", "--color", "x", check=True).stdout == b"\x1b[32mredo  \x1b[1mx\x1b[m\n"


def test_what_failed_is_said_again_at_the_end(project: Project) -> None:
    project.write("all.do", "redo-ifchange sub/a b c")
    project.write("sub/default.do", 'for i in $(seq 30); do echo "line $i" >&2; done; exit 4')
    project.write("b.do", "echo fine >&2")
    project.write("c.do", "echo said; echo other >$3")
    with Terminal(project, "redo", "-k", "-j1", columns=120, rows=60) as terminal:
        assert terminal.finish() == 1
        lines = terminal.lines
    end = lines.index("redo  all (exit 1)")
    assert lines[end + 1 :] == [
        "redo: failed: sub/a (exit 4), by sub/default.do",
        *(f"  line {number}" for number in range(21, 31)),
        "redo: failed: c (exit 207), by c.do",
        *[f"  {line}" for line in lines[:end] if line.startswith("redo: c: ")],
    ]


def test_a_failure_met_again_is_not_said_of_those_who_asked(project: Project) -> None:
    project.write("all.do", "redo-ifchange one two")
    project.write("one.do", "redo-ifchange bad")
    project.write("two.do", "redo-ifchange bad")
    project.write("bad.do", "exit 9")
    with Terminal(project, "redo", "-k", "-j1") as terminal:
        assert terminal.finish() == 1
        assert [line for line in terminal.lines if line.startswith("redo: failed")] == [
            "redo: failed: bad (exit 9), by bad.do"
        ]


def test_many_failures_are_counted(project: Project) -> None:
    project.write("default.do", "exit 1")
    with Terminal(project, "redo", "-k", *[f"t{number}" for number in range(13)], rows=60) as terminal:
        assert terminal.finish() == 1
        assert len([line for line in terminal.lines if line.startswith("redo: failed: t")]) == 10
        assert terminal.lines[-1] == "redo: failed: 3 more"


def test_a_client_that_is_stopped_holds_up_nobody(held: Project, go: Fifo, pids: Fifo) -> None:
    with Terminal(held, "redo", "-j4") as terminal:
        terminal.wait(has_status)
        terminal.process.send_signal(signal.SIGSTOP)
        for _ in range(4):
            go.send()
        held.run("redo-ifchange", "a", check=True)
        terminal.process.send_signal(signal.SIGCONT)
        assert terminal.finish() == 0
        assert terminal.lines[-1] == "end d"
    wait_for_sessions(held, 0)
