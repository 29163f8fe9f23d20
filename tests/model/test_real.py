"""Random projects with random histories, through the real client and server, and by the oracle.

Each failure names its seed. Servers are stopped and killed, and builds interrupted, at any time.
"""

import copy
import os
import random
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from redod.core.paths import join, relative
from tests.behaviour.project import CLIENTS, PATIENCE, Project, make_install
from tests.model.filesystem import Files
from tests.model.histories import EVERYTHING, Edit
from tests.model.histories import Project as History
from tests.model.oracle import Oracle
from tests.model.real import VERBS, Disk, on_disk

STEPS = 5
_BROKEN = re.compile(rb"Traceback|internal error|killed by signal (?!9\b)")


@pytest.fixture
def real_seeds() -> range:
    """REDOD_REAL_RUNS histories from the seed REDOD_REAL_SEED on."""
    first = int(os.environ.get("REDOD_REAL_SEED", "1"))
    return range(first, first + int(os.environ.get("REDOD_REAL_RUNS", "15")))


@pytest.fixture(scope="module")
def bindir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_install(tmp_path_factory.mktemp("install"), CLIENTS[0])


@pytest.fixture
def project(tmp_path: Path, bindir: Path) -> Iterator[Project]:
    made = Project(tmp_path / "project", bindir, tmp_path / "runtime")
    verbs = tmp_path / "verbs.sh"
    verbs.write_bytes(VERBS)
    made.environment["MODEL_VERBS"] = str(verbs)
    yield made
    made.close()


class Play:
    """One history: the same edits for both sides. Every third has interruptions, and no script that writes `$1`: what
    such a script has left when its server is killed, nobody can tell from a hand edit.
    """

    def __init__(self, seed: int, project: Project, directory: Path) -> None:
        self.has_interruptions = seed % 3 == 0
        self.history = History(seed, coarse=self.has_interruptions)
        self.random = random.Random(~seed)
        directory.mkdir()
        self.disk = Disk(directory / "p", directory / "spare")
        self.project = project
        self.oracle = Oracle(Files())
        self.told: list[str] = []
        self._below = b"/p"
        """What the names shown are relative to."""

    def do(self, edits: list[Edit]) -> None:
        for edit in edits:
            edit(self.disk)
            edit(self.oracle.files)

    def begin(self) -> None:
        self.do(self.history.initial())
        (self.disk.root / "ask").mkdir()
        (self.disk.root / "ask" / "ask.do").write_bytes(b"redo-ifchange $MODEL_TARGETS\n")

    def step(self) -> None:
        self.disk.wait_for_tick()
        for _ in range(self.random.randint(0, 3)):
            edits = self.history.edit(self.oracle.files)
            before = dict(self.oracle.files.contents)
            self.do(edits)
            self.told.append(f"edit {_differing(before, self.oracle.files.contents)}")
        self.disk.wait_for_tick()
        match self.random.random():
            case chance if chance < 0.1:
                self.told.append("stop")
                self.project.run("redod", "stop", check=True)
            case chance if chance < 0.2 and self.project.server_pid:
                self.told.append("kill")
                self.project.kill_server()
        self.build()

    def build(self) -> None:
        targets = self._some_targets()
        jobs = self.random.choice([1, 1, 2, 3, 4])
        force = jobs == 1 and self.random.random() < 0.2
        keep_going = jobs > 1 or self.random.random() < 0.5
        interrupted = self.has_interruptions and self.random.random() < 0.5
        if interrupted:
            force, keep_going = False, True
            self._interrupt(targets, jobs)
        fails = self._would_fail(targets)
        status, expected = self.oracle.build(targets, force=force, keep_going=keep_going)
        if not fails and not force and self.random.random() < 0.5:
            jobs = 2
            process = self._plain(targets)
        else:
            process = self._start(targets, jobs, force=force, keep_going=keep_going)
        self._finish(process, jobs, status, None if interrupted else expected)
        if self.random.random() < 0.5:
            status, expected = self.oracle.build(targets, force=False, keep_going=True)
            self.told.append("again")
            self._finish(self._start(targets, jobs, force=False, keep_going=True), jobs, status, expected)

    def _finish(self, process: "subprocess.Popen[bytes]", jobs: int, status: int, expected: list[bytes] | None) -> None:
        _, err = process.communicate(timeout=PATIENCE)
        ran = self._ran(err)
        self.told.append(f"  ran {ran}\n  and should have {expected}")
        try:
            assert not _BROKEN.search(err)
            assert bool(process.returncode) == bool(status), f"status {process.returncode} and not {status}"
            if expected is not None and jobs == 1:
                assert ran == expected, "other scripts ran, or in another order"
            elif expected is not None:
                assert sorted(ran) == sorted(expected), "other scripts ran"
            self._compare_files(may_have_litter=expected is None)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{err.decode(errors='replace')}") from error

    def _compare_files(self, *, may_have_litter: bool) -> None:
        found = {path: text for path, text in self.disk.read_all().items() if not path.startswith(b"/p/ask")}
        if may_have_litter:
            # A killed server's scripts may go on for a while, and make their `$3` after the next build has cleaned up.
            for path in [path for path in found if b".redo.tmp" in path]:
                self.disk.remove(path)
                del found[path]
        wanted = {path: on_disk(path, text) for path, text in self.oracle.files.contents.items()}
        assert found == wanted, f"other bytes: {_differing(wanted, found)}"

    def _some_targets(self) -> list[bytes]:
        names = EVERYTHING if self.random.random() < 0.5 else self.random.sample(EVERYTHING, 2)
        if not self.oracle.files.exists(b"/p/g.do"):
            # Asked for at the same time, g may or may not find the script that is being made.
            names = [name for name in names if name != b"g"]
        return [b"/p/" + name for name in names]

    def _would_fail(self, targets: list[bytes]) -> bool:
        oracle = copy.deepcopy(self.oracle)
        status, _ = oracle.build(targets, force=False, keep_going=True)
        return bool(status or oracle.session.failed)

    def _start(self, targets: list[bytes], jobs: int, *, force: bool, keep_going: bool) -> "subprocess.Popen[bytes]":
        """`redo-ifchange` knows no options, so that a script of the options' session has to ask."""
        cwd = b"/p" if force else b"/p/ask"
        names = [relative(target, cwd) for target in targets]
        options = [f"-j{jobs}", *(["-k"] if keep_going else [])]
        asked = names if force else [b"ask/ask"]
        self._below = b"/p"
        self.told.append(f"redo {' '.join(options)} {b' '.join(names).decode()}{'' if force else ' (ifchange)'}")
        environment = {"MODEL_TARGETS": b" ".join(names).decode()}
        return self.project.start("redo", *options, *asked, cwd=self.disk.root, env=environment)

    def _plain(self, targets: list[bytes]) -> "subprocess.Popen[bytes]":
        below = self.random.choice([b"/p", b"/p/d"])
        names = [relative(target, below) for target in targets]
        self.told.append(f"redo-ifchange {b' '.join(names).decode()} in {below.decode()}")
        self._below = below
        return self.project.start("redo-ifchange", *names, cwd=self.disk.real(below))

    def _interrupt(self, targets: list[bytes], jobs: int) -> None:
        """Begin the build, and break something when some scripts have been started."""
        process = self._start(targets, jobs, force=False, keep_going=True)
        assert process.stderr is not None
        for _ in range(self.random.randint(1, 12)):
            if not process.stderr.readline():
                break
        how = self.random.choice(["kill the server", "stop the server", "kill the client", "Ctrl-C", "another client"])
        self.told.append(how)
        match how:
            case "kill the server":
                if self.project.server_pid:
                    self.project.kill_server()
            case "stop the server":
                self.project.run("redod", "stop", check=True)
            case "kill the client":
                process.kill()
            case "Ctrl-C":
                process.send_signal(signal.SIGINT)
            case _:
                other = self._start([self.random.choice(targets)], jobs, force=False, keep_going=True)
                _, err = other.communicate(timeout=PATIENCE)
                assert not _BROKEN.search(err), err.decode(errors="replace")
        _, err = process.communicate(timeout=PATIENCE)
        assert not _BROKEN.search(err), err.decode(errors="replace")
        self.disk.wait_for_tick()

    def _ran(self, err: bytes) -> list[bytes]:
        names = Project.jobs(subprocess.CompletedProcess([], 0, b"", err))
        paths = [os.path.normpath(join(self._below, os.fsencode(name))) for name in names]
        return [path for path in paths if path != b"/p/ask/ask"]


def _differing(before: dict[bytes, bytes], after: dict[bytes, bytes]) -> str:
    names = sorted(before.keys() | after.keys())
    return " ".join(f"{n.decode()}={after.get(n)!r}" for n in names if before.get(n) != after.get(n)) or "attributes"


def play(seed: int, project: Project, directory: Path) -> None:
    history = Play(seed, project, directory)
    history.begin()
    try:
        for _ in range(STEPS):
            history.step()
    except Exception as error:
        scripts = {path.decode(): text for path, text in history.oracle.files.contents.items() if path.endswith(b".do")}
        told = "\n".join([*(f"{name}: {text!r}" for name, text in scripts.items()), *history.told])
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{told}") from error


def test_random_histories_build_on_disk_what_the_oracle_says(
    real_seeds: range, project: Project, tmp_path: Path
) -> None:
    for seed in real_seeds:
        play(seed, project, tmp_path / f"seed{seed}")
