"""The cost of one nested redo-ifchange, against starting /bin/true in the same kind of loop.

`python -m bench.nested`; where several redos are given they take turns. What is printed are medians.
"""

import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from pathlib import Path
from statistics import median

from bench.report import duration, table
from bench.stage import CommandFailedError, Stage
from bench.tools import Redo, add_redo_option, chosen_redos
from bench.workloads import Flavour, loop, many

CASES = ("all", "floor", "empty")
"""Targets: a script with N calls, one that starts /bin/true N times, one that does nothing."""


def measure(stage: Stage, redos: list[Redo], calls: int, runs: int) -> dict[tuple[str, str], list[float]]:
    """Seconds by the redo's label and the case; redos and cases take turns. Raises CommandFailedError."""
    trees = {redo.label: stage.scratch["disk"] / redo.label for redo in redos}
    for tree in trees.values():
        many(calls).write(tree, Flavour.REDO)
        (tree / "floor.do").write_text(loop(calls, "/bin/true s$i"))
        (tree / "empty.do").write_text(":\n")
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in range(runs + 1):
        for redo in redos:
            for case in CASES:
                elapsed = stage.seconds(redo.command("redo", case), trees[redo.label])
                if run:  # the first starts the daemon
                    samples[redo.label, case].append(elapsed)
    return samples


def row(label: str, calls: int, samples: dict[tuple[str, str], list[float]]) -> list[str]:
    everything, floor, empty = (median(samples[label, case]) for case in CASES)
    call, spawn = (everything - empty) / calls, (floor - empty) / calls
    return [label, duration(everything), duration(call), duration(spawn), duration(call - spawn)]


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.nested", description=__doc__)
    parser.add_argument("--calls", type=int, default=500, help="calls in one script (default 500)")
    parser.add_argument("--runs", type=int, default=5, help="default 5")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    add_redo_option(parser)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    redos = chosen_redos(args.redo)
    with Stage({"disk": args.scratch}, [redo.tool(1).stop for redo in redos]) as stage:
        try:
            samples = measure(stage, redos, args.calls, args.runs)
        except CommandFailedError as error:
            sys.exit(str(error))
    header = ["", f"{args.calls} calls", "a call", "/bin/true", "difference"]
    print(table(header, [row(redo.label, args.calls, samples) for redo in redos], args.markdown))


if __name__ == "__main__":
    main()
