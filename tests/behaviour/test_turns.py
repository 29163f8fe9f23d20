"""Who goes first when there are more jobs than tokens, and what waits for the machine."""

import os
import re
import select
import subprocess
from collections.abc import Iterator

import pytest

from tests.behaviour.events import Fifo, expect, finish, wait_for_sessions
from tests.behaviour.project import Project
from tests.behaviour.terminal import Terminal


@pytest.mark.parametrize("how", [["redo", "--background-priority"], ["nice", "-n", "5", "redo"]])
def test_what_runs_in_the_background_lets_others_go_first(project: Project, pids: Fifo, how: list[str]) -> None:
    def release(*names: str) -> None:
        for name in names:
            (project.path / f"go.{name}").write_text("\n")

    project.write("redod.toml", "jobs = 2\n")
    project.write("default.do", "echo $1 >pids; read x <go.$1")
    for name in ("b1", "b2", "b3", "b4", "f1", "f2"):
        os.mkfifo(project.path / f"go.{name}")
    background = project.start(*how, "b1", "b2", "b3", "b4")
    assert {pids.receive(), pids.receive()} == {"b1", "b2"}
    # One job of every session may run whatever the pool has.
    other = project.start("redo", "f1", "f2")
    assert pids.receive() == "f1"
    # It answers when the server has done all that it was asked for: f2 waits for a token.
    project.run("redo-ood", check=True)
    # Now three hold tokens: two must end for another to start, and though b3 waited longer, it is f2.
    release("b1", "f1")
    assert pids.receive() == "f2"
    release("f2", "b2", "b3", "b4")
    finish(other)
    finish(background)


def test_scripts_are_as_nice_as_their_command(project: Project) -> None:
    project.write("x.do", "redo-ifchange y; nice")
    project.write("y.do", "nice")
    project.run("nice", "-n", "7", "redo", "x", check=True)
    expected = f"{min(19, os.nice(0) + 7)}\n"
    assert (project.read("x"), project.read("y")) == (expected, expected)


def test_two_builds_side_by_side_share_the_tokens(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("redod.toml", "jobs = 4\n")
    project.write("default.do", "echo $1 >pids; read x <go")
    names = [[f"{side}{number}" for number in range(8)] for side in "ab"]
    first = project.start("redo", *names[0])
    started = [pids.receive() for _ in range(4)]
    second = project.start("redo", *names[1])
    started += [pids.receive()]
    for _ in range(4):
        go.send()
    # Five ran, one more than there are tokens; for the four that end three start.
    started += [pids.receive() for _ in range(3)]
    assert sum(name.startswith("b") for name in started) >= 2
    for _ in range(12):
        go.send()
    finish(first)
    finish(second)


@pytest.fixture
def busy() -> Iterator[None]:
    """Something runs on this machine all the time."""
    with subprocess.Popen(["sh", "-c", "echo; while :; do :; done"], stdout=subprocess.PIPE) as spinning:
        assert spinning.stdout is not None
        spinning.stdout.readline()
        yield
        spinning.kill()


@pytest.mark.usefixtures("busy")
def test_with_a_load_limit_no_job_starts_beside_another_on_a_busy_machine(project: Project, go: Fifo) -> None:
    project.write("a.do", "echo $1 >>order; read x <go; echo end >>order")
    project.write("default.do", "echo $1 >>order")
    with Terminal(project, "redo", "-j3", "--load=1", "a", "b", "c") as terminal:
        terminal.wait_for("(waits for a load below 1)")
        go.send()
        assert terminal.finish() == 0
        said = [line for line in terminal.everything if line.startswith("redo: starts no more beside what runs")]
    assert project.read("order").split() == ["a", "end", "b", "c"]
    assert len(said) == 1
    assert re.search(r"the load is \d+, and --load=1$", said[0])


def test_a_load_limit_that_is_not_reached_holds_nobody_back(project: Project) -> None:
    project.write("default.do", "echo $1 >>begun; until test $(wc -l <begun) -ge 3; do :; done")
    result = project.run("redo", "-j3", "--load=100000", "a", "b", "c", check=True)
    assert b"load" not in result.stderr


@pytest.mark.parametrize("limit", ["", "x", "-1", "inf", "nan"])
def test_a_load_limit_that_is_no_number_is_a_usage_error(project: Project, limit: str) -> None:
    result = project.run("redo", f"--load={limit}", "x")
    assert result.returncode == 2
    assert b"load" in result.stderr


def test_who_joins_late_sees_the_log_from_its_beginning(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo first >&2; echo $$ >pids; read x <go; echo last >&2")
    first = project.start("redo", "x")
    pids.receive()
    late = project.start("redo-ifchange", "x")
    seen = expect(late, b"first\n")
    wait_for_sessions(project, 2)
    go.send()
    finish(first)
    _, err = finish(late)
    assert b"redo  x\nfirst\nlast\n" in seen + err


def test_nobody_waits_for_a_strangers_slow_terminal(project: Project) -> None:
    """The first command's standard error is a pipe that nobody reads; what it prints is more than pipes hold."""
    project.write("x.do", "seq 200000 >&2; echo made")
    read, write = os.pipe()
    slow = project.start("redo", "x", stderr=write)
    os.close(write)
    assert select.select([read], [], [], 60)[0]
    result = project.run("redo-ifchange", "x", check=True)
    assert project.read("x") == "made\n"
    assert result.stderr.count(b"\n") in (0, 200001)
    assert slow.poll() is None
    while os.read(read, 1 << 20):
        pass
    os.close(read)
    finish(slow)
