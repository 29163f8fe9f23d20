"""What a large graph costs the daemon: memory, load time, a check, pauses. `python -m bench.memory`."""

import json
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.report import duration, table
from bench.stage import CommandFailedError, Stage
from bench.tools import Redo, add_redo_option, chosen_redos
from bench.watching import record
from bench.workloads import Flavour, workload

_PATIENCE = 60.0
_RETRY = 0.1
"""Seconds between two looks whether a workspace has left the memory."""


class Measured:
    """One workload in one redo, and what was found of it so far."""

    def __init__(self, stage: Stage, redo: Redo, name: str, jobs: int) -> None:
        self._stage, self._redo, self._name = stage, redo, name
        self._tool = redo.tool(jobs)
        self.tree = stage.scratch["place"] / f"{redo.label}-{name}"
        self.rows: list[list[str]] = []

    def build(self) -> None:
        workload(self._name).write(self.tree, Flavour.REDO)
        self._note("full build", duration(self._seconds(self._tool.full)))
        self._memory()
        self._no_ops()
        self._stop()

    def record(self) -> None:
        kind, _, number = self._name.partition("-")
        if kind != "flat":
            raise CommandFailedError(f"{self._name}: only flat-N can be recorded instead of built")
        record(self.tree, int(number))

    def load(self) -> None:
        """A server that must read the store: without anything to check first, then with all."""
        self._note("start of a server", duration(self._seconds(self._redo.command("redo-whichdo", "all"))))
        self._note("loading", duration(self._seconds(self._redo.command("redo-sources", "all.do"))))
        self._memory()
        self._note("first check", duration(self._seconds(self._tool.again)))
        self._memory()
        self._no_ops()
        self._note("longest pause of the collector", duration(self._status()["longest_pause"]))
        self._stop()

    def unload(self) -> None:
        self._stage.environment["REDOD_UNLOAD"] = "0"
        try:
            self._seconds(self._tool.again)
            deadline = time.monotonic() + _PATIENCE
            while (status := self._status())["files"] or status["leaving"]:
                if time.monotonic() > deadline:
                    raise CommandFailedError(f"{self._redo.directory}: it keeps in memory what is not used")
                time.sleep(_RETRY)
            self._memory("when it was unloaded")
        finally:
            del self._stage.environment["REDOD_UNLOAD"]
            self._stop()

    def _no_ops(self) -> None:
        self._note("no-op", duration(median(self._seconds(self._tool.again) for _ in range(9))))

    def _memory(self, when: str = "then") -> None:
        self._note(f"memory {when}", f"{self._status()['memory'] / 1e6:.0f} MB")

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self._stage.answer(self._redo.command("redod", "status", "--json")))
        return status

    def _seconds(self, argv: Sequence[str]) -> float:
        return self._stage.seconds(argv, self.tree)

    def _stop(self) -> None:
        self._seconds(self._tool.stop)

    def _note(self, what: str, figure: str) -> None:
        self.rows.append([f"{self._redo.label}, {self._name}", what, figure])


def measure(stage: Stage, redo: Redo, name: str, args: Namespace) -> list[list[str]]:
    """Raises CommandFailedError."""
    if not (redo.directory / "redod").exists():
        raise CommandFailedError(f"{redo.directory}: a redo without a daemon has no memory to measure")
    measured = Measured(stage, redo, name, args.jobs)
    if args.recorded:
        measured.record()
    else:
        measured.build()
    measured.load()
    measured.unload()
    return measured.rows


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["flat-1", "flat-100000"], metavar="WORKLOAD")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="default 2")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--recorded", action="store_true", help="write flat-N's store as a build would, without it")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    add_redo_option(parser)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    redos = chosen_redos(args.redo)
    found: list[list[str]] = []
    with Stage({"place": args.scratch}, [redo.tool(1).stop for redo in redos]) as stage:
        try:
            for redo in redos:
                for name in args.workloads:
                    found += measure(stage, redo, name, args)
        except (CommandFailedError, subprocess.CalledProcessError, ValueError) as error:
            sys.exit(str(error))
    print(table(["", "", "figure"], found, args.markdown))


if __name__ == "__main__":
    main()
