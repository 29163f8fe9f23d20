"""What all behaviour tests use: each client in turn, a project of the test's own, and ways to hold its scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo
from tests.behaviour.project import CLIENTS, PATIENT, Project, make_install, make_patient


@pytest.fixture(scope="session")
def installs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The bin directory of an install by client, and of the patient one."""
    directory = tmp_path_factory.mktemp("installs")
    made = {client: make_install(directory / client, client) for client in CLIENTS}
    return {**made, PATIENT: make_patient(directory / PATIENT, made[CLIENTS[0]])}


@pytest.fixture(params=CLIENTS)
def bindir(request: pytest.FixtureRequest, installs: dict[str, Path]) -> Path:
    """Each client in turn."""
    return installs[request.param]


@pytest.fixture
def project(tmp_path: Path, bindir: Path) -> Iterator[Project]:
    """An empty project."""
    made = Project(tmp_path / "project", bindir, tmp_path / "runtime")
    yield made
    made.close()


@pytest.fixture
def pids(project: Project) -> Iterator[Fifo]:
    """Lines from scripts to the test."""
    fifo = Fifo(project.path / "pids")
    yield fifo
    fifo.close()


@pytest.fixture
def go(project: Project) -> Iterator[Fifo]:
    """Lines from the test to scripts."""
    fifo = Fifo(project.path / "go")
    yield fifo
    fifo.close()
