"""What is in memory of workspaces: a large one is read while others are built, and what is not used leaves it."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.events import Fifo, Watched, expect, finish, status_of
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


@pytest.fixture
def hasty(project: Project) -> Project:
    """Two workspaces whose server keeps none that is not used: `app/prog`, a copy of `lib/part`, a copy of `lib/s`."""
    project.environment["REDOD_UNLOAD"] = "0"
    for name in ("lib", "app"):
        project.write(f"{name}/redod.toml", "")
    project.write("lib/part.do", "redo-ifchange s; cat s; echo part >&2\n")
    project.write("lib/s", "one")
    project.write("app/prog.do", "redo-ifchange ../lib/part; cat ../lib/part\n")
    assert project.redo("app/prog") == ["app/prog", "lib/part"]
    return project


def at_rest(project: Project, *names: str) -> dict[str, Any]:
    """The status when only these workspaces are in memory. Nothing else tells a test that others have left it."""
    roots = sorted(str(project.path / name) for name in names)
    deadline = time.monotonic() + PATIENCE
    while True:
        status = status_of(project)
        found = sorted(workspace["root"] for workspace in status["workspaces"])
        if found == roots and status["leaving"] == 0:
            return status
        assert time.monotonic() < deadline, f"{found} are in memory, not {roots}"


def test_a_workspace_that_is_not_used_leaves_the_memory_and_is_watched_no_more(hasty: Project) -> None:
    status = at_rest(hasty)
    assert status["files"] == 0
    watched = int(status["watching"].split()[0])
    # Of the directories of scripts that were looked for, and those above them, something may be left.
    assert watched <= len(hasty.path.parents) + 1
    assert not any((hasty.path / name / ".redo/lock").read_bytes() for name in ("lib", "app"))


def test_after_it_has_left_the_memory_only_what_has_changed_is_built(hasty: Project) -> None:
    for text in ("two", "three"):
        at_rest(hasty)
        assert hasty.redo("app/prog") == []
        at_rest(hasty)
        hasty.write("lib/s", text)
        assert hasty.redo("app/prog") == ["app/prog", "lib/part"]
        assert hasty.read("app/prog") == text
    at_rest(hasty)
    assert hasty.run("redo-log", "lib/part", check=True).stdout.count(b"part") == 2
    at_rest(hasty)
    assert hasty.run("redo-targets", "../lib/part", cwd=hasty.path / "app", check=True).stdout == b"../lib/part\n"


@contextmanager
def ended(service: Watched) -> Iterator[None]:
    try:
        yield
    finally:
        service.kill()


def test_a_target_in_memory_is_right_when_what_it_is_made_from_was_away(hasty: Project, pids: Fifo) -> None:
    hasty.write("app/serve.do", "redo-ifchange prog; redo-service sh -c 'echo $$ >../pids; exec sleep 1000'\n")
    assert hasty.redo("app/serve") == ["app/serve"]
    with ended(pids.receive_process()):
        at_rest(hasty, "app")
        assert hasty.redo("app/prog") == []
        at_rest(hasty, "app")
        hasty.write("lib/s", "two")
        assert hasty.redo("app/prog") == ["app/prog", "lib/part"]
        assert hasty.read("app/prog") == "two"
        at_rest(hasty, "app")
        hasty.run("redod", "service", "stop", "app/serve", check=True)
        hasty.redo("lib/part")
        at_rest(hasty)


def test_what_somebody_watches_stays_in_memory_with_what_it_needs(hasty: Project) -> None:
    watcher = hasty.start("redo", "--watch", "app/prog")
    expect(watcher, b"done; waiting for a change")
    hasty.write("other/redod.toml", "")
    hasty.write("other/t.do", ":\n")
    hasty.redo("other/t")
    at_rest(hasty, "app", "lib")
    hasty.replace("lib/s", "two")
    expect(watcher, b"done; waiting for a change")
    assert hasty.read("app/prog") == "two"
    watcher.terminate()
    finish(watcher, -signal.SIGTERM)
    hasty.redo("other/t")
    at_rest(hasty)
