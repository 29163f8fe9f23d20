"""Memory: what a build makes and drops goes at once, so that nobody must look through the graph for garbage. A target's
log goes when it is stored.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, expect, finish
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
