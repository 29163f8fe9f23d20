"""What is in memory of workspaces: a large one is read while others are built."""

import time
from pathlib import Path

import pytest

from tests.behaviour.events import finish, status_of
from tests.behaviour.project import PATIENCE, Project
from tests.behaviour.recorded import record

LARGE = 30_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large").resolve()
    record(made, LARGE)
    return made


def test_another_workspace_is_built_while_a_large_one_is_read(project: Project, large: Path) -> None:
    project.write("redod.toml", "")
    project.write("t.do", "date +%N\n")
    is_seen = False
    deadline = time.monotonic() + PATIENCE
    # Whether all of the build falls into the time in which the large one is read is chance.
    while not is_seen:
        assert time.monotonic() < deadline, "the build had to wait for the large workspace"
        project.run("redo", "t", check=True)
        names = project.path / "names"
        with names.open("wb") as file:
            reading = project.start("redo-targets", cwd=large, stdout=file)
        while not status_of(project)["opening"] and reading.poll() is None:
            pass
        assert project.jobs(project.run("redo", "t", check=True)) == ["t"]
        is_seen = status_of(project)["opening"] == [str(large)]
        finish(reading)
        assert len(names.read_bytes().splitlines()) == LARGE
        project.run("redod", "stop")


def test_all_who_need_a_workspace_that_is_being_read_wait_for_it(project: Project, large: Path) -> None:
    (large / "default.do").write_text("redo-ifchange s; cat s\n")
    (large / "s").write_text("source")
    target = f"t-{project.bindir.parent.name}"
    waiting = [project.start("redo-ifchange", target, cwd=large) for _ in range(3)]
    waiting.append(project.start("redo-targets", cwd=large))
    gone = project.start("redo-ifchange", target, cwd=large)
    gone.kill()
    gone.communicate()
    for process in waiting:
        finish(process)
    assert (large / target).read_text() == "source"
    assert target in project.run("redo-targets", cwd=large).stdout.decode().splitlines()
