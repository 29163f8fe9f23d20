"""A project with every kind of target, which is broken off at any point and must come out as a clean build does."""

import fcntl
import os
import random
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.behaviour.events import expect, finish
from tests.behaviour.project import Project, wait_for_end

SOURCES = ("one", "two", "three")
SCRIPTS = {
    "all.do": "redo-ifchange stdout temp big tree link phony some user sub/x.t sub/y.t failed noisy\n",
    "stdout.do": "redo-ifchange one two; echo begin; cat one two; echo end\n",
    "temp.do": "redo-ifchange one three; { echo begin; cat one three; echo end; } >$3; : >$3.d\n",
    "big.do": "redo-ifchange two; echo begin; cat two; seq 170000; echo end\n",
    "tree.do": "redo-ifchange one; mkdir $3; for n in a b c; do { echo begin; cat one; echo end; } >$3/$n; done\n",
    "link.do": "redo-ifchange two; ln -s $(head -c 3 two) $3\n",
    "phony.do": "redo-ifchange three; echo made >&2\n",
    "some.do": "redo-ifchange one; if grep -q a one; then echo begin; cat one; echo end; fi\n",
    "sum.do": "redo-ifchange one two; { echo begin; cat one two | wc -c; echo end; } | tee $3 | redo-stamp\n",
    "user.do": "redo-ifchange sum three; echo begin; cat sum three; echo end\n",
    "default.t.do": "redo-ifchange three; mkdir -p $(dirname $1); echo begin; cat three; echo $2; echo end\n",
    "never.do": "redo-ifchange two; echo begin; grep b two; echo end\n",
    "failed.do": "redo-ifchange never || :; redo-ifchange three; echo begin; cat three; echo end\n",
    "noisy.do": "redo-ifchange three; head -c 2500000 /dev/zero | tr '\\0' x >&2; echo begin; cat three; echo end\n",
}


class Crashes:
    """One project, and the same one beside it that is always built anew. `seed` decides what happens to it."""

    def __init__(self, project: Project, clean: Project, seed: int) -> None:
        self.project = project
        self.random = random.Random(seed)
        self._clean = clean
        for name, text in SCRIPTS.items():
            project.write(name, text)
        for name in SOURCES:
            self.edit_one(name)

    def edit(self) -> None:
        """The user changes some sources, and sometimes removes a target."""
        for name in self.random.sample(SOURCES, self.random.randint(1, 3)):
            self.edit_one(name)
        if self.random.random() < 0.2:
            victim = self.project.path / self.random.choice(["stdout", "temp", "link", "sum", "sub/x.t"])
            victim.unlink(missing_ok=True)

    def edit_one(self, name: str, letter: str = "") -> None:
        self.project.write(name, (letter or self.random.choice("abc")) * 3 + str(self.random.random()) + "\n")

    def serve(self, failpoint: str = "") -> "subprocess.Popen[bytes]":
        """A server that dies at the failpoint. No client knows of that: one that starts another must not."""
        # A script of a killed one may have started another by what it asks for.
        self.project.run("redod", "stop", check=True)
        server = self.project.start("redod", "run", env={"REDOD_FAILPOINT": failpoint}, process_group=0)
        expect(server, b"serving")
        return server

    def start(self) -> "subprocess.Popen[bytes]":
        jobs = self.random.choice([1, 2, 4])
        return self.project.start("redo", f"-j{jobs}", "-k", "all", process_group=0)

    def break_off(self) -> None:
        """Build, and kill somebody at any moment of it."""
        self.project.run("redo-targets", check=True)  # starts a server, if there is none
        server = self.project.server_pid
        client = self.start()
        pidfd = os.pidfd_open(client.pid)
        select.select([pidfd], [], [], self.random.random() ** 2 * 0.3)
        os.close(pidfd)
        self.random.choice(KILLERS)(server, client, self.project)
        finish(client, status=None)

    def check(self) -> None:
        """What must hold after a crash, and after the build that follows it."""
        self._check_whole()
        self._build()
        expected = self._clean_build()
        found = self._snapshot(self.project.path)
        if "never" not in expected:
            # Its build failed, and it keeps the bytes of one that did not.
            found.pop("never", None)
        differing = {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)}
        assert not differing, f"not as a clean build makes them: {differing}"
        assert self._build() == [], "built again without a reason"

    def _build(self) -> list[str]:
        result = self.project.run("redo-ifchange", "all")
        if b"ended without an answer" in result.stderr:
            # A script that was just being started had a copy of the killed server's socket until it was executed.
            result = self.project.run("redo-ifchange", "all")
        assert result.returncode == 0, result.stderr[-2000:]
        assert b"modified" not in result.stderr, result.stderr[-2000:]
        # It failed, so it is tried again by each session.
        return [name for name in self.project.jobs(result) if name not in ("never", "failed", "all")]

    def _clean_build(self) -> dict[str, bytes]:
        subprocess.run(["rm", "-rf", self._clean.path], check=True)
        self._clean.path.mkdir()
        for name in [*SOURCES, *SCRIPTS]:
            self._clean.write(name, self.project.read(name))
        self._clean.run("redo-ifchange", "all", check=True)
        return self._snapshot(self._clean.path)

    def _snapshot(self, root: Path) -> dict[str, bytes]:
        found = {}
        for directory, names, files in os.walk(root):
            # What scripts leave beside their `$3` is removed at leisure; see `check_nothing_is_left`.
            names[:] = [name for name in names if name != ".redo" and ".redo.tmp" not in name]
            for name in names + [name for name in files if ".redo.tmp" not in name]:
                path = Path(directory, name)
                text = b"/" if path.is_dir() and not path.is_symlink() else b""
                text = os.fsencode(os.readlink(path)) if path.is_symlink() else text or path.read_bytes()
                found[str(path.relative_to(root))] = text
        return found

    def _check_whole(self) -> None:
        """No target is half-written, at no time."""
        for name, text in self._snapshot(self.project.path).items():
            if name in (*SOURCES, *SCRIPTS, "link") or not text or text == b"/":
                continue
            assert (text[:6], text[-4:]) == (b"begin\n", b"end\n"), f"{name} is half-written"

    def check_nothing_is_left(self) -> None:
        """Once everything has been ended in peace."""
        self.project.run("redod", "stop", check=True)
        left = [str(path) for path in self.project.path.rglob("*.redo.tmp*")]
        assert not left, "temporaries"
        assert processes_of(self.project) == [], "processes"
        with open(self.project.path / ".redo/lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert lock.read() == b""
        runtime = os.listdir(self.project.runtime / "redod")
        assert not [name for name in runtime if name.endswith(".sock")], "a socket"


def processes_of(project: Project) -> list[int]:
    """The pids of what the project's server has started."""
    mark = b"\0REDOD_SOCKET=" + os.fsencode(project.runtime)
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environ = Path("/proc", name, "environ").read_bytes()
        except OSError:
            continue
        if mark in b"\0" + environ and b"REDO_JOB=" in environ:
            found.append(int(name))
    return found


def kill(pid: int) -> None:
    """SIGKILL, and return when it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for_end(pidfd)


Client = subprocess.Popen[bytes]


def kill_server(server: int, client: Client, project: Project) -> None:
    kill(server)


def kill_client(server: int, client: Client, project: Project) -> None:
    """The server cleans up after it."""
    client.kill()


def kill_client_and_server(server: int, client: Client, project: Project) -> None:
    os.killpg(client.pid, signal.SIGKILL)
    kill(server)


def kill_everything(server: int, client: Client, project: Project) -> None:
    """As a power cut does it, but for the disk."""
    kill(server)
    client.kill()
    while pids := processes_of(project):
        for pid in pids:
            kill(pid)


KILLERS: list[Callable[[int, Client, Project], None]] = [
    kill_server, kill_client, kill_client_and_server, kill_everything,
]  # fmt: skip
