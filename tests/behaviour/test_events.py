"""Events for programs: `redo --events=json` and `redod subscribe`, as docs/events.md promises."""

import json
import os
import re
import select
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from redod.core.verdicts import Why
from redod.trace import events
from redod.trace.events import EVENTS
from tests.behaviour.events import Fifo, finish, status_of
from tests.behaviour.project import CHECKOUT, CLIENTS, Project


@pytest.fixture
def bindir(installs: dict[str, Path]) -> Path:
    """The client has no part in this."""
    return installs[CLIENTS[0]]


def parse(output: bytes) -> list[Any]:
    return [EVENTS.validate_json(line) for line in output.splitlines()]


def names(found: list[Any]) -> list[str]:
    return [event.event for event in found]


def test_a_builds_events_tell_its_whole_story(project: Project) -> None:
    project.write("all.do", "redo-ifchange x\n")
    project.write("x.do", "echo printed >&2; echo x\n")
    result = project.run("redo", "--events=json", "all", check=True)
    found = parse(result.stdout)
    assert names(found) == [
        "session_started", "verdict", "job_started", "verdict", "job_started", "job_ended", "job_ended",
        "session_ended",
    ]  # fmt: skip
    session, forced, outer, missing, inner, inner_end, outer_end, end = found
    assert session.targets == [str(project.path / "all")]
    assert session.cwd == str(project.path)
    assert session.command == "redo"
    assert {event.session for event in found} == {session.session}
    assert (forced.verdict, forced.reason) == ("out_of_date", "forced")
    assert missing.target == str(project.path / "x")
    assert (outer.depth, inner.depth) == (0, 1)
    assert inner.dofile == str(project.path / "x.do")
    assert (inner_end.job, outer_end.job) == (inner.job, outer.job)
    assert inner_end.status == outer_end.status == end.status == 0
    assert inner_end.max_rss > 0
    assert inner_end.seconds <= outer_end.seconds
    assert b"printed" in result.stderr
    with open(inner_end.log.file, "rb") as file:
        file.seek(inner_end.log.offset)
        assert b"printed" in file.read(inner_end.log.length)


def test_what_is_up_to_date_is_told_as_such_and_a_change_with_its_file(project: Project) -> None:
    project.write("x.do", "redo-ifchange source; echo x\n")
    project.write("source", "one")
    project.write("all.do", "redo-ifchange x\n")
    project.redo("all")
    with subscriber(project) as lines:
        project.redo("x")
        project.write("source", "other")
        project.redo("x")
        found = [lines.next() for _ in range(3)]
        assert [event["event"] for event in found] == ["session_started", "verdict", "session_ended"]
        assert found[1]["verdict"] == "up_to_date"
        lines.next()
        verdict = lines.next()
    assert verdict["reason"] == "changed"
    assert verdict["about"] == str(project.path / "source")
    assert verdict["text"].startswith("source changed (")


def test_a_failure_and_a_cancelled_build_tell_their_status(project: Project, pids: Fifo) -> None:
    project.write("bad.do", "exit 7\n")
    found = parse(project.run("redo", "--events=json", "bad").stdout)
    assert [event.status for event in found if event.event in ("job_ended", "session_ended")] == [7, 1]
    project.write("slow.do", "echo $$ >pids; exec sleep 1000\n")
    client = project.start("redo", "--events=json", "slow", stdout=subprocess.PIPE)
    pids.receive()
    client.send_signal(signal.SIGINT)
    out, _ = finish(client, status=-signal.SIGINT)
    ended = [event for event in parse(out) if event.event in ("job_ended", "session_ended")]
    assert ended[0].cancelled
    assert ended[-1].status == -signal.SIGINT


def test_holders_and_services_are_told(project: Project, pids: Fifo, go: Fifo) -> None:
    with subscriber(project) as lines:
        os.mkfifo(project.path / "up")
        project.write("held.do", "sh -c 'echo >up; read x <go' & read up <up\n")
        client = project.start("redo", "held")
        held = lines.until("held")
        assert held["holders"][0]["command"] == "sh -c echo >up; read x <go"
        go.send()
        finish(client)
        project.write("serve.do", "redo-service sh -c 'echo $$ >pids; exec sleep 1000'\n")
        project.redo("serve")
        process = pids.receive_process()
        started = lines.until("service")
        assert (started["state"], started["pid"]) == ("started", process.pid)
        process.kill()
        assert lines.until("service")["state"] == "ended"


def test_a_subscriber_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed(project: Project) -> None:
    targets = " ".join(f"{'x' * 200}{number}" for number in range(300))
    project.write("default.do", "echo\n")
    project.write("all.do", f"redo-ifchange {targets}\n")
    with subscriber(project) as lines:
        for _ in range(8):
            project.run("redo", "all", check=True)
            project.run("redo-ifchange", *targets.split(), check=True)
        seen = [lines.next()]
        while not any(event["event"] == "lost" for event in seen):
            if len(seen) % 100 == 0:
                project.run("redo-ifchange", "all", check=True)
            seen.append(lines.next())
    assert seen[-1]["count"] > 0


def test_a_subscriber_that_leaves_is_forgotten(project: Project) -> None:
    project.write("x.do", "echo x\n")
    with subscriber(project):
        pass
    assert project.redo("x") == ["x"]
    assert status_of(project)["sessions"] == 0


def test_another_form_than_json_is_a_usage_error(project: Project) -> None:
    result = project.run("redo", "--events=xml", "x")
    assert result.returncode == 2
    assert b"--events knows json only" in result.stderr


def test_the_documentation_names_every_event_field_and_reason() -> None:
    text = (CHECKOUT / "docs/events.md").read_text()
    words = set(re.findall(r"`(\w+)`", text))
    models = [model for model in vars(events).values() if isinstance(model, type) and issubclass(model, BaseModel)]
    fields = {name for model in models for name in model.model_fields}
    kinds = set(EVENTS.json_schema()["discriminator"]["mapping"])
    assert fields | kinds | {why.name.lower() for why in Why} <= words


class subscriber:  # noqa: N801  (read as a function)
    """A `redod subscribe` that has begun to listen."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "subscriber":
        self._project.run("redo-whichdo", "x")  # redod itself starts no server
        self._process = self._project.start("redod", "subscribe", stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        # Nothing tells that it has begun to listen but an event that comes.
        self._project.write("first.do", "\n")
        while not select.select([self._process.stdout], [], [], 0)[0]:
            self._project.run("redo", "first", check=True)
        # By now there may have been several; what comes after this one is the test's.
        self._project.run("redo-ifchange", "first", check=True)
        while self.next().get("command") != "redo-ifchange":
            pass
        self.until("session_ended")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        finish(self._process, status=None)

    def next(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def until(self, name: str) -> dict[str, Any]:
        while (found := self.next())["event"] != name:
            pass
        return found
