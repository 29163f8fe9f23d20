"""From a saved file to the job that it starts: `python -m bench.saving`.

Two ways: `redo --watch`, which waits for 20 ms of quiet first, and a save hook, `redo-affected --build FILE`. The clock
runs from before write(2) until a line of the script arrives, which is compared with starting such a script from here.
"""

import os
import subprocess
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.report import duration, ratio, table
from bench.stage import Stage
from bench.tools import Redo, add_redo_option, chosen_redos

_PAUSE = 0.1
"""Seconds between two saves: the cycle before must be over."""
_SCRIPT = "echo >started; redo-ifchange source; cp source $3\n"


class Saves:
    """A project of one target, whose script says through a FIFO that it has started."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.count = 0
        os.mkfifo(tree / "started")
        self.started = os.open(tree / "started", os.O_RDWR)
        (tree / "target.do").write_text(_SCRIPT)
        self.save()

    def save(self) -> None:
        self.count += 1
        (self.tree / "source").write_text(f"{self.count}\n")

    def seconds(self, then: Callable[[], "subprocess.Popen[bytes] | None"]) -> float:
        """From a save to the script; `then` starts what brings it about, if anything has to be started."""
        time.sleep(_PAUSE)
        begin = time.perf_counter()
        self.save()
        process = then()
        os.read(self.started, 1)
        elapsed = time.perf_counter() - begin
        if process is not None:
            process.wait()
        return elapsed

    def close(self) -> None:
        os.close(self.started)


@contextmanager
def watching(stage: Stage, redo: Redo, saves: Saves) -> Iterator[None]:
    """While `redo --watch` looks after the target, which it has built."""
    watch = subprocess.Popen(
        redo.command("redo", "--watch", "target"), cwd=saves.tree, env=stage.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.read(saves.started, 1)
    yield
    watch.terminate()
    watch.wait()


def measure(stage: Stage, redo: Redo, tree: Path, rounds: int) -> list[tuple[str, float]]:
    """What was done, and the median of its seconds."""
    saves = Saves(tree)

    def run(*argv: str) -> Callable[[], "subprocess.Popen[bytes]"]:
        return lambda: subprocess.Popen(argv, cwd=tree, env=stage.environment, stderr=subprocess.DEVNULL)

    floor = median(saves.seconds(run("sh", "-c", "echo >started")) for _ in range(rounds))
    with watching(stage, redo, saves):
        watched = median(saves.seconds(lambda: None) for _ in range(rounds))
    stage.seconds(redo.command("redo-ifchange", "target"), tree)
    hook = run(*redo.command("redo-affected", "--build", "source"))
    hooked = median(saves.seconds(hook) for _ in range(rounds))
    saves.close()
    return [("sh -c", floor), ("redo --watch", watched), ("redo-affected --build", hooked)]


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.saving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=41, help="saves in each way (default 41)")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    add_redo_option(parser)
    args = parser.parse_args()
    [redo] = chosen_redos(args.redo)
    with Stage({"disk": args.scratch}, [redo.command("redod", "stop")]) as stage:
        found = measure(stage, redo, stage.scratch["disk"], args.rounds)
    floor = found[0][1]
    rows = [[what, "", duration(seconds), ratio(seconds, floor)] for what, seconds in found]
    print(table(["from a save to the script", "", "median", "to sh -c"], rows, args.markdown))


if __name__ == "__main__":
    main()
