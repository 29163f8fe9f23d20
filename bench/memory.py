"""What a large graph costs the daemon: memory, load time, a check. `python -m bench.memory`."""

import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from statistics import median

from bench.report import duration, table
from bench.stage import CommandFailedError, Stage
from bench.tools import Redo, add_redo_option, chosen_redos
from bench.workloads import Flavour, workload


def resident(stage: Stage, redo: Redo) -> str:
    """The daemon's VmRSS, see proc(5). Raises CalledProcessError when no daemon answers."""
    pid = int(json.loads(stage.answer(redo.command("redod", "status", "--json")))["pid"])
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return f"{int(value.split()[0]) / 1024:.0f} MB"
    raise CommandFailedError(f"/proc/{pid}/status has no VmRSS")


def measure(stage: Stage, redo: Redo, name: str, jobs: int) -> list[list[str]]:
    """Build and check a workload once, then again with a daemon that must load the store first.

    Raises CommandFailedError.
    """
    if not (redo.directory / "redod").exists():
        raise CommandFailedError(f"{redo.directory}: a redo without a daemon has no memory to measure")
    tree, tool = stage.scratch["disk"] / f"{redo.label}-{name}", redo.tool(jobs)
    workload(name).write(tree, Flavour.REDO)
    found = [("full build", duration(stage.seconds(tool.full, tree))), ("memory then", resident(stage, redo))]
    found.append(("no-op", duration(median(stage.seconds(tool.again, tree) for _ in range(9)))))
    stage.seconds(tool.stop, tree)
    found.append(("stopped, then the first answer", duration(stage.seconds(tool.again, tree))))
    found.append(("memory then", resident(stage, redo)))
    found.append(("no-op then", duration(median(stage.seconds(tool.again, tree) for _ in range(9)))))
    stage.seconds(tool.stop, tree)
    return [[f"{redo.label}, {name}", what, figure] for what, figure in found]


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["flat-1", "flat-100000"], metavar="WORKLOAD")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="default 2")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    add_redo_option(parser)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    redos = chosen_redos(args.redo)
    found: list[list[str]] = []
    with Stage({"disk": args.scratch}, [redo.tool(1).stop for redo in redos]) as stage:
        try:
            for redo in redos:
                for name in args.workloads:
                    found += measure(stage, redo, name, args.jobs)
        except (CommandFailedError, subprocess.CalledProcessError, ValueError) as error:
            sys.exit(str(error))
    print(table(["", "", "figure"], found, args.markdown))


if __name__ == "__main__":
    main()
