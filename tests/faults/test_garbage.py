"""Memory: what a build makes and drops goes at once, so that nobody must look through the graph for garbage."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.project import CLIENTS, Project, make_install


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """With a server that counts its garbage."""
    bindir = make_install(tmp_path / "install", CLIENTS[0])
    packages = next((bindir.parent / "lib").glob("python3*")) / "site-packages"
    (packages / "garbage.pth").write_text("import tests.faults.garbage\n")
    # Behind the file that puts this checkout on the path.
    (packages / "checkout.pth").rename(packages / "a.pth")
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
