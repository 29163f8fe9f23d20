"""Orphans of scripts: the server adopts them, and none stays a zombie, on both loops and where it is process 1."""

import os
from pathlib import Path

import pytest

from redod.jobs.holders import read_process
from tests.behaviour.events import Fifo, expect, finish
from tests.behaviour.project import CLIENTS, Project

ORPHANS = """
for n in 1 2 3 4 5 6 7 8 9; do ( sh -c "echo \\$\\$ >orphan.$n.new; mv orphan.$n.new orphan.$n" & ); done
for n in 1 2 3 4 5 6 7 8 9; do
    until [ -e orphan.$n ]; do sleep 0.02; done
    while [ -e /proc/$(cat orphan.$n) ]; do sleep 0.02; done
done
"""
"""Returns when they are gone, zombies too."""


@pytest.fixture
def bindir(installs: dict[str, Path]) -> Path:
    """The client has no part in this."""
    return installs[CLIENTS[0]]


def test_an_orphan_is_the_servers_child_and_reaped(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "( ( echo $(exec sh -c 'echo $PPID') >pids; read x <go ) & ); echo ready >pids; read x <go\n")
    client = project.start("redo", "x")
    lines = {pids.receive(), pids.receive()} - {"ready"}
    orphan = read_process(int(lines.pop()))
    assert orphan is not None
    assert orphan.parent == project.server_pid
    go.send()
    go.send()
    finish(client)
    project.write("y.do", ORPHANS)
    project.redo("y")
    assert read_process(orphan.pid) is None


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_no_orphan_stays_a_zombie_while_its_script_runs(project: Project, loop: str) -> None:
    server = project.start(str(project.bindir / "redod"), "run", "--loop", loop)
    expect(server, b"serving")
    project.write("default.do", ORPHANS.replace("orphan", "$2.orphan"))
    assert sorted(project.redo("a", "b", "c")) == ["a", "b", "c"]
    project.run("redod", "stop", check=True)
    finish(server)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a namespace of processes")
def test_as_process_1_of_a_container_too(project: Project) -> None:
    server = project.start(
        "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", str(project.bindir / "redod"), "run"
    )
    expect(server, b"serving")
    project.write("x.do", "echo $PPID\n" + ORPHANS)
    assert project.redo("x") == ["x"]
    assert project.read("x") == "1\n"
    project.run("redod", "stop", check=True)
    finish(server)
