"""Memory: what a build makes and drops goes at once, so that nobody must look through the graph for garbage. A target's
log goes when it is stored.
"""

import os
import select
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, expect, finish, wait_for_sessions
from tests.behaviour.project import CLIENTS, Project, load, make_install


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """With a server that counts its garbage."""
    bindir = make_install(tmp_path / "install", CLIENTS[0])
    load(bindir, "tests.faults.garbage")
    made = Project(tmp_path / "project", bindir, tmp_path / "runtime")
    yield made
    made.close()


def signalled(project: Project, number: int) -> None:
    """The server has received the signal: it answers afterwards."""
    os.kill(project.server_pid, number)
    assert project.server_pid


def garbage(project: Project) -> list[str]:
    signalled(project, signal.SIGUSR2)
    return (project.runtime / "home" / "garbage").read_text().splitlines()


def test_builds_leave_no_garbage(project: Project) -> None:
    project.write("all.do", "redo-ifchange a b c d missing || :\nredo-ifchange e 2>captured\n")
    project.write("default.do", "redo-ifchange source; redo-ifchange $1.x; echo text; echo $1 >&2\n")
    project.write("default.x.do", "redo-ifchange source; redo-always; echo x >$3; echo x | redo-stamp\n")
    project.write("missing.do", "redo-ifchange nothing\n")
    project.write("bad.do", "echo >$1; exit 3\n")
    project.write("source", "one")
    project.write("warm.do", ":\n")
    project.redo("warm")
    signalled(project, signal.SIGUSR1)
    for _ in range(3):
        project.run("redo", "-j2", "all")
        project.run("redo-ifchange", "all")
        project.run("redo", "-k", "bad", "a")
    assert garbage(project) == ["1 list"], "only what was made to be found"


def test_what_comes_and_goes_leaves_no_garbage(project: Project, pids: Fifo) -> None:
    """Workspaces, watches, subscribers, interrupted builds, questions: a server that runs for days has thousands."""
    project.environment["REDOD_UNLOAD"] = "0"
    project.write("x.do", "redo-ifchange source; cat source\n")
    project.write("source", "one")
    project.write("tree.do", 'mkdir "$3"')
    project.write("held.do", f"echo $$ >{pids.path}; sleep 1000\n")
    project.redo("x")
    signalled(project, signal.SIGUSR1)
    for turn in range(2):
        other = project.path / f"other{turn}"
        other.mkdir()
        (other / ".redo").mkdir()
        (other / "y.do").write_text("echo y\n")
        project.run("redo", "y", cwd=other, check=True)
        project.run("redo", "tree", check=True)
        shutil.rmtree(other)
        building = project.start("redo", "held")
        pids.receive_process()
        building.terminate()
        finish(building, status=None)
        for command in (["redo-targets"], ["redo-ood"], ["redo-log", "x"], ["redo-why", "x"], ["redo-dot", "x"]):
            project.run(*command, check=True)
        project.write("source", f"turn {turn}")
        project.run("redo-affected", "--build", "source", check=True)
        project.run("redo-ifchange", "--nonsense")
        watch = project.start("redo", "--watch", "x")
        expect(watch, b"waiting for a change")
        watch.terminate()
        finish(watch, status=None)
        subscriber = project.start("redod", "subscribe")
        assert subscriber.stdout is not None
        while not select.select([subscriber.stdout], [], [], 0)[0]:
            project.run("redo", "x", check=True)
        subscriber.kill()
        finish(subscriber, status=None)
    wait_for_sessions(project, 0)
    assert garbage(project) == ["1 list"], "only what was made to be found"


def test_a_build_keeps_in_memory_the_logs_of_what_runs_and_of_what_failed(
    project: Project, pids: Fifo, go: Fifo
) -> None:
    names = " ".join(f"{kind}{number}" for kind in ("silent", "says", "asks") for number in range(40))
    project.write(
        "all.do", f"redo-ifchange {names}; redo-ifchange fails || :; echo x >{pids.path}; read x <{go.path}; exit 1\n"
    )
    project.write("default.do", "case $1 in s[ai]*) redo-ifchange source; esac\n")
    project.write("source", "")
    for number in range(40):
        project.write(f"says{number}.do", "redo-ifchange source; echo words >&2\n")
        project.write(f"asks{number}.do", f"redo-ifchange below{number} silent{number}; echo more words >&2\n")
    project.write("fails.do", "exit 3\n")
    building = project.start("redo", "-j2", "all")
    pids.receive()
    seen = expect(building, b"fails (exit 3)\n")
    signalled(project, signal.SIGUSR2)
    alive = int((project.runtime / "home" / "logs").read_text())
    go.send()
    _, rest = finish(building, status=1)
    assert (seen + rest).count(b"redo  ") == 1 + 4 * 40 + 3
    assert alive <= 4, "of the session, of all, of what failed, and of who has spoken last"
