"""Crashes: at every failpoint, and at any moment. Afterwards a build makes what a clean build makes.

REDOD_CRASHES: how many kills at random moments; REDOD_CRASH_SEED: the first seed. A failure prints its own.
"""

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from redod.failpoints import POINTS
from tests.behaviour.events import finish
from tests.behaviour.project import CHECKOUT, Project
from tests.faults.crash import SOURCES, Crashes

_SEED = int(os.environ.get("REDOD_CRASH_SEED", "1"))
_CRASHES = int(os.environ.get("REDOD_CRASHES", "30"))
_EACH = 10
"""Crashes of one project."""


@pytest.fixture
def clean(project: Project, tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "clean", project.bindir, tmp_path / "clean-runtime")
    yield made
    made.close()


def test_every_failpoint_is_reached_in_the_code_under_its_name() -> None:
    named = set()
    for path in (CHECKOUT / "redod").rglob("*.py"):
        named |= {
            name
            for call in re.findall(r"\breach\((.*)\)", path.read_text())
            for name in re.findall(r'"(\w+\.\w+)"', call)
        }
    assert named == set(POINTS)


TIMES = {"intent.after": "4", "install.renamed": "7", "record.before": "5", "commit.rows": "1"}
"""Where another time than the first tells more."""
FRESH = ("redo.made", "redo.ignored", "made.empty", "made.created", "database.empty", "database.created")


@pytest.mark.parametrize("value", ["no.such", "lock.taken:x", "lock.taken:-1"])
def test_a_server_with_an_unknown_failpoint_does_not_start(value: str, project: Project) -> None:
    result = project.run("redod", "run", env={"REDOD_FAILPOINT": value})
    assert result.returncode == 2
    assert b"is no failpoint; unset it" in result.stderr


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_a_failpoint_loses_nothing(point: str, project: Project, clean: Project) -> None:
    crashes = Crashes(project, clean, _SEED)
    if point not in FRESH:
        for name in SOURCES:
            crashes.edit_one(name, "a")
        project.run("redo", "all", check=True)
        project.run("redod", "stop", check=True)
        for name in SOURCES:
            crashes.edit_one(name, "c")
    prepare(point, project)
    server = crashes.serve(f"{point}:{TIMES.get(point, '1')}")
    client = crashes.start()
    finish(client, status=None)
    lead_to(point, project)
    finish(server, status=-9)
    crashes.check()
    crashes.check_nothing_is_left()


def prepare(point: str, project: Project) -> None:
    store = project.path / ".redo"
    if point.startswith("aside."):
        for name in ("redod.sqlite3", "redod.sqlite3-wal"):
            (store / name).write_bytes(random.Random(1).randbytes(20_000))
    if point.startswith("compaction."):
        # Without its journal a store writes one with the first commit.
        (store / "made").unlink()


def lead_to(point: str, project: Project) -> None:
    """What is not part of a build."""
    if point == "lock.release":
        project.run("redod", "stop")
    if point == "forget.removed":
        project.run("redod", "forget")


@pytest.mark.parametrize("seed", range(_SEED, _SEED + -(-_CRASHES // _EACH)))
def test_crashes_at_random_moments_lose_nothing(seed: int, project: Project, clean: Project) -> None:
    crashes = Crashes(project, clean, seed)
    for _ in range(_EACH):
        crashes.edit()
        crashes.break_off()
        crashes.check()
    crashes.check_nothing_is_left()
