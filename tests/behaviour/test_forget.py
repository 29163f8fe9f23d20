"""`redod forget`: start over, without taking what redo has built for the user's own."""

import os

from tests.behaviour.events import Fifo, finish
from tests.behaviour.project import Project


def test_forget_makes_everything_out_of_date_and_no_built_file_a_source(project: Project) -> None:
    project.write("all.do", "redo-ifchange a\n")
    project.write("a.do", "echo said >&2; echo a\n")
    project.redo()
    project.run("redod", "stop", check=True)
    result = project.run("redod", "forget", check=True)
    assert b"\n1 files are still known to be redo's own" in result.stdout
    assert b"said" not in project.run("redo-log", "a").stdout
    assert os.listdir(project.path / ".redo/log") == []
    assert project.run("redo-ood").stdout == b"a\n"
    again = project.run("redo-ifchange", "all", check=True)
    assert project.jobs(again) == ["all", "a"]
    assert b"modified" not in again.stderr
    assert project.redo() == []


def test_forget_where_nothing_is_known_does_nothing(project: Project) -> None:
    assert project.run("redod", "forget", check=True).stdout == b""
    assert os.listdir(project.path) == []


def test_forget_waits_for_no_build_and_disturbs_none(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "echo $$ >pids; read y <go; echo x\n")
    building = project.start("redo-ifchange", "x")
    pids.receive()
    refused = project.run("redod", "forget")
    assert refused.returncode == 1
    assert b"something is being built" in refused.stderr
    go.send()
    finish(building)
    assert project.redo("x") == []
