"""What a check costs in a small and in a large graph: `python -m bench.watching`.

A no-op, against starting the same client with `--version`; and after one source was edited the system calls (where
strace is found) and the Python function calls of the server, counted. The graphs are recorded, not built.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.report import duration, ratio, table
from bench.stage import TMPFS, Stage
from bench.tools import Redo, add_redo_option, chosen_redos
from redod.core.graph import Dep, DepKind, Graph, Kind, Node
from redod.files.observe import observe
from redod.store.database import Store
from redod.store.lock import Owner
from redod.store.workspaces import Workspace

_SETTLED = 1.0
"""Seconds after a command in which a server has done what is left to do for it."""


def record(tree: Path, count: int) -> None:
    """A project of so many targets as a build would have left it: `all` of `fN.o`, each a copy of `fN.c`."""
    (tree / ".redo").mkdir(parents=True)
    top, graph = os.fsencode(tree), Graph(time.time_ns() // 1000)
    store = Store.open(Workspace(top, top + b"/.redo"), 1, graph, Owner(b"", "", 0, 0), observe)
    names = [f"f{number}" for number in range(count)]
    copy = _file(graph, tree / "default.o.do", "redo-ifchange $2.c\ncp $2.c $3\n")
    made = []
    for name in names:
        source = _file(graph, tree / f"{name}.c", name)
        made.append(_target(_file(graph, tree / f"{name}.o", name), copy, [source]))
        store.put(made[-1])
    script = _file(graph, tree / "all.do", f"redo-ifchange {' '.join(f'{name}.o' for name in names)}\n")
    everything = graph.node(top + b"/all")
    everything.stamp, everything.version = observe(everything.path), graph.fresh_version()
    store.put(_target(everything, script, made))
    store.commit()
    store.close()


def _file(graph: Graph, path: Path, text: str) -> Node:
    path.write_text(text)
    node = graph.node(os.fsencode(path))
    node.kind, node.stamp, node.version = Kind.SOURCE, observe(node.path), graph.fresh_version()
    return node


def _target(node: Node, dofile: Node, below: list[Node]) -> Node:
    node.kind, node.status, node.workspace, node.dofile = Kind.TARGET, 0, 1, dofile
    node.deps = tuple(Dep(DepKind.IFCHANGE, each, each.version) for each in [dofile, *below])
    return node


class Server:
    """A server of its own, which counts its calls if `counter` is given."""

    def __init__(self, stage: Stage, redo: Redo, counter: Path | None) -> None:
        self.stage, self.redo, self.counter = stage, redo, counter
        address = str(Path(stage.environment["XDG_RUNTIME_DIR"]) / f"bench{time.monotonic_ns()}.sock")
        stage.environment["REDOD_SOCKET"] = address
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(64)
            number = listener.fileno()
            argv = [sys.executable, "-m", "bench.counted", str(number), str(counter or "")]
            self.process = subprocess.Popen(argv, env=stage.environment, pass_fds=[number], stderr=subprocess.DEVNULL)

    def seconds(self, tree: Path, *argv: str) -> float:
        return self.stage.seconds(self.redo.command(*argv), tree)

    def calls(self) -> int:
        assert self.counter is not None
        return int.from_bytes(self.counter.read_bytes()[:8], sys.byteorder)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        del self.stage.environment["REDOD_SOCKET"]


@contextmanager
def system_calls(pid: int, found: list[int]) -> Iterator[None]:
    """Around something: how many the server makes; nothing is found without strace."""
    if shutil.which("strace") is None:
        yield
        return
    with tempfile.NamedTemporaryFile() as file:
        argv = ["strace", "-f", "-c", "-o", file.name, "-p", str(pid)]
        tracer = subprocess.Popen(argv, stderr=subprocess.PIPE)
        assert tracer.stderr is not None
        tracer.stderr.readline()  # attached
        yield
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
        total = next((line for line in Path(file.name).read_text().splitlines() if line.endswith(" total")), "0 0 0 0")
        found.append(int(total.split()[3]))


def times(stage: Stage, redo: Redo, tree: Path, rounds: int) -> tuple[float, float, float]:
    """The first check by a new server, a no-op, and the client alone."""
    server = Server(stage, redo, None)
    first = server.seconds(tree, "redo-ifchange", "all")
    no_op, alone = [], []
    for _ in range(rounds):
        no_op.append(server.seconds(tree, "redo-ifchange", "all"))
        alone.append(server.seconds(tree, "redo-ifchange", "--version"))
    server.close()
    return first, median(no_op), median(alone)


def counts(stage: Stage, redo: Redo, tree: Path, target: str) -> tuple[int, str]:
    """Python calls and system calls after one source was edited, for a build of `target`."""
    counter = tree.with_name("counter")
    counter.write_bytes(bytes(8))
    server = Server(stage, redo, counter)
    for _ in range(2):
        server.seconds(tree, "redo-ifchange", "all")
        time.sleep(_SETTLED)
    found: list[int] = []
    results = []
    for traced in (False, True):
        with (tree / "f7.c").open("a") as file:
            file.write("edited\n")
        time.sleep(_SETTLED)
        before = server.calls()
        if traced:
            with system_calls(server.process.pid, found):
                server.seconds(tree, "redo-ifchange", target)
                time.sleep(_SETTLED)
        else:
            server.seconds(tree, "redo-ifchange", target)
            time.sleep(_SETTLED)
            results.append(server.calls() - before)
    server.close()
    return results[0], str(found[0]) if found else ""


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.watching", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[1000, 100_000], metavar="TARGETS")
    parser.add_argument("--rounds", type=int, default=41, help="no-ops (default 41)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    add_redo_option(parser)
    args = parser.parse_args()
    [redo] = chosen_redos(args.redo)
    rows: list[list[str]] = []
    with Stage({"tmpfs": TMPFS}) as stage:
        for size in args.sizes:
            tree = stage.scratch["tmpfs"] / str(size)
            record(tree, size)
            first, no_op, alone = times(stage, redo, tree, args.rounds)
            one, system = counts(stage, redo, tree, "f7.o")
            rows.append([
                str(size), duration(first), duration(no_op), duration(alone), duration(no_op - alone),
                ratio(no_op, alone), str(one), system,
            ])  # fmt: skip
    header = ["targets", "first check", "no-op", "--version", "difference", "ratio", "calls", "system calls"]
    print(table(header, rows, args.markdown))


if __name__ == "__main__":
    main()
