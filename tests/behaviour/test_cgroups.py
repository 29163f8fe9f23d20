"""Where the server's cgroup is delegated to it, nothing that a given-up job has started stays, whatever it has shed."""

import os
import re
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, expect, finish, wait_for_sessions
from tests.behaviour.project import CLIENTS, PATIENCE, Project

SHED = """
python3 - <<'END'
import os
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 1000)
    if os.fork() == 0:
        os.execve("/bin/sh", ["sh", "-c", {!r}], {{}})
    os._exit(0)
END
"""
"""Starts an orphan that has the job's environment, descriptors, group and session no more."""
SLEEPS = SHED.format("echo $$ >pids; exec sleep 1000")
IGNORES_SIGTERM = SHED.format("trap : TERM; echo $$ >pids; while :; do sleep 1000; done")
IS_ANOTHER_ALL_THE_TIME = SHED.format("""exec python3 -c '
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", file=open("pids", "w"))
while True:
    if os.fork():
        os._exit(0)
'""")


def writable() -> Path | None:
    """The top of the hierarchy of cgroups, if we may make some there."""
    found = re.search(r"^\S+ \S+ \S+ / (\S+) .* - cgroup2 ", Path("/proc/self/mountinfo").read_text(), re.MULTILINE)
    return Path(found[1]) if found and os.geteuid() == 0 and os.access(found[1], os.W_OK) else None


TOP = writable()
pytestmark = [
    pytest.mark.skipif(CLIENTS[0] != "native", reason="only the native client starts scripts in cgroups"),
    pytest.mark.skipif(TOP is None, reason="cgroups (version 2) can be made by root alone, where they can be written"),
]


@pytest.fixture
def bindir(installs: dict[str, Path]) -> Path:
    """Only the native client starts scripts in cgroups."""
    return installs[CLIENTS[0]]


@pytest.fixture
def cgroup(project: Project) -> Iterator[Path]:
    """Delegated as systemd does it, with a server in it."""
    assert TOP is not None
    made = TOP / f"redod-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"none can be made: {error.strerror}")
    try:
        if not (made / "cgroup.kill").exists():
            pytest.skip("needs Linux 5.14")
        os.setxattr(made, "user.delegate", b"1")
        start_server(project, made)
        yield made
        project.close()
        (made / "cgroup.kill").write_text("1")
        wait_empty(made)
    finally:
        for directory, _, _ in os.walk(made, topdown=False):
            os.rmdir(directory)


def start_server(project: Project, cgroup: Path) -> None:
    """Return when it starts scripts in cgroups: its launcher begins a moment later than it does."""
    while not cgroup_of_a_job(project, f"echo 0 >{cgroup}/cgroup.procs").startswith("redod-"):
        pass


def cgroup_of_a_job(project: Project, before: str = ":") -> str:
    project.write("probe.do", "cat /proc/self/cgroup")
    project.run("sh", "-c", f"{before}; redo probe", check=True)
    found = re.search("^0::.*/(.*)$", project.read("probe"), re.MULTILINE)
    assert found
    return found[1]


def wait_empty(cgroup: Path) -> None:
    """Return when nothing runs in it."""
    with open(cgroup / "cgroup.events", "rb", buffering=0) as file:
        changes = select.poll()
        changes.register(file, select.POLLPRI)
        while b"populated 1" in os.pread(file.fileno(), 100, 0):
            assert changes.poll(PATIENCE * 1000)


def jobs_in(cgroup: Path) -> list[str]:
    """The pids in all cgroups of jobs."""
    return [pid for path in cgroup.glob("*/cgroup.procs") for pid in path.read_text().split()]


@pytest.mark.parametrize("script", [SLEEPS, IGNORES_SIGTERM, IS_ANOTHER_ALL_THE_TIME], ids=["sleeps", "traps", "forks"])
def test_what_has_shed_all_marks_ends_with_its_job(
    cgroup: Path, project: Project, pids: Fifo, go: Fifo, script: str
) -> None:
    project.write("x.do", script + "read x <go")
    client = project.start("redo", "x")
    pids.receive()
    assert jobs_in(cgroup)
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    assert not jobs_in(cgroup)
    project.write("default.do", "echo $1")
    project.redo("a", "b", "c", "d")


def test_and_with_its_client(cgroup: Path, project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", SLEEPS + "read x <go")
    client = project.start("redo", "x")
    shed = pids.receive_process()
    client.kill()
    finish(client, status=-9)
    shed.wait_end()
    wait_for_sessions(project, 0)
    assert not jobs_in(cgroup)


def test_and_with_a_killed_server(cgroup: Path, project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", SLEEPS + "read x <go")
    client = project.start("redo", "x")
    shed = pids.receive_process()
    project.kill_server()
    finish(client, status=None)
    assert shed.is_alive
    start_server(project, cgroup)
    shed.wait_end()
    project.run("redod", "stop", check=True)
    start_server(project, cgroup)
    project.run("redod", "stop", check=True)
    assert not list(cgroup.glob("*/"))


def test_what_outlives_a_built_target_is_left_alone(cgroup: Path, project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", SLEEPS + "cat /proc/self/cgroup")
    project.write("y.do", "echo $$ >pids; read x <go")
    project.redo("x")
    shed = pids.receive_process()
    client = project.start("redo", "y", "x")
    script = pids.receive_process()
    assert f"/{cgroup_of_a_job(project)}\n" not in project.read("x")
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    script.wait_end()
    project.run("redod", "stop", check=True)
    assert shed.is_alive
    (left,) = cgroup.glob("*/")
    assert (left / "cgroup.procs").read_text() == f"{shed.pid}\n"
    shed.kill()
    wait_empty(left)
    start_server(project, cgroup)
    assert not left.exists()


def test_where_the_servers_cgroup_was_killed_once_scripts_run(cgroup: Path, project: Project) -> None:
    """Linux 6.18 kills what is started in others from there."""
    project.close()
    (cgroup / "cgroup.kill").write_text("1")
    wait_empty(cgroup)
    for _ in range(10):
        cgroup_of_a_job(project, f"echo 0 >{cgroup}/cgroup.procs")


def test_redo_detach_leaves_the_job(cgroup: Path, project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "redo-detach sh -c 'echo $$ >pids; exec sleep 1000'; echo detached >&2; read x <go")
    client = project.start("redo", "x")
    detached = pids.receive_process()
    expect(client, b"detached")
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    assert detached.is_alive
    detached.kill()
