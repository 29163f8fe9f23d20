"""Random projects with random histories, through the real client and server, and by the oracle.

Each failure names its seed, and is cut down. Servers are stopped and killed, and builds interrupted, at any time.
"""

import os
import random
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from redod.core.paths import join, relative
from tests.behaviour.project import CLIENTS, PATIENCE, Project, make_install
from tests.model.filesystem import Edit, Files
from tests.model.histories import Build, History, Restart, Step, make_history
from tests.model.oracle import Oracle
from tests.model.play import Comparing
from tests.model.real import VERBS, Disk, on_disk
from tests.model.shrink import shrink
from tests.model.telling import changes, names_of, tell, tell_step

STEPS = 4
"""Builds in one history."""
_TRIES = 150
"""To cut a failing history down: each takes about a second."""
_BROKEN = re.compile(rb"Traceback|internal error|killed by signal (?!9\b)")


@pytest.fixture
def real_seeds() -> range:
    """REDOD_REAL_RUNS histories from the seed REDOD_REAL_SEED on."""
    first = int(os.environ.get("REDOD_REAL_SEED", "1"))
    return range(first, first + int(os.environ.get("REDOD_REAL_RUNS", "100")))


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


class Play(Comparing):
    """One history: the same edits for both sides."""

    def __init__(self, history: History, project: Project, directory: Path) -> None:
        super().__init__(history, Oracle(Files()))
        self.random = random.Random(~history.seed)
        directory.mkdir()
        self.disk = Disk(directory / "p", directory / "spare")
        self.project = project
        self._ran_file = directory / "ran"
        self._below = b"/p"
        """What the names shown are relative to."""

    def run(self) -> None:
        """Raises AssertionError at the first difference."""
        for name in ("d/e", "ask"):
            (self.disk.root / name).mkdir(parents=True)
        (self.disk.root / "link").symlink_to("d")
        (self.disk.root / "ask" / "ask.do").write_bytes(b"redo-ifchange $MODEL_TARGETS\n")
        for edit in self.history.begin:
            self._edit(edit)
        for number, step in enumerate(self.history.steps, 1):
            try:
                self._step(step)
            except Exception as error:
                raise AssertionError(f"step {number} ({tell_step(step)}): {error or type(error).__name__}") from error

    def _edit(self, edit: Edit) -> None:
        edit.apply(self.disk)
        edit.apply(self.oracle.files)

    def _step(self, step: Step) -> None:
        match step:
            case Edit():
                self._edit(step)
            case Restart("stop"):
                self.project.run("redod", "stop", check=True)
            case Restart():
                self._kill_server()
            case Build():
                self.disk.wait()
                self._build(step, self._break(step) if step.broken else None)
                self.disk.wait()

    def _kill_server(self) -> None:
        if self.project.server_pid:
            self.project.kill_server()

    def _build(self, build: Build, ran_before: list[bytes] | None) -> None:
        targets = self._targets(build)
        may_be_plain = not self.history.serial and not build.force and self.random.random() < 0.5
        is_plain = may_be_plain and not self.oracle.would_fail(targets)
        status, expected = self.oracle.build(targets, force=build.force, keep_going=build.keep_going)
        process = self._plain(targets) if is_plain else self._start(build, targets)
        _, err = process.communicate(timeout=PATIENCE)
        try:
            assert not _BROKEN.search(err)
            assert bool(process.returncode) == bool(status), (
                f"its status is {process.returncode} and should be {status}"
            )
            ran = self._take_runs()
            if ran_before is None:
                self._compare_shown(ran, err)
                self._compare_runs(build, ran, expected)
            else:
                self._compare_both_runs(build, ran, expected, ran_before)
            self._compare_files()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{err.decode(errors='replace')}") from error

    def _compare_shown(self, ran: list[bytes], err: bytes) -> None:
        names = Project.jobs(subprocess.CompletedProcess([], 0, b"", err))
        paths = [os.path.normpath(join(self._below, os.fsencode(name))) for name in names]
        shown = [path for path in paths if path != b"/p/ask/ask"]
        assert sorted(shown) == sorted(ran), f"it showed {names_of(shown)} and ran {names_of(ran)}"

    def _compare_files(self) -> None:
        found = {path: text for path, text in self.disk.contents.items() if path not in (b"/p/d", b"/p/d/e")}
        for path in [path for path in found if b".redo.tmp" in path]:
            # A killed server's scripts may go on for a while, and make their `$3` after the next build has cleaned up.
            assert any(isinstance(step, Restart) or step.broken for step in self._builds()), f"{path!r} was left"
            self.disk.remove(path)
            del found[path]
        wanted = {path: on_disk(path, text) for path, text in self.oracle.files.contents.items()}
        assert found == wanted, f"other bytes: {changes(wanted, found)}"

    def _builds(self) -> Iterator[Build | Restart]:
        return (step for step in self.history.steps if not isinstance(step, Edit))

    def _take_runs(self) -> list[bytes]:
        """The targets whose scripts have run since the last time, as the scripts themselves told."""
        told = self._ran_file.read_bytes().splitlines() if self._ran_file.exists() else []
        self._ran_file.write_bytes(b"")
        top = os.fsencode(self.disk.root)
        return [b"/p" + path.removeprefix(top) for path in told if path != top + b"/ask/ask"]

    def _start(self, build: Build, targets: list[bytes]) -> "subprocess.Popen[bytes]":
        """`redo-ifchange` knows no options, so that a script of the options' session has to ask."""
        cwd = b"/p" if build.force else b"/p/ask"
        names = [relative(target, cwd) for target in targets]
        options = [f"-j{build.jobs}", *(["-k"] if build.keep_going else [])]
        self._below = b"/p"
        environment = {"MODEL_TARGETS": b" ".join(names).decode()}
        return self._run("redo", *options, *(names if build.force else [b"ask/ask"]), cwd=self.disk.root, **environment)

    def _run(self, *argv: str | bytes, cwd: Path, **environment: str) -> "subprocess.Popen[bytes]":
        return self.project.start(*argv, cwd=cwd, env={**environment, "MODEL_RAN": str(self._ran_file)})

    def _plain(self, targets: list[bytes]) -> "subprocess.Popen[bytes]":
        below = self.random.choice([b"/p", b"/p/d"])
        names = [relative(target, below) for target in targets]
        self._below = below
        return self._run("redo-ifchange", *names, cwd=self.disk.real(below))

    def _break(self, build: Build) -> list[bytes] | None:
        """Begin the build, and break it off when some scripts have been started; what it has run."""
        targets = self._targets(build)
        if self._edit_before(build, targets):
            return None
        process = self._start(build, targets)
        assert process.stderr is not None
        for _ in range(build.after // 5 + 1):
            if not process.stderr.readline():
                break
        match build.broken:
            case "kill":
                self._kill_server()
            case "stop":
                self.project.run("redod", "stop", check=True)
            case "cancel":
                process.send_signal(self.random.choice([signal.SIGKILL, signal.SIGINT]))
            case _:
                assert build.edit is not None
                self._edit(build.edit)
        _, err = process.communicate(timeout=PATIENCE)
        assert not _BROKEN.search(err), err.decode(errors="replace")
        return self._take_runs()


def check(history: History, play: Callable[[History], None]) -> None:
    """Play it; if it fails, tell the shortest history found that fails, too. Raises AssertionError."""

    def problem(history: History) -> str:
        try:
            play(history)
        except AssertionError as error:
            return str(error)
        return ""

    found = problem(history)
    if found:
        smallest = shrink(history, found, problem, tries=_TRIES)
        raise AssertionError(f"{found}\ncut down:\n{problem(smallest)}\n{tell(smallest)}")


def test_random_histories_build_on_disk_what_the_oracle_says(
    real_seeds: range, project: Project, tmp_path: Path
) -> None:
    numbers = count()

    def play(history: History) -> None:
        Play(history, project, tmp_path / f"play{next(numbers)}").run()

    for seed in real_seeds:
        # A coarse clock is what a disk has: there is no other in which an edit in the middle of a build could be told.
        check(make_history(seed, steps=STEPS, coarse=seed % 3 == 0, breaks=seed % 5 < 2), play)
