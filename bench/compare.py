"""Time redo, make and ninja doing the same work, side by side in one run: `python -m bench.compare flat-1000 cproj`.

Tools take turns at every step, so that a machine which drifts does so for all of them. What is printed are medians.
"""

import os
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from pathlib import Path
from statistics import median

from bench.report import duration, ratio, table
from bench.stage import TMPFS, CommandFailedError, Stage
from bench.tools import Tool, add_redo_option, chosen_redos, peers
from bench.workloads import Flavour, Workload, workload

Samples = dict[tuple[str, str], list[float]]
"""Seconds, by case ("full", "no-op", an edit) and the tool's label."""


def measure(stage: Stage, work: Workload, tools: list[Tool], scratch: Path, runs: int, rounds: int) -> Samples:
    """Build the workload `runs` times from nothing, and after each build `rounds` times again.

    Raises CommandFailedError.
    """
    samples: Samples = defaultdict(list)
    for run in range(runs):
        turn = run % len(tools)
        order = tools[turn:] + tools[:turn]
        trees = {tool.label: scratch / f"{work.name}-{run}-{tool.label}" for tool in tools}
        for tool in order:
            work.write(trees[tool.label], tool.flavour)
        os.sync()  # or the first tool would pay for writing the sources back
        for tool in order:
            samples["full", tool.label].append(stage.seconds(tool.full, trees[tool.label]))
        for case in ["no-op"] * rounds + [work.edit] * rounds:
            for tool in order:
                tree = trees[tool.label]
                if case == work.edit:
                    work.change(tree, len(samples[case, tool.label]))
                samples[case, tool.label].append(stage.seconds(tool.again, tree))
    return samples


def warm_up(stage: Stage, tools: list[Tool], scratch: Path) -> None:
    """Have every daemon running before the clock does."""
    for tool in tools:
        tree = scratch / f"warm-{tool.label}"
        workload("flat-1").write(tree, tool.flavour)
        stage.seconds(tool.full, tree)


def rows(title: str, work: Workload, tools: list[Tool], samples: Samples) -> list[list[str]]:
    """One row for each case: the medians, then the ratio of each redo to each peer."""
    found = []
    for case in ("full", "no-op", work.edit):
        medians = {tool.label: median(samples[case, tool.label]) for tool in tools if samples[case, tool.label]}
        figures = [duration(medians[tool.label]) if tool.label in medians else "" for tool in tools]
        found.append([title, case, *figures, *ratios(tools, medians)])
    return found


def pairs(tools: list[Tool]) -> list[tuple[str, str]]:
    """What is divided by what: every redo by every other kind of tool."""
    redos = [tool.label for tool in tools if tool.flavour is Flavour.REDO]
    others = [tool.label for tool in tools if tool.flavour is not Flavour.REDO]
    return [(redo, other) for redo in redos for other in others]


def ratios(tools: list[Tool], medians: dict[str, float]) -> list[str]:
    return [
        ratio(medians[redo], medians[other]) if other in medians and redo in medians else ""
        for redo, other in pairs(tools)
    ]


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("workloads", nargs="+", metavar="WORKLOAD", help="flat-N, chain-N, many-N or cproj")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="parallel jobs of a full build (default 2)")
    parser.add_argument("--runs", type=int, default=3, help="full builds by each tool (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="no-ops and edits after each of them (default 3)")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="a directory on a disk")
    parser.add_argument("--tmpfs", action="store_true", help=f"measure on {TMPFS} too")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    add_redo_option(parser)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        works = [workload(name) for name in args.workloads]
    except ValueError as error:
        sys.exit(str(error))
    tools = [redo.tool(args.jobs) for redo in chosen_redos(args.redo)] + peers(args.jobs)
    places = {"disk": args.scratch} | ({"tmpfs": TMPFS} if args.tmpfs else {})
    found: list[list[str]] = []
    with Stage(places, [tool.stop for tool in tools]) as stage:
        try:
            warm_up(stage, tools, stage.scratch["disk"])
            for work in works:
                able = [tool for tool in tools if tool.flavour in work.rules]
                for place, scratch in stage.scratch.items():
                    samples = measure(stage, work, able, scratch, args.runs, args.rounds)
                    found += rows(f"{work.name}, {place}", work, tools, samples)
        except CommandFailedError as error:
            sys.exit(str(error))
        floor = stage.spawn_floor()
    header = ["workload", "case", *(tool.label for tool in tools), *(f"{a}/{b}" for a, b in pairs(tools))]
    print(table(header, found, args.markdown))
    print(f"\nMedians of {args.runs} full builds at -j{args.jobs}, {args.runs * args.rounds} others.", end=" ")
    print(f"Starting /bin/true from the harness: {duration(floor)}.")


if __name__ == "__main__":
    main()
