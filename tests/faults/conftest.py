"""Projects for the tests of what goes wrong: with the first client only, which has no part in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo
from tests.behaviour.project import CLIENTS, Project, make_install, make_patient


@pytest.fixture(scope="session")
def bindir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_install(tmp_path_factory.mktemp("install"), CLIENTS[0])


@pytest.fixture
def project(tmp_path: Path, bindir: Path) -> Iterator[Project]:
    """An empty project with a server of its own."""
    made = Project(tmp_path / "project", bindir, tmp_path / "runtime")
    yield made
    made.close()


@pytest.fixture
def patient(project: Project, tmp_path: Path) -> Iterator[Project]:
    """The same project, with a server that does not lose patience."""
    made = Project(project.path, make_patient(tmp_path / "install", project.bindir), tmp_path / "patient")
    yield made
    made.close()


@pytest.fixture
def pids(project: Project) -> Iterator[Fifo]:
    """Lines from scripts to the test."""
    fifo = Fifo(project.runtime / "pids")
    yield fifo
    fifo.close()


@pytest.fixture
def go(project: Project) -> Iterator[Fifo]:
    """Lines from the test to scripts."""
    fifo = Fifo(project.runtime / "go")
    yield fifo
    fifo.close()
