"""Events that tests wait for: lines through a FIFO, ends of processes, text that a command prints."""

import json
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.behaviour.project import PATIENCE, Project, wait_for_end


class Fifo:
    """Lines between a script and the test, in either direction. Open at both ends here, so that no script blocks on
    opening it, and no line is lost.
    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._buffer = b""

    def send(self, line: str = "go") -> None:
        os.write(self._number, line.encode() + b"\n")

    def receive(self) -> str:
        """The next line, as soon as there is one."""
        while b"\n" not in self._buffer:
            assert select.select([self._number], [], [], PATIENCE)[0], f"nothing was written to {self.path}"
            self._buffer += os.read(self._number, 4096)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def receive_process(self) -> "Watched":
        """The next line is the pid of a process that runs."""
        return Watched(int(self.receive()))

    def close(self) -> None:
        os.close(self._number)


@dataclass
class Watched:
    """A process, held by a pidfd: it is never taken for another one of the same pid."""

    pid: int
    pidfd: int = field(init=False)

    def __post_init__(self) -> None:
        self.pidfd = os.pidfd_open(self.pid)

    @property
    def is_alive(self) -> bool:
        """Runs now."""
        return not select.select([self.pidfd], [], [], 0)[0]

    def wait_end(self) -> None:
        wait_for_end(os.dup(self.pidfd))

    def wait_stopped(self) -> None:
        """Ctrl-Z comes to each process by itself: before that it may still read what is typed for others."""
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b") ")[2][:1] != b"T":
            assert time.monotonic() < deadline, f"process {self.pid} is not stopped"
            os.sched_yield()

    def kill(self, number: int = signal.SIGKILL) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return


def expect(process: "subprocess.Popen[bytes]", text: bytes) -> bytes:
    """Read the standard error of a running command until `text` has come; everything read so far."""
    assert process.stderr is not None
    seen = b""
    while text not in seen:
        assert select.select([process.stderr], [], [], PATIENCE)[0], f"{text!r} did not come, but {seen!r}"
        data = os.read(process.stderr.fileno(), 65536)
        assert data, f"it ended after {seen!r}"
        seen += data
    return seen


def finish(process: "subprocess.Popen[bytes]", status: int | None = 0) -> tuple[bytes, bytes]:
    """Wait for the end of a command; its remaining standard output and error."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except BaseException:
        process.kill()
        raise
    assert status is None or process.returncode == status, (process.returncode, err)
    return out, err


def status_of(project: Project, **environment: str) -> dict[str, Any]:
    """What `redod status --json` says."""
    result = project.run("redod", "status", "--json", env=environment, check=True)
    status: dict[str, Any] = json.loads(result.stdout)
    return status


def wait_for_sessions(project: Project, number: int) -> None:
    """Return when so many sessions are open. Nothing tells a test that the daemon has read what a client sent, or that
    it has noticed a client's end, so it is asked until it is so.
    """
    deadline = time.monotonic() + PATIENCE
    while (found := status_of(project)["sessions"]) != number:
        assert time.monotonic() < deadline, f"{found} sessions are open, not {number}"


def count(project: Project, name: str) -> int:
    """How often a script added a line to this file."""
    path = project.path / name
    return len(path.read_text().splitlines()) if path.exists() else 0
