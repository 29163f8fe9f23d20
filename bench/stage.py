"""Where benchmarks run: scratch directories, a clean environment, the clock, and the end of the daemons started.

It knows how to run a command and time it, not what the command is for.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from types import TracebackType
from typing import Self

TMPFS = Path("/dev/shm")
INHERITED = ("HOME", "PATH", "LANG", "TMPDIR", "USER", "LOGNAME")
"""All that commands get of the caller's environment, and a private XDG_RUNTIME_DIR: no MAKEFLAGS, CI or REDO_*."""


class CommandFailedError(Exception):
    """A command ended with a status other than 0. The text holds the end of its output."""


class Stage:
    """A context manager. `places` are names and directories of file systems; each gets a scratch directory there."""

    def __init__(self, places: dict[str, Path], stops: Iterable[Sequence[str]] = ()) -> None:
        self._stack = ExitStack()
        self._places = places
        self._stops = [stop for stop in stops if stop]
        self.scratch: dict[str, Path] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name, directory in self._places.items():
                made = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=directory))
                self.scratch[name] = Path(made)
            # mkdtemp's mode, 0700, is what a runtime directory must have.
            runtime = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-run-")))
            self.environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
            self.environment["XDG_RUNTIME_DIR"] = str(runtime)
            self._output = stack.enter_context(open(runtime / "output", "w+b"))
            stack.callback(self._stop_daemons)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def seconds(self, argv: Sequence[str], directory: Path) -> float:
        """Run a command in a directory and return its wall time in seconds. Raises CommandFailedError."""
        self._output.seek(0)
        self._output.truncate()
        start = perf_counter()
        status = subprocess.call(
            argv,
            cwd=directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )
        elapsed = perf_counter() - start
        if status:
            self._output.seek(0)
            output = self._output.read()[-2000:].decode(errors="replace")
            raise CommandFailedError(f"{' '.join(argv)}: status {status}, in {directory}\n{output}")
        return elapsed

    def answer(self, argv: Sequence[str]) -> bytes:
        """Run a command for what it prints. Raises subprocess.CalledProcessError."""
        return subprocess.run(argv, env=self.environment, stdout=subprocess.PIPE, check=True).stdout

    def spawn_floor(self, rounds: int = 50) -> float:
        """Seconds that starting /bin/true from here takes: the least that any figure can be."""
        directory = next(iter(self.scratch.values()))
        return median(self.seconds(["/bin/true"], directory) for _ in range(rounds))

    def _stop_daemons(self) -> None:
        for stop in self._stops:
            subprocess.call(stop, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
