"""Projects for the tests of what redo means: on one server for each client, so that a test costs only its builds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.project import CLIENTS, Project


@pytest.fixture(scope="session")
def servers(installs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Project]]:
    """By client, a project whose server serves the others, too. The servers end with the tests."""
    root = tmp_path_factory.mktemp("semantics")
    made = {
        client: Project(root / client / "project", installs[client], root / client / "runtime") for client in CLIENTS
    }
    yield made
    for project in made.values():
        project.close()


@pytest.fixture(params=CLIENTS)
def project(request: pytest.FixtureRequest, servers: dict[str, Project], tmp_path: Path) -> Project:
    """An empty project, with each client in turn."""
    return sharing(servers[request.param], tmp_path)


@pytest.fixture
def native_project(servers: dict[str, Project], tmp_path: Path) -> Project:
    """An empty project, for promises in which the client has no part."""
    return sharing(servers[CLIENTS[0]], tmp_path)


def sharing(server: Project, directory: Path) -> Project:
    """A project in `directory` on the server of another."""
    made = Project(directory / "project", server.bindir, directory / "unused")
    made.environment = dict(server.environment)
    return made
