"""What one client can take: names, connections, output. Clear errors, and nobody else is held up."""

import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from redod.protocol.frames import FrameType
from redod.protocol.invocation import encode_request
from tests.behaviour.events import Fifo, expect, finish, status_of, wait_for_sessions
from tests.behaviour.project import PATIENCE, Project
from tests.faults.peers import Peer, frame, socket_of

DESCRIPTORS = 80


@pytest.fixture
def small_server(project: Project) -> "Iterator[subprocess.Popen[bytes]]":
    """A server that may have few descriptors."""
    limit = f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"
    server = project.start("prlimit", limit, str(project.bindir / "redod"), "run")
    expect(server, b"serving")
    yield server
    project.run("redod", "stop", check=True)
    finish(server)


def test_a_client_above_the_limit_is_refused_and_those_below_it_are_served(
    project: Project, small_server: "subprocess.Popen[bytes]"
) -> None:
    project.write("default.t.do", "echo x\n")
    # Who says nothing is let go after a while, and who subscribes stays.
    subscribe = frame(FrameType.INVOKE, encode_request(b"redod", [b"subscribe"]))
    path = socket_of(project)
    with ExitStack() as peers:
        for _ in range(DESCRIPTORS // 2):
            peers.enter_context(Peer(path)).send(subscribe)
        refused = project.run("redo", "1.t")
        assert refused.returncode == 1
        assert refused.stderr.startswith(b"redo: the server has 40 clients already, the most it takes; run fewer")
    wait_for_sessions(project, 0)
    assert project.redo("1.t") == ["1.t"]


@pytest.mark.parametrize("name", ["d/" * 50_000 + "x", "n" * 100_000, "a/" * 2048 + "x"])
def test_a_name_longer_than_any_path_is_a_clear_error(project: Project, name: str) -> None:
    project.write("default.do", "echo x\n")
    result = project.run("redo-ifchange", name)
    assert result.returncode == 204
    assert result.stderr.count(b"\n") == 1
    assert b"... is longer than the 4095 bytes of a path; use shorter names" in result.stderr
    assert len(result.stderr) < 300


def test_a_script_that_prints_for_ever_costs_a_bounded_log_and_holds_up_nobody(project: Project) -> None:
    project.write("x.do", "while :; do echo a line that is printed again and again and again; done >&2\n")
    project.write("y.do", "echo y\n")
    client = project.start("redo", "x")
    seen = b""
    assert client.stderr is not None
    while b"redo: from here on its output is dropped: a log keeps no more\n" not in seen:
        data = os.read(client.stderr.fileno(), 1 << 16)
        assert data, "the client ended"
        seen = seen[-200:] + data
    assert project.redo("y") == ["y"]
    assert status_of(project)["memory"] < 200 << 20
    client.send_signal(signal.SIGINT)
    finish(client, status=-signal.SIGINT)
    assert status_of(project)["jobs"] == []


def test_a_terminal_that_is_stopped_holds_up_no_script(project: Project, pids: Fifo) -> None:
    """Ctrl-S: the script that prints goes on, is done, and after Ctrl-Q all is shown."""
    lines = 30_000
    project.write("x.do", f"i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i >&2; done; echo x\n")
    project.write("all.do", f"redo-ifchange x; echo done >{pids.path}\n")
    ours, theirs = pty.openpty()
    os.write(ours, b"\x13")
    client = project.start("redo", stdin=theirs, stdout=theirs, stderr=theirs)
    assert pids.receive() == "done"
    assert project.read("x") == "x\n"
    assert client.poll() is None
    os.write(ours, b"\x11")
    seen = b""
    while f"line {lines}\r\n".encode() not in seen:
        assert select.select([ours], [], [], PATIENCE)[0], seen[-200:]
        seen = seen[-200:] + os.read(ours, 1 << 16)
    assert client.wait(PATIENCE) == 0
    os.close(ours)
    os.close(theirs)


def test_a_peer_that_sends_signals_for_ever_only_ends_its_own_build(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", f"trap '' TERM; echo $$ >{pids.path}; while :; do read x <{go.path}; done\n")
    project.write("y.do", "echo y\n")
    project.redo("y")
    with Peer(socket_of(project)) as peer:
        peer.send(frame(FrameType.INVOKE, encode_request(b"redo", [bytes(project.path / "x")])))
        script = pids.receive_process()
        peer.send(frame(FrameType.SIGNAL, b"\2") * 20_000)
        assert project.redo("y") == []
        assert peer.read_all()[-1] == (FrameType.EXIT, b"\1\2")
    script.wait_end()
