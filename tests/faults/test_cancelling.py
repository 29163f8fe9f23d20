"""Builds given up, many at once and in every way: nothing is left of any, and nothing is lost to those that follow.

`REDOD_CANCEL_RUNS` says how many, `REDOD_CANCEL_SEED` which; docs/reliability.md says what a large number gave.
"""

import json
import os
import pprint
import random
import re
import select
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from redod.jobs.holders import processes
from redod.protocol.frames import FrameType
from redod.protocol.invocation import encode_request
from tests.behaviour.events import Fifo, finish, status_of, wait_for_sessions
from tests.behaviour.project import PATIENCE, Project
from tests.faults.peers import Peer, frame, socket_of

RUNS = int(os.environ.get("REDOD_CANCEL_RUNS", "16"))
SEED = int(os.environ.get("REDOD_CANCEL_SEED", "1"))
BATCH = 8
"""Builds that are given up at the same time."""
CLOSE = "for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 )) && exec {f}>&-; done"
SCRIPTS = {
    "waits": "echo up >pids; read x <never",
    "traps": "trap '' TERM; echo up >pids; while :; do read x <never; done",
    "spins": "echo up >pids; while :; do :; done",
    "prints": "echo up >pids; while :; do echo a line of this script >&2; done",
    "child-traps": "( trap '' TERM; echo up >pids; while :; do sleep 1000; done ) & read x <never",
    "orphans": "( ( exec sleep 1000 ) & ); setsid sh -c '( sleep 1000 & ); exec sleep 1000' &\n"
    "env -i setsid sleep 1000 & echo up >pids; read x <never",
    "closes": f"setsid bash -c '{CLOSE}; echo up >pids; exec sleep 1000' & read x <never",
    "has-ended": "sleep 1000 & setsid sleep 1000 >/dev/null 2>&1 & echo up >pids",
    "writes": "echo half >$3; mkdir $3.d; echo x >$3.d/x; echo up >pids; echo out; read x <never",
    "asks": "redo-ifchange $2.asked.traps $2.asked.orphans",
}
"""By what they do. Each says `up` when all that it starts has been started; the last one's two do."""
WAYS: list[tuple[int, ...]] = [
    (signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGQUIT,), (signal.SIGKILL,),
    (signal.SIGINT, signal.SIGINT),
]  # fmt: skip


class Build:
    """One client, whose scripts are up when it has been waited for so many lines."""

    def __init__(self, project: Project, slot: int, chance: random.Random) -> None:
        jobs = chance.choice([None, None, 3])
        kinds = chance.sample(sorted(SCRIPTS), jobs or 1)
        options = [] if jobs is None else [f"-j{jobs + 2}"]
        self.lines = len(kinds) + ("asks" in kinds)
        if jobs is None and kinds == ["asks"]:
            # The session has one token for certain.
            options = ["-j2"]
        self.is_stubborn = not {"traps", "child-traps", "asks"}.isdisjoint(kinds)
        self.way = chance.choice(WAYS)
        targets = [f"{slot}.{kind}" for kind in kinds]
        self.process = project.start("redo", *options, *targets, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pidfd = os.pidfd_open(self.process.pid)
        self.seconds = 0.0

    def give_up(self) -> None:
        self._began = time.monotonic()
        for number in self.way:
            self.process.send_signal(number)

    def has_ended(self) -> None:
        """The client waits until nothing is left of its jobs, unless it was killed or got a second signal."""
        self.seconds = time.monotonic() - self._began
        os.close(self.pidfd)
        finish(self.process, status=-self.way[-1])


def census(project: Project, top: Path) -> dict[str, Any]:
    """All that could be left over, counted."""
    status = answer_of(project)
    server = status["pid"]
    # One starts its scripts, and stays.
    children = [process for process in processes() if process.parent == server and process.name != b"redod"]
    with open("/proc/locks") as file:
        locks = [line for line in file if line.split()[4] == str(server)]
    return {
        "sessions": status["sessions"],
        "jobs": status["jobs"],
        "processes": [process.name for process in processes() if _works_in(process.pid, top)],
        "children": [process.name for process in children],
        "descriptors": _descriptors(f"/proc/{server}/fd"),
        "locks": len(locks),
        "files": sorted(os.listdir(project.path)),
        "store": sorted(name for name in os.listdir(project.path / ".redo") if name != "log"),
        "temporaries": sorted(os.listdir(top)),
    }


def answer_of(project: Project) -> dict[str, Any]:
    """What `redod status --json` says, once the server has closed the connection: its descriptor is not to count."""
    with Peer(socket_of(project)) as peer:
        peer.send(frame(FrameType.INVOKE, encode_request(b"redod", [b"status", b"--json"])))
        said = b"".join(payload[1:] for kind, payload in peer.read_all() if kind == FrameType.OUTPUT)
    status: dict[str, Any] = json.loads(said)
    return status


def at_rest(project: Project, top: Path) -> dict[str, Any]:
    """The same twice in a row: what a timer does for a moment does not count."""
    found = census(project, top)
    while (again := census(project, top)) != found:
        found = again
    return found


def _descriptors(directory: str) -> list[str]:
    """What they lead to, without the numbers that tell one pipe from another."""
    found = []
    for number in os.listdir(directory):
        with suppress(OSError):
            found.append(re.sub(r"\d+", "N", os.readlink(f"{directory}/{number}")))
    return sorted(found)


def _works_in(pid: int, top: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd").startswith(f"{top}/")
    except OSError:
        return False


def lasting(found: dict[str, Any]) -> list[Any]:
    """What the server gives back a moment later: zombies, the file that took a script's output, cgroups."""
    return [
        *found["children"],
        *(name for name in found["descriptors"] if re.search("deleted|^/proc/|/redod-N-N$", name)),
    ]


def wait_until(look: Callable[[], list[Any]]) -> None:
    """Return once `look` finds nothing. What the server gives back at leisure, nothing tells; so it is asked."""
    deadline = time.monotonic() + PATIENCE
    while found := look():
        if time.monotonic() > deadline:
            pytest.fail(pprint.pformat(found, width=150))


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[Any]:
    return [(key, before[key], now[key]) for key in now if now[key] != before[key]]


def test_of_builds_that_are_given_up_nothing_is_left(project: Project, tmp_path: Path) -> None:
    os.mkfifo(project.path / "never")
    pids = Fifo(project.path / "pids")
    for kind, script in SCRIPTS.items():
        project.write(f"default.{kind}.do", script + "\n")
    project.write("default.ok.do", "echo up >pids; read x <never\n")
    chance = random.Random(SEED)
    give_up(project, pids, [Build(project, 0, chance)], tmp_path)
    # The shared pool keeps its jobserver from its first job on.
    assert_that_all_tokens_are_there(project, pids)
    wait_until(lambda: lasting(census(project, tmp_path)))
    before = at_rest(project, tmp_path)
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(0, RUNS, BATCH):
        builds = [Build(project, slot, chance) for slot in range(BATCH)]
        give_up(project, pids, builds, tmp_path)
        for build in builds:
            if build.way[-1] != signal.SIGKILL and len(build.way) == 1:
                times[build.is_stubborn].append(build.seconds)
    wait_until(lambda: differences(before, census(project, tmp_path)))
    assert_that_all_tokens_are_there(project, pids)
    pids.close()
    for name, measured in zip(("others", "that trap SIGTERM"), times.values(), strict=True):
        if measured:
            print(f"{name}: median {statistics.median(measured) * 1e3:.0f} ms, most {max(measured) * 1e3:.0f} ms")


def give_up(project: Project, pids: Fifo, builds: list[Build], top: Path) -> None:
    for _ in range(sum(build.lines for build in builds)):
        assert pids.receive() == "up"
    for build in builds:
        build.give_up()
    running = {build.pidfd: build for build in builds}
    while running:
        ended, _, _ = select.select(running, [], [], PATIENCE)
        assert ended, "a client does not end"
        for number in ended:
            running.pop(number).has_ended()
    wait_for_sessions(project, 0)
    assert [process.name for process in processes() if _works_in(process.pid, top)] == []


def assert_that_all_tokens_are_there(project: Project, pids: Fifo) -> None:
    """As many jobs run at a time as there are CPUs, no less and no more."""
    cpus = len(os.sched_getaffinity(0))
    client: subprocess.Popen[bytes] = project.start("redo", *(f"{number}.ok" for number in range(2 * cpus)))
    for _ in range(cpus):
        assert pids.receive() == "up"
    assert len([job for job in status_of(project)["jobs"] if job["state"] == "running"]) == cpus
    client.terminate()
    finish(client, status=-signal.SIGTERM)
