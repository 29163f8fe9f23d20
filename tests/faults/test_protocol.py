"""Peers that break the protocol, or do not read: an error for that peer, nothing for the others (docs/protocol.md)."""

import os
import random
import signal
import struct
from collections.abc import Iterator

import pytest

from redod.protocol.frames import MAX_INVOKE, FrameType
from redod.protocol.invocation import encode_request
from tests.behaviour.events import Fifo, count, finish, status_of, wait_for_sessions
from tests.behaviour.project import PATIENCE, Project, opened_by
from tests.faults.peers import Peer, frame, socket_of

STREAMS = 2000


@pytest.fixture
def served(project: Project) -> Iterator[Project]:
    """A project whose daemon runs; at the end it is the same one, serves others, and holds nothing of the peers."""
    project.write("before.do", "echo x\n")
    project.redo("before")
    pid = project.server_pid
    yield project
    wait_for_sessions(project, 0)
    project.write("after.do", "echo x\n")
    assert project.redo("after") == ["after"]
    assert project.server_pid == pid


def whichdo() -> bytes:
    return frame(FrameType.INVOKE, encode_request(b"redo-whichdo", [b"x"]))


def test_a_well_formed_invocation_is_answered(served: Project) -> None:
    """So that the refusals below are for what they say."""
    with Peer(socket_of(served)) as peer:
        peer.send(whichdo())
        assert peer.read_all()[-1] == (FrameType.EXIT, b"\0\1")


@pytest.mark.parametrize("part", [1, 4, 5, 20, -1])
def test_a_peer_that_leaves_in_the_middle_of_a_frame_is_forgotten(served: Project, part: int) -> None:
    with Peer(socket_of(served)) as peer:
        peer.send(whichdo()[:part])
        peer.stop_sending()
        assert peer.read_all() == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "frame type 47 is not one that a client sends"),
        (frame(FrameType.SIGNAL, b"\2"), "the first frame is not an INVOKE"),
        (struct.pack(">IB", MAX_INVOKE + 1, FrameType.INVOKE), "too long"),
        (frame(FrameType.INVOKE, b""), "INVOKE"),
        (frame(FrameType.INVOKE, b"\1\0\0\0\4\0\x63\0\0"), "99.0"),
        (frame(FrameType.INVOKE, bytes(100)), "INVOKE"),
    ],
)
def test_what_the_protocol_forbids_is_refused_with_a_reason(served: Project, data: bytes, text: str) -> None:
    with Peer(socket_of(served)) as peer:
        peer.send(data)
        ((kind, payload),) = peer.read_all()
    assert (kind, payload[0]) == (FrameType.REFUSED, 2)
    assert text in payload[1:].decode()


@pytest.mark.parametrize("number", [1, 3, 4, 100])
def test_descriptors_that_were_not_announced_are_refused(served: Project, number: int) -> None:
    with Peer(socket_of(served)) as peer:
        peer.send(whichdo(), [0] * number)
        ((kind, payload),) = peer.read_all()
    assert (kind, payload[0]) == (FrameType.REFUSED, 2)
    assert b"descriptors" in payload
    assert len(os.listdir(f"/proc/{served.server_pid}/fd")) < 30


def test_a_frame_that_is_too_long_after_the_invocation_ends_the_connection(
    served: Project, pids: Fifo, go: Fifo
) -> None:
    served.write("x.do", f"echo $$ >{pids.path}; read x <{go.path}\n")
    with Peer(socket_of(served)) as peer:
        peer.send(frame(FrameType.INVOKE, encode_request(b"redo", [bytes(served.path / "x")])))
        script = pids.receive_process()
        peer.send(struct.pack(">IB", 70_000, FrameType.WINSIZE))
        assert peer.read_all()[-1][0] == FrameType.REFUSED
    script.wait_end()


def test_another_user_is_refused(served: Project) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can connect as somebody else")
    path = status_of(served)["socket"]
    os.chmod(os.path.dirname(path), 0o755)
    os.chmod(path, 0o666)
    with Peer(socket_of(served), user=65534) as peer:
        peer.send(whichdo())
        ((kind, payload),) = peer.read_all()
    os.chmod(os.path.dirname(path), 0o700)
    assert (kind, payload[0]) == (FrameType.REFUSED, 1)
    assert b"belongs to user 0" in payload


def test_random_bytes_never_hurt_the_daemon(served: Project) -> None:
    """Pure noise, noise behind a good header, and good invocations with some bytes changed."""
    chance = random.Random(1)
    good, path = whichdo(), socket_of(served)
    for turn in range(STREAMS):
        match turn % 4:
            case 0:
                data = chance.randbytes(chance.randrange(1, 300))
            case 1:
                data = frame(FrameType.INVOKE, chance.randbytes(chance.randrange(300)))
            case 2:
                data = good + chance.randbytes(chance.randrange(1, 50))
            case _:
                changed = bytearray(good)
                for _ in range(chance.randrange(1, 6)):
                    changed[chance.randrange(len(changed))] = chance.randrange(256)
                data = bytes(changed)
        with Peer(path) as peer:
            peer.send(data)
            peer.stop_sending()
            peer.read_all()
    assert len(os.listdir(f"/proc/{served.server_pid}/fd")) < 30


def test_many_peers_that_say_nothing_hold_up_nobody(served: Project) -> None:
    path = socket_of(served)
    peers = [Peer(path) for _ in range(300)]
    served.write("x.do", "echo x\n")
    assert served.redo("x") == ["x"]
    for peer in peers:
        peer.close()


def test_a_stopped_client_costs_no_memory_and_holds_up_nobody(served: Project, pids: Fifo) -> None:
    """Its script prints 50 MB and ends; what exceeds the room of a log is dropped, and said so."""
    served.write("x.do", f"echo $$ >{pids.path}; head -c 50000000 /dev/zero | tr '\\0' x >&2; echo end >{pids.path}\n")
    memory = status_of(served)["memory"]
    client = served.start("redo", "x")
    pids.receive()
    client.send_signal(signal.SIGSTOP)
    assert pids.receive() == "end"
    served.write("y.do", "echo y\n")
    assert served.redo("y") == ["y"]
    assert status_of(served)["memory"] < memory + (24 << 20)
    client.send_signal(signal.SIGCONT)
    _, err = finish(client)
    assert len(err) > 16 << 20
    assert b"bytes of output were dropped" in err


def test_a_client_killed_while_output_waits_for_it_is_forgotten(served: Project, pids: Fifo, go: Fifo) -> None:
    served.write("x.do", f"head -c 5000000 /dev/zero | tr '\\0' x >&2; echo $$ >{pids.path}; read x <{go.path}\n")
    client = served.start("redo", "x")
    script = pids.receive_process()
    client.send_signal(signal.SIGSTOP)
    client.kill()
    finish(client, status=-9)
    script.wait_end()


def test_a_peer_that_sends_for_ever_without_reading_is_not_stored(served: Project, pids: Fifo, go: Fifo) -> None:
    """After its answer whatever it says is dropped."""
    memory = status_of(served)["memory"]
    with Peer(socket_of(served)) as peer:
        peer.send(whichdo())
        peer.socket.settimeout(PATIENCE)
        try:
            for _ in range(400):
                peer.socket.sendall(bytes(1 << 18))
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert status_of(served)["memory"] < memory + (24 << 20)


def test_a_nested_peer_that_breaks_the_protocol_does_not_end_its_job(served: Project) -> None:
    """The script goes on; only its call is lost."""
    code = (
        "import os, socket; s = socket.socket(socket.AF_UNIX);"
        "directory, name = os.path.split(os.environ['REDOD_SOCKET']); os.chdir(directory); s.connect(name);"
        "s.sendall(b'noise, noise, noise'); print(s.recv(1000)[4])"
    )
    served.write("x.do", f'python3 -c "{code}"\nredo-ifchange y\necho run >>count\n')
    served.write("y.do", "echo y\n")
    assert served.redo("x") == ["x", "y"]
    assert served.read("x") == f"{FrameType.REFUSED:d}\n"
    assert count(served, "count") == 1


def test_a_passed_descriptor_is_given_back_at_once(served: Project, pids: Fifo, go: Fifo) -> None:
    """The reader of a client's output sees its end although the daemon was handed the other end."""
    reading, writing = os.pipe()
    served.write("x.do", f"echo $$ >{pids.path}; read x <{go.path}; echo said >&2\n")
    client = served.start("redo", "x", stdout=writing, stderr=None)
    pids.receive()
    identity = os.readlink(f"/proc/self/fd/{writing}")
    assert identity not in opened_by(served.server_pid)
    os.close(writing)
    go.send()
    finish(client)
    assert os.read(reading, 1) == b""
    os.close(reading)
