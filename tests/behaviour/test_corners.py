"""Corners: moved and vanished workspaces, calls of scripts that are being ended, links that lead nowhere."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, finish
from tests.behaviour.project import CLIENTS, PATIENT, Project, opened_by


@pytest.fixture
def bindir(request: pytest.FixtureRequest, installs: dict[str, Path]) -> Path:
    """The client has no part in this."""
    return installs[getattr(request, "param", CLIENTS[0])]


def test_a_workspace_that_was_deleted_is_let_go_by_the_next_session(project: Project) -> None:
    for name in ("one", "two"):
        project.write(f"{name}/a.do", "echo a")
        project.run("redo-ifchange", "a", cwd=project.path / name, check=True)
    shutil.rmtree(project.path / "one")
    project.run("redo-ifchange", "a", cwd=project.path / "two", check=True)
    status = json.loads(project.run("redod", "status", "--json").stdout)
    assert [os.path.basename(workspace["root"]) for workspace in status["workspaces"]] == ["two"]
    # Capture files, whose names begin with #, are kept for a second.
    assert not [path for path in opened_by(status["pid"]) if "/one/" in path and "/#" not in path]


def test_a_workspace_that_is_moved_by_its_own_script_is_an_error_and_no_deadlock(project: Project) -> None:
    project.write("one/b", "a source")
    project.write("one/a.do", "mv ../one ../two; cd ../two; redo-ifchange b")
    result = project.run("redo", "a", cwd=project.path / "one")
    assert result.returncode == 1
    assert b"this very build uses it" in result.stderr


@pytest.mark.parametrize("bindir", [PATIENT], indirect=True)
def test_what_a_script_asks_for_while_it_is_being_ended_is_not_built(project: Project) -> None:
    up, answer = Fifo(project.path / "up"), Fifo(project.path / "answer")
    project.write("z.do", "echo built >&2; echo z")
    project.write(
        "a.do",
        """
        trap 'redo-ifchange z && echo built >answer || echo refused >answer; exit 1' TERM
        echo up >up
        read x <silence
        """,
    )
    os.mkfifo(project.path / "silence")
    try:
        client = project.start("redo", "a")
        assert up.receive() == "up"
        client.send_signal(signal.SIGINT)
        assert answer.receive() == "refused"
        finish(client, -signal.SIGINT)
        assert not (project.path / "z").exists()
    finally:
        up.close()
        answer.close()


def test_a_link_that_leads_nowhere_is_no_dofile(project: Project) -> None:
    project.write("default.do", "echo default")
    (project.path / "x.do").symlink_to("nowhere")
    assert project.redo("x") == ["x"]
    assert project.read("x") == "default\n"
    assert project.redo("x") == []
    project.write("nowhere", "echo exact")
    assert project.redo("x") == ["x"]
    assert project.read("x") == "exact\n"


def test_a_target_that_is_built_ahead_is_as_deep_as_if_its_dependent_had_asked(project: Project) -> None:
    project.write("s.do", 'redo-ifchange source; echo "$REDO_DEPTH|" >depth; echo same | redo-stamp')
    project.write("mid.do", "redo-ifchange s")
    project.write("top.do", "redo-ifchange mid")
    project.write("source", "1")
    project.redo("top")
    project.write("source", "22")
    assert project.jobs(project.run("redo", "top", check=True)) == ["top", "s"]
    assert project.read("depth") == "    |\n"
