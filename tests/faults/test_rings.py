"""Servers that wait for each other's workspaces in a ring: one build is refused, and the others go on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, count, expect, finish, wait_for_sessions
from tests.behaviour.project import Project

REFUSED = b"run it again when that has ended"


@pytest.fixture
def servers(project: Project, tmp_path: Path) -> Iterator[list[Project]]:
    """The same project through four daemons, in the order of their sockets' names."""
    made = [Project(project.path, project.bindir, tmp_path / f"{number}") for number in range(4)]
    yield made
    for server in made:
        server.close()


@pytest.fixture
def gates(project: Project) -> Iterator[dict[str, Fifo]]:
    """By workspace, what its `all` waits for."""
    made = {name: Fifo(project.runtime / f"go-{name}") for name in ("one", "two", "three")}
    yield made
    for gate in made.values():
        gate.close()


def make_workspace(project: Project, pids: Fifo, name: str, following: str) -> Path:
    """Its `all` says that it runs, waits for its gate, then asks for what is in the following workspace."""
    (project.path / name / ".redo").mkdir(parents=True)
    project.write(f"{name}/lib.do", f"echo {name}; echo lib >>../count\n")
    project.write(
        f"{name}/all.do",
        f"echo {name} >{pids.path}; read x <{project.runtime}/go-{name}\n"
        f"redo-ifchange ../{following}/lib; cat ../{following}/lib\n",
    )
    return project.path / name


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_in_a_ring_of_three_servers_one_build_is_refused(
    project: Project, servers: list[Project], pids: Fifo, gates: dict[str, Fifo], order: tuple[int, ...]
) -> None:
    names = ("one", "two", "three")
    where = [make_workspace(project, pids, name, names[(names.index(name) + 1) % 3]) for name in names]
    clients = [servers[number].start("redo", "all", cwd=place) for number, place in zip(order, where, strict=True)]
    assert {pids.receive() for _ in clients} == set(names)
    for gate in gates.values():
        gate.send()
    results = [finish(client, status=None)[1] for client in clients]
    assert sorted(client.returncode for client in clients) == [0, 0, 1], results
    assert [REFUSED in err for err in results] == [client.returncode == 1 for client in clients], results
    assert sum(err.count(REFUSED) for err in results) == 1
    # Whoever waits for the first by name.
    assert clients[order.index(0) - 1].returncode == 1
    assert count(project, "count") == 2


def test_who_waits_for_a_ring_without_being_in_it_is_not_refused(
    project: Project, servers: list[Project], pids: Fifo, gates: dict[str, Fifo]
) -> None:
    """Though its server is the first by name."""
    one, two = (make_workspace(project, pids, *names) for names in (("one", "two"), ("two", "one")))
    three = make_workspace(project, pids, "three", "one")
    clients = [servers[0].start("redo", "all", cwd=three)]
    clients += [servers[number].start("redo", "all", cwd=place) for number, place in ((1, one), (2, two))]
    assert {pids.receive() for _ in clients} == {"one", "two", "three"}
    gates["three"].send()
    expect(clients[0], b"waiting for another build server")
    gates["one"].send()
    expect(clients[1], b"waiting for another build server")
    gates["two"].send()
    results = [finish(client, status=None)[1] for client in clients]
    assert [client.returncode for client in clients] == [0, 0, 1], results
    assert REFUSED in results[2]


def test_a_ring_that_closes_through_a_job_of_another_session_is_found(
    project: Project, servers: list[Project], pids: Fifo, gates: dict[str, Fifo]
) -> None:
    """What the other server needs is used by a session that itself waits for no server, but for a job that does."""
    three, two = make_workspace(project, pids, "three", "two"), make_workspace(project, pids, "two", "one")
    make_workspace(project, pids, "one", "one")
    project.write("one/join.do", f"echo join >{pids.path}; redo-ifchange ../three/all\n")
    owner = servers[0].start("redo", "all", cwd=three)
    assert pids.receive() == "three"
    joined = servers[0].start("redo", "join", cwd=project.path / "one")
    assert pids.receive() == "join"
    wait_for_sessions(servers[0], 2)
    other = servers[1].start("redo", "all", cwd=two)
    assert pids.receive() == "two"
    gates["two"].send()
    expect(other, b"waiting for another build server")
    gates["three"].send()
    results = [finish(client, status=None)[1] for client in (owner, joined, other)]
    assert [client.returncode for client in (owner, joined, other)] == [0, 0, 1], results
    assert REFUSED in results[2]


def test_a_ring_of_two_names_of_one_workspace_is_found(project: Project, pids: Fifo, gates: dict[str, Fifo]) -> None:
    """One server, two bind mounts, two builds: each uses one workspace and needs the other by another name."""
    one, two = (make_workspace(project, pids, *names) for names in (("one", "two"), ("two", "one")))
    seen = project.path / "seen"
    for place in (one, two):
        (seen / place.name).mkdir(parents=True)
        if subprocess.run(["mount", "--bind", place, seen / place.name], capture_output=True).returncode:
            pytest.skip("this needs the right to mount")
    try:
        for here, there in ((one, two), (two, one)):
            text = project.read(f"{here.name}/all.do").replace("../", "../seen/")
            project.write(f"{here.name}/all.do", text)
            assert there.is_dir()
        clients = [project.start("redo", "all", cwd=place) for place in (one, two)]
        assert {pids.receive(), pids.receive()} == {"one", "two"}
        for gate in gates.values():
            gate.send()
        results = [finish(client, status=None)[1] for client in clients]
        assert sorted(client.returncode for client in clients) == [0, 1], results
        project.run("redod", "stop", check=True)
    finally:
        for place in (one, two):
            subprocess.run(["umount", seen / place.name], check=True)
