"""Edits of every kind, each followed by a build through the real client and server: never one too few.

REDOD_EDIT_RUNS: how many, from the seed REDOD_EDIT_SEED on.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.project import CLIENTS, Project, make_install
from tests.model.edits import Tree

COUNT = 40
OVERFLOW = 20_000
"""Events, more than fit the queue of the server while it stands still."""


@pytest.fixture(scope="module")
def bindir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_install(tmp_path_factory.mktemp("install"), CLIENTS[0])


@pytest.fixture(params=["on", "off"])
def project(tmp_path: Path, bindir: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    made = Project(tmp_path / "project", bindir, tmp_path / "runtime")
    made.environment["REDOD_WATCH"] = request.param
    yield made
    made.close()


def check(project: Project, tree: Tree, told: list[str]) -> None:
    result = project.run("redo-ifchange", "all")
    assert result.returncode == 0, (told[-5:], result.stderr)
    assert project.path.joinpath("all").read_bytes() == tree.expected(), f"missed after {told[-5:]}"


def test_no_edit_is_missed(project: Project, tmp_path: Path) -> None:
    count, seed = int(os.environ.get("REDOD_EDIT_RUNS", COUNT)), int(os.environ.get("REDOD_EDIT_SEED", "1"))
    tree = Tree(project.path, tmp_path / "aside", seed)
    told: list[str] = []
    check(project, tree, told)
    for number in range(count):
        told += [tree.edit() for _ in range(tree.random.choice([1, 1, 1, 2, 3]))]
        if number % 1000 == 500:
            told.append("restart")
            project.run("redod", "stop", check=True)
        check(project, tree, [f"seed {seed}, {number}", *told])
    assert b'"missed": 0' in project.run("redod", "status", "--json", check=True).stdout
    assert project.run("redod", "verify").returncode == 0


def test_an_edit_among_more_events_than_the_queue_holds_is_not_missed(project: Project, tmp_path: Path) -> None:
    tree = Tree(project.path, tmp_path / "aside", 1)
    check(project, tree, [])
    pidfd = os.pidfd_open(project.server_pid)
    signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
    try:
        tree.burst(OVERFLOW)
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        os.close(pidfd)
    check(project, tree, ["burst"])
    assert b'"missed": 0' in project.run("redod", "status", "--json", check=True).stdout
