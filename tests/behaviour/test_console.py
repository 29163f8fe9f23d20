"""Jobs whose output is not kept: straight to the caller's standard error, or with the terminal for themselves."""

import os
import signal

import pytest

from tests.behaviour.events import Fifo, finish, wait_for_sessions
from tests.behaviour.project import Project
from tests.behaviour.terminal import Terminal, is_stopped

CTRL_C, CTRL_Z = "\x03", "\x1a"


@pytest.mark.parametrize("jobs", ["-j1", "-j4"])
def test_no_log_gives_scripts_the_callers_standard_error(project: Project, jobs: str) -> None:
    project.write("x.do", "redo-ifchange y; test -t 2 && echo x on a terminal >&2; echo made")
    project.write("y.do", "test -t 2 && echo y on a terminal >&2; echo $REDO_LOG")
    with Terminal(project, "redo", "--no-log", "--no-color", jobs, "x") as terminal:
        assert terminal.finish() == 0
        assert terminal.lines == ["redo  x", "redo    y", "y on a terminal", "x on a terminal"]
    assert (project.read("x"), project.read("y")) == ("made\n", "0\n")


@pytest.mark.parametrize("jobs", ["-j1", "-j4"])
def test_no_log_keeps_nothing_but_how_it_went(project: Project, jobs: str) -> None:
    project.write("x.do", "echo said >&2; exit 7")
    result = project.run("redo", "--no-log", jobs, "x")
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr == b"redo  x\nsaid\nredo  x (exit 7)\n"
    assert project.run("redo-log", "x", check=True).stdout == b"redo  x\nredo  x (exit 7)\n"


def test_no_log_with_j1_reads_the_callers_standard_input(project: Project) -> None:
    project.write("x.do", "read line; redo-ifchange y; echo x $line")
    project.write("y.do", "read line; echo y $line")
    project.run("redo", "--no-log", "-j1", "x", input=b"one\ntwo\n", check=True)
    assert (project.read("x"), project.read("y")) == ("x one\n", "y two\n")
    result = project.run("redo", "--no-log", "-j2", "y", input=b"one\n")
    assert result.returncode == 1


@pytest.mark.parametrize("jobs", ["-j1", "-j4"])
def test_no_log_follows_a_redirection_as_a_plain_process_tree(project: Project, jobs: str) -> None:
    project.write("x.do", "redo-ifchange y 2>cap; echo from x >&2")
    project.write("y.do", "echo from y >&2")
    result = project.run("redo", "--no-log", jobs, "x", check=True)
    assert result.stderr == b"redo  x\nfrom x\n"
    assert project.read("cap").endswith("y\nfrom y\n")


@pytest.mark.parametrize("jobs", ["-j1", "-j4"])
def test_who_shares_standard_error_with_a_no_log_job_is_no_part_of_it(project: Project, jobs: str) -> None:
    os.mkfifo(project.path / "go")
    project.write("slow.do", "echo begun >&2; read x <go; echo slow")
    project.write("other.do", "echo done >&2; echo other")
    read, write = os.pipe()
    with open(read, "rb") as terminal:
        slow = project.start("redo", "--no-log", jobs, "slow", stderr=write)
        assert [terminal.readline(), terminal.readline()] == [b"redo  slow\n", b"begun\n"]
        both = project.start("redo-ifchange", "other", "slow", stderr=write)
        assert [terminal.readline(), terminal.readline()] == [b"redo  other\n", b"done\n"]
        (project.path / "go").write_text("\n")
        finish(slow)
        finish(both)
    os.close(write)


@pytest.fixture
def menu(project: Project) -> Project:
    """A target whose script asks on the terminal, and writes down what it finds."""
    project.write(
        "sub/menu.do",
        "redo-ifchange ../dep; umask >seen; pwd >>seen; echo $MARK >>seen\n"
        "printf 'choose: ' >/dev/tty; read answer </dev/tty; echo chosen $answer >&2; echo $answer\n",
    )
    project.write("dep.do", "echo about dep >&2; echo dep")
    return project


def test_a_console_job_has_the_terminal(menu: Project) -> None:
    with Terminal(menu, "sh", "-c", "umask 027; redo --console --no-color sub/menu", env={"MARK": "mark"}) as terminal:
        terminal.wait(lambda lines: lines[-1:] == ["choose:"])
        assert terminal.lines == ["redo  sub/menu", "redo    dep", "about dep", "choose:"]
        terminal.send("blue\r")
        assert terminal.finish() == 0
        assert terminal.lines[3:] == ["choose: blue", "chosen blue"]
    assert menu.read("sub/menu") == "blue\n"
    assert menu.read("sub/seen") == f"0027\n{menu.path}/sub\nmark\n"
    assert (menu.path / "sub/menu").stat().st_mode & 0o777 == 0o640
    assert menu.redo("sub/menu") == []


def test_a_dofile_may_ask_for_the_console_or_redod_toml_for_it(menu: Project) -> None:
    menu.write("all.do", "redo --console sub/menu")
    with Terminal(menu, "redo") as terminal:
        terminal.wait(lambda lines: lines[-1:] == ["choose:"])
        terminal.send("red\r")
        assert terminal.finish() == 0
    menu.write("all.do", "redo-ifchange sub/menu")
    menu.write("redod.toml", 'console = ["sub/m*"]\n')
    menu.run("touch", "sub/menu.do")
    with Terminal(menu, "redo") as terminal:
        terminal.wait(lambda lines: lines[-1:] == ["choose:"])
        terminal.send("green\r")
        assert terminal.finish() == 0
    assert menu.read("sub/menu") == "green\n"


def test_while_it_has_the_terminal_nobody_else_writes_there(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("redod.toml", 'console = ["ask"]\n')
    project.write("all.do", "redo-ifchange a ask b")
    project.write("a.do", "echo a begins >&2; redo-ifchange source; read x <go; echo a ends >&2; echo >pids")
    project.write("b.do", "echo b says >&2; echo >pids")
    project.write("ask.do", "echo ask begins >&2; read x </dev/tty; echo ask ends >&2")
    project.write("source", "")
    with Terminal(project, "redo", "-j4", "--no-color") as terminal:
        terminal.wait_for("ask begins")
        go.send()
        for _ in range(2):
            pids.receive()
        before = terminal.lines
        terminal.send("\r")
        terminal.wait_for("ask ends")
        assert terminal.finish() == 0
        shown = [line for line in terminal.lines if line]
    assert before[:2] == ["redo  all", "redo    a"]
    assert before[-2:] == ["redo    ask", "ask begins"]
    end = shown.index("ask ends")
    assert shown[len(before) : end] == []
    # Where a's first words come depends on which of the two scripts is faster.
    others = [*before[2:-2], *shown[end + 1 :]]
    assert others == ["a begins", "a ends", "redo    ask", "redo    b", "b says"]


def test_console_jobs_run_one_after_the_other(project: Project) -> None:
    project.write("redod.toml", 'console = ["*.ask"]\n')
    project.write("all.do", "redo-ifchange a.ask b.ask c.ask")
    project.write("default.ask.do", "echo begin >>order; redo-ifchange dep; echo end >>order")
    project.write("dep.do", "")
    project.write("default.ask.do", "echo begin >>order; : >/dev/tty; echo end >>order")
    with Terminal(project, "redo", "-j4") as terminal:
        assert terminal.finish() == 0
    assert project.read("order") == "begin\nend\n" * 3


def test_a_console_job_may_ask_for_another(project: Project) -> None:
    project.write("redod.toml", 'console = ["*"]\n')
    project.write("all.do", "echo all begins >&2; redo-ifchange a b; read x </dev/tty; echo all ends >&2")
    project.write("default.do", "read x </dev/tty; echo $1 $x >&2")
    with Terminal(project, "redo", "-j4", "--no-color") as terminal:
        terminal.wait_for("redo    a")
        terminal.send("1\r")
        terminal.wait_for("redo    b")
        terminal.send("2\r3\r")
        assert terminal.finish() == 0
        shown = [line for line in terminal.lines if not line.isdecimal()]
    assert shown == ["redo  all", "all begins", "redo    a", "a 1", "redo    b", "b 2", "all ends"]


def test_one_that_another_build_waits_for_fails_when_its_terminal_is_gone(project: Project, pids: Fifo) -> None:
    project.write("redod.toml", 'console = ["first", "second"]\n')
    project.write("all.do", "redo-ifchange first second")
    project.write("default.do", "echo $$ >pids; read x </dev/tty; echo $1")
    with Terminal(project, "redo", "-j4") as terminal:
        job = pids.receive_process()
        other = project.start("redo-ifchange", "second")
        wait_for_sessions(project, 2)
        terminal.process.kill()
        job.wait_end()
        _, err = finish(other, status=1)
    assert b"the terminal that it was to have is gone" in err


@pytest.fixture
def asking(project: Project) -> Project:
    """A console job that tells its pid and waits for a line."""
    project.write("x.do", "echo $$ >pids; read x </dev/tty; echo $x")
    return project


@pytest.fixture
def shell(project: Project) -> Terminal:
    return Terminal(project, "bash", "--norc", "--noprofile", "-i")


def leave(terminal: Terminal) -> None:
    """The shell has its terminal back, and its own life."""
    terminal.send("echo still $((40 + 2))\r")
    terminal.wait_for("still 42")
    terminal.send("exit\r")
    assert terminal.finish() == 0


def test_ctrl_c_ends_it_and_not_the_shell_around(asking: Project, pids: Fifo, shell: Terminal) -> None:
    with shell as terminal:
        terminal.send("redo --console x; echo status $?\r")
        job = pids.receive_process()
        terminal.send(CTRL_C)
        job.wait_end()
        terminal.wait(lambda lines: lines[-1:] == ["$"])
        terminal.send("echo after $?\r")
        terminal.wait_for("after 130")
        leave(terminal)
    assert not (asking.path / "x").exists()


def test_ctrl_c_that_it_handles_is_its_own(project: Project, pids: Fifo, shell: Terminal) -> None:
    project.write(
        "x.do", "#!/bin/bash\ntrap 'echo caught >&2' INT\necho $$ >pids; read x </dev/tty; read x </dev/tty; echo $x"
    )
    with shell as terminal:
        terminal.send("redo --console x\r")
        pids.receive_process()
        terminal.send(CTRL_C)
        terminal.wait_for("caught")
        terminal.send("go\r")
        terminal.send("on\r")
        terminal.wait(lambda lines: lines[-1:] == ["$"] and (project.path / "x").exists())
        leave(terminal)
    assert project.read("x") in ("go\n", "on\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_the_client_ends_it_and_not_the_shell_around(
    asking: Project, pids: Fifo, shell: Terminal, number: signal.Signals
) -> None:
    with shell as terminal:
        terminal.send("sh -c 'echo $$ >pids; exec redo --console x'\r")
        client = pids.receive_process()
        job = pids.receive_process()
        client.kill(number)
        job.wait_end()
        terminal.wait(lambda lines: lines[-1:] == ["$"])
        leave(terminal)
    assert not (asking.path / "x").exists()


def test_when_the_server_was_killed_the_next_one_ends_it_and_not_the_shell_around(
    asking: Project, pids: Fifo, shell: Terminal
) -> None:
    with shell as terminal:
        terminal.send("redo --console x\r")
        job = pids.receive_process()
        asking.kill_server()
        terminal.wait(lambda lines: lines[-1:] == ["$"])
        asking.write("y.do", "")
        asking.redo("y")
        job.wait_end()
        leave(terminal)


def test_ctrl_z_stops_it_and_fg_goes_on(asking: Project, pids: Fifo, shell: Terminal) -> None:
    with shell as terminal:
        terminal.send("redo --console x\r")
        job = pids.receive_process()
        terminal.send(CTRL_Z)
        terminal.wait(is_stopped)
        job.wait_stopped()
        terminal.send("fg\r")
        terminal.wait(lambda lines: lines[-1] == "redo --console x")
        terminal.send("word\r")
        terminal.wait(lambda lines: lines[-1:] == ["$"])
        leave(terminal)
    assert asking.read("x") == "word\n"


def test_without_a_terminal_it_has_the_callers_streams(project: Project) -> None:
    project.write("x.do", "read line; echo read $line >&2; echo made")
    result = project.run("redo", "--console", "x", input=b"this\n", check=True)
    assert (result.stdout, result.stderr) == (b"", b"redo  x\nread this\n")
    assert project.read("x") == "made\n"


def test_one_that_cannot_be_started_fails_and_says_why(project: Project) -> None:
    project.write("x.do", "#!/no/such/interpreter\n")
    result = project.run("redo", "--console", "x")
    assert result.returncode == 1
    assert result.stderr == b"redo  x\nredo: cannot start it: No such file or directory\nredo  x (exit 127)\n"


def test_what_it_leaves_behind_holds_it_as_any_job(project: Project, pids: Fifo) -> None:
    project.write("x.do", "(exec sleep 1000 >&- 2>&-) & echo $! >pids")
    building = project.start("redo", "--console", "x")
    sleeper = pids.receive_process()
    sleeper.kill()
    finish(building)


def test_with_its_output_closed_it_runs_all_the_same(project: Project) -> None:
    project.write("x.do", "echo said >&2; echo made")
    for options in (["--console"], ["--no-log", "-j1"], ["--no-log", "-j4"]):
        project.run("sh", "-c", 'redo "$@" x 0<&- 1>&- 2>&-', "sh", *options, check=True)
        assert project.read("x") == "made\n"
