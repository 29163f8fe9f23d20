"""What the machine refuses: disk space, permissions, descriptors. Clear errors, and a daemon that stays up."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, expect, finish
from tests.behaviour.project import Project

SIZE = 1 << 20


def mount(*arguments: str) -> None:
    result = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"this needs the right to mount a small file system: {result.stderr.strip()}")


@pytest.fixture
def small(project: Project) -> Iterator[Project]:
    """A project on a file system of 1 MiB."""
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "none", str(project.path))
    yield project
    project.run("redod", "stop")
    subprocess.run(["umount", str(project.path)], check=True)


def test_a_full_disk_fails_the_target_and_keeps_the_old_one(small: Project) -> None:
    small.write("x.do", "echo old\n")
    small.redo("x")
    small.write("x.do", f"head -c {2 * SIZE} /dev/zero\n")
    result = small.run("redo", "x")
    assert result.returncode == 1
    assert b"No space left" in result.stderr or b"no space left" in result.stderr
    assert small.read("x") == "old\n"
    small.write("x.do", "echo new\n")
    assert small.redo("x") == ["x"]
    assert small.read("x") == "new\n"


def test_output_that_fits_once_but_not_twice_fails_the_target_and_keeps_the_old_one(small: Project) -> None:
    """The captured output is copied, so it needs its room twice."""
    small.write("x.do", "echo old\n")
    small.redo("x")
    small.write("x.do", f"head -c {SIZE * 5 // 8} /dev/zero\n")
    result = small.run("redo", "x")
    if result.returncode:
        assert b"(exit 209)" in result.stderr
        assert b"no space left" in result.stderr
        assert small.read("x") == "old\n"
    else:
        pytest.skip("this file system shares blocks")
    assert [name for name in os.listdir(small.path) if name.endswith(".redo.tmp")] == []


def test_a_store_that_cannot_be_written_is_told_and_written_later(small: Project) -> None:
    """The disk is full when the results are to be committed; what was built stays built."""
    small.write("default.t.do", "echo x >&2; echo $2 >$3\n")
    small.write("big.do", "echo x\n")
    small.redo("1.t")
    pid = small.server_pid
    filler = os.open(small.path / "filler", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(filler, b"x" * 4096):
            pass
    os.close(filler)
    full = small.run("redo-ifchange", *(f"{number}.t" for number in range(2, 40)))
    os.unlink(small.path / "filler")
    assert full.returncode == 1
    again = small.run("redo-ifchange", *(f"{number}.t" for number in range(1, 40)), check=True)
    assert b"modified" not in again.stderr
    assert small.server_pid == pid
    assert small.redo(*(f"{number}.t" for number in range(1, 40))) == []
    small.run("redod", "stop", check=True)
    assert small.redo(*(f"{number}.t" for number in range(1, 40))) == []


def test_a_project_that_cannot_be_written_is_a_clear_error(project: Project) -> None:
    """Its store goes to the user's state directory; the target still has to be written."""
    project.write("x.do", "echo x\n")
    mount("--bind", str(project.path), str(project.path))
    try:
        mount("-o", "remount,ro,bind", str(project.path))
        result = project.run("redo", "x")
        assert result.returncode == 1
        assert b"is on a read-only file system" in result.stderr
        assert result.stderr.endswith(b"redo  x (exit 209)\n")
        assert not (project.path / ".redo").exists()
        project.run("redod", "stop", check=True)
    finally:
        subprocess.run(["umount", str(project.path)], check=True)


def test_a_missing_directory_of_the_target_is_a_clear_error(project: Project) -> None:
    project.write("default.t.do", "echo x\n")
    result = project.run("redo", "no/such/x.t")
    assert result.returncode == 1
    assert b"does not exist; let the script make it (mkdir -p)" in result.stderr
    assert result.stderr.endswith(b"redo  no/such/x.t (exit 209)\n")
    project.write("default.t.do", "mkdir -p $(dirname $1)\necho x\n")
    assert project.redo("no/such/x.t") == ["no/such/x.t"]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.write_bytes(b"\x7fELF\0\0\0"), b"is not a script"),
        (lambda path: path.write_text("#!/no/such/interpreter\n"), b"/no/such/interpreter: not found"),
        (lambda path: os.mkfifo(path), b"is a FIFO"),
    ],
    ids=["binary", "interpreter", "fifo"],
)
def test_a_dofile_that_cannot_be_run_is_a_clear_error(project: Project, make: object, text: bytes) -> None:
    assert callable(make)
    make(project.path / "x.do")
    result = project.run("redo", "x")
    assert result.returncode == 1
    assert text in result.stderr
    assert result.stderr.endswith(b"redo  x (exit 127)\n")
    project.write("y.do", "echo y\n")
    assert project.redo("y") == ["y"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_dofile_is_a_clear_error(project: Project) -> None:
    project.write("x.do", "echo x\n").chmod(0)
    result = project.run("redo", "x")
    assert result.returncode == 1
    assert b"no permission; make it readable" in result.stderr


def test_a_daemon_without_descriptors_tells_clients_and_recovers(project: Project, pids: Fifo, go: Fifo) -> None:
    """More clients and jobs at once than it may have descriptors for: some wait, some are refused, none hangs."""
    project.write("default.t.do", f"echo $$ >{pids.path}; read x <{go.path}; echo x\n")
    project.write("ok.do", "echo ok\n")
    server = project.start("prlimit", "--nofile=60:60", str(project.bindir / "redod"), "run")
    expect(server, b"serving")
    project.redo("ok")
    clients = [project.start("redo-ifchange", f"{number}.t") for number in range(60)]
    pids.receive()
    for _ in range(200):
        go.send()
    for client in clients:
        _, err = finish(client, status=None)
        assert client.returncode in (0, 1, 2)
        assert client.returncode == 0 or b"ulimit" in err, err
    assert project.server_pid == server.pid
    project.write("ok.do", "echo fine\n")
    assert project.redo("ok") == ["ok"]
    project.run("redod", "stop", check=True)
    finish(server)


def test_a_daemon_that_may_have_too_few_descriptors_says_so_to_whoever_starts_it(project: Project) -> None:
    project.write("x.do", "echo x\n")
    limited = project.start("prlimit", "--nofile=20:20", str(project.bindir / "redo"), "x")
    _, err = finish(limited, status=1)
    assert err.startswith(b"redo: the build server may have 20 open files at most"), err
    assert project.redo("x") == ["x"]


def test_a_daemon_that_cannot_start_says_why_to_whoever_starts_it(project: Project) -> None:
    (project.runtime / "redod").mkdir(mode=0o700)
    socket = Path(project.run("redod", "socket", check=True).stdout.decode().strip())
    socket.with_suffix(".bin").write_text("in the way of its directory of commands")
    result = project.run("redo", "x")
    assert result.returncode == 1
    assert str(socket.with_suffix(".bin")).encode() in result.stderr


def test_a_path_is_named_in_errors_as_it_is(project: Project, tmp_path: Path) -> None:
    result = project.run("redo", b"no\xff\ntarget")
    assert result.returncode != 0
    assert b"newline" in result.stderr
    assert list(tmp_path.glob("*/.redo")) == []
