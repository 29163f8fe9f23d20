"""`redod status`: what it tells, also while the daemon is busy."""

import re
from pathlib import Path

import pytest

from redod import __version__
from tests.behaviour.events import Fifo, finish, status_of
from tests.behaviour.project import CLIENTS, Project


@pytest.fixture
def bindir(installs: dict[str, Path]) -> Path:
    return installs[CLIENTS[0]]


def test_status_answers_with_every_field_while_a_build_runs(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("all.do", "redo-ifchange sub/deep\n")
    project.write("sub/deep.do", "echo $$ >../pids; read x <../go\n")
    building = project.start("redo", "all")
    script = int(pids.receive())
    status = status_of(project)
    text = project.run("redod", "status", check=True).stdout.decode()
    go.send()
    finish(building)
    jobs = {Path(job["target"]).name: job for job in status["jobs"]}
    assert set(jobs) == {"all", "deep"}
    assert jobs["deep"]["target"] == str(project.path / "sub/deep")
    assert (jobs["deep"]["pid"], jobs["deep"]["state"]) == (script, "running")
    assert jobs["all"]["state"] == "waits for what it asked for"
    assert jobs["all"]["session"] == jobs["deep"]["session"]
    assert jobs["all"]["age"] >= jobs["deep"]["age"] >= 0
    assert (status["sessions"], status["jobs_run"], status["version"]) == (1, 2, __version__)
    assert status["workspaces"] == [{"root": str(project.path), "targets": 2}]
    assert status["memory"] > 1 << 20
    assert status["uptime"] >= 0
    assert status["files"] >= 4
    assert re.search(rf"^job +{project.path}/sub/deep \(running, [0-9.]+ s, pid {script}\)$", text, re.MULTILINE)
    assert f"pid {status['pid']}," in text


def test_status_of_an_idle_daemon_tells_of_no_sessions_and_jobs(project: Project) -> None:
    project.write("all.do", "echo x\n")
    project.redo()
    status = status_of(project)
    assert (status["sessions"], status["jobs"], status["jobs_run"]) == (0, [], 1)


def test_status_without_a_daemon_starts_none(project: Project) -> None:
    result = project.run("redod", "status")
    assert (result.returncode, result.stdout, result.stderr) == (1, b"", b"redod is not running\n")
    assert not (project.runtime / "redod").exists()


def test_an_unknown_word_is_a_usage_error(project: Project) -> None:
    project.write("all.do", "echo x\n")
    project.redo()
    result = project.run("redod", "frobnicate")
    assert result.returncode == 2
    assert b"usage: redod" in result.stderr
