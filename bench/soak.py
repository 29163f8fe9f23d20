"""A server over a long time: `python -m bench.soak --minutes 60`. Does it grow, and does anything stay behind?

Users edit, build, break and interrupt in one project that stays, ask about it, watch it, and build projects that come
and go. After each round, when nobody asks for anything, what the server holds is counted. The end compares the rounds
of the second quarter with those of the last one; the first one warms up.
"""

import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.report import table
from bench.stage import Stage
from bench.tools import Redo, add_redo_option, chosen_redos

_SOURCES = 200
_ACTIONS = 40
"""In a round."""
_PATIENCE = 60.0
"""Seconds after which something is taken to hang."""
_UNLOAD = "5"
"""Seconds after which an unused workspace leaves the memory (REDOD_UNLOAD): often, here."""

_DOFILES = {
    "all.do": "seq -f %g.o 1 200 | xargs redo-ifchange\n",
    "default.o.do": 'redo-ifchange "$2.c" flavour; echo "compiling $2" >&2; cat "$2.c" flavour >"$3"\n',
    "flavour.do": 'redo-ifchange flavours; head -n 1 flavours >"$3"; redo-stamp <"$3"\n',
    "slow.do": "redo-ifchange 1.o; echo $$ >begun; exec sleep 1000\n",
    "noisy.do": "seq 6000 >&2\n",
    "nested.do": "for n in $(seq 20); do redo-ifchange $n.o; done; redo-ifcreate nothing; redo-always\n",
    "late.do": "sleep 0.01 & redo-detach sleep 0.02; echo late\n",
}


class Users:
    """What is done to one server, at random. `build` raises AssertionError where a build is wrong."""

    def __init__(self, stage: Stage, redo: Redo, seed: int) -> None:
        self._stage, self._redo = stage, redo
        self._random = random.Random(seed)
        self._place = stage.scratch["disk"]
        self._tree = self._place / "stays"
        self._edits = 0
        # A root of its own, whatever others build above it.
        (self._tree / ".redo").mkdir(parents=True)
        for name, text in _DOFILES.items():
            (self._tree / name).write_text(text)
        for number in range(1, _SOURCES + 1):
            self._edit(number)
        (self._tree / "flavours").write_text("plain\n0\n")
        os.mkfifo(self._tree / "begun")
        self._begun = os.open(self._tree / "begun", os.O_RDWR)
        self.actions: list[Callable[[], None]] = [
            self.build, self.build, self.build_twice, self.force, self.interrupt, self.fail, self.ask, self.watch,
            self.subscribe, self.save, self.visit, self.babble, self.rename, self.delete,
        ]  # fmt: skip

    def act(self) -> None:
        self._random.choice(self.actions)()

    def build(self) -> None:
        for number in self._random.choices(range(1, _SOURCES + 1), k=3):
            self._edit(number)
        (self._tree / "flavours").write_text(f"{'sweet' if self._edits % 50 == 0 else 'plain'}\n{self._edits}\n")
        self._run("redo-ifchange", "all")
        flavour = (self._tree / "flavour").read_text()
        for number in range(1, _SOURCES + 1):
            source = self._tree / f"{number}.c"
            assert source.with_suffix(".o").read_text() == source.read_text() + flavour, f"{source} was missed"

    def build_twice(self) -> None:
        self._edit(7)
        both = [self._start("redo-ifchange", "all"), self._start("redo", "-j2", "nested")]
        assert [process.wait(_PATIENCE) for process in both] == [0, 0]

    def force(self) -> None:
        self._run("redo", *(f"{number}.o" for number in self._random.choices(range(1, _SOURCES + 1), k=10)))
        self._run("redo", "noisy", "late", "nested")

    def interrupt(self) -> None:
        client = self._start("redo", "slow")
        os.read(self._begun, 100)
        client.send_signal(self._random.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL]))
        assert client.wait(_PATIENCE)

    def fail(self) -> None:
        mistake = self._tree / "mistake.do"
        mistake.write_text(f"echo {self._edits}; redo-ifchange 1.o; false\n")
        self._run("redo", "mistake", status=1)
        mistake.write_text(f"echo {self._edits}\n")
        self._run("redo-ifchange", "mistake")

    def ask(self) -> None:
        for name in ("redo-targets", "redo-sources", "redo-ood"):
            self._run(name)
        self._run("redo-log", "all")
        self._run("redo-why", "1.o")
        self._run("redo-dot", "all")
        self._run("redo-whichdo", "1.o", status=None)

    def watch(self) -> None:
        watch = self._start("redo", "--watch", "2.o", out=subprocess.PIPE)
        assert watch.stderr is not None
        self._edit(2)
        assert select.select([watch.stderr], [], [], _PATIENCE)[0], "redo --watch says nothing"
        watch.terminate()
        watch.communicate(timeout=_PATIENCE)

    def subscribe(self) -> None:
        events = self._start("redod", "subscribe", out=subprocess.PIPE)
        assert events.stdout is not None
        while not select.select([events.stdout], [], [], 0)[0]:
            self._run("redo", "3.o")
        events.kill()
        events.communicate(timeout=_PATIENCE)

    def save(self) -> None:
        self._edit(4)
        self._run("redo-affected", "--build", "4.c")

    def visit(self) -> None:
        """A project that comes and goes."""
        project = self._place / f"visited{self._edits}"
        shutil.copytree(self._tree, project, ignore=shutil.ignore_patterns("*.o", ".redo", "begun"))
        (project / ".redo").mkdir()
        self._run("redo-ifchange", "all", cwd=project)
        shutil.rmtree(project)

    def babble(self) -> None:
        """Somebody who breaks the protocol."""
        path = json.loads(self._stage.answer(self._redo.command("redod", "status", "--json")))["socket"]
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(path)
            peer.sendall(self._random.randbytes(self._random.randrange(100)))

    def rename(self) -> None:
        """A source and its target get a name that never was; the ones before are deleted."""
        for path in self._tree.glob("new*.[co]"):
            path.unlink()
        self._edits += 1
        (self._tree / f"new{self._edits}.c").write_text("x\n")
        self._run("redo-ifchange", f"new{self._edits}.o")

    def delete(self) -> None:
        for number in self._random.choices(range(1, _SOURCES + 1), k=3):
            (self._tree / f"{number}.o").unlink(missing_ok=True)
        self._run("redo-ifchange", "all")

    def _edit(self, number: int) -> None:
        self._edits += 1
        (self._tree / f"{number}.c").write_text(f"{number} {self._edits}\n")

    def _start(self, name: str, *args: str, out: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._redo.command(name, *args), cwd=self._tree, env=self._stage.environment,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip

    def _run(self, name: str, *args: str, status: int | None = 0, cwd: Path | None = None) -> None:
        found = subprocess.run(
            self._redo.command(name, *args), cwd=cwd or self._tree, env=self._stage.environment,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False,
        )  # fmt: skip
        assert status is None or found.returncode == status, (name, args, found.returncode, found.stderr[-2000:])


class Holdings:
    """What the server holds, and has left in the project that stays."""

    NAMES = (
        "memory, MB",
        "descriptors",
        "processes",
        "watches",
        "files known",
        "workspaces",
        "store, kB",
        "in .redo",
        "missed",
    )

    def __init__(self, stage: Stage, redo: Redo) -> None:
        self._stage, self._redo = stage, redo
        self.pid = 0

    def count(self) -> list[float]:
        """When no session is left, and no workspace but the one that stays. Raises TimeoutError."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            status = json.loads(self._stage.answer(self._redo.command("redod", "status", "--json")))
            if not status["sessions"] and len(status["workspaces"]) <= 1 and not status["leaving"]:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"not at rest after {_PATIENCE:g} s: {status}")
            time.sleep(0.2)
        assert self.pid in (0, status["pid"]), "the server was replaced"
        self.pid = status["pid"]
        proc = Path(f"/proc/{self.pid}")
        store = list((self._stage.scratch["disk"] / "stays" / ".redo").rglob("*"))
        return [
            status["memory"] / 1e6,
            len(list((proc / "fd").iterdir())),
            len((proc / "task" / str(self.pid) / "children").read_text().split()),
            int(status["watching"].split()[0]) if status["watching"][0].isdigit() else 0,
            status["files"],
            len(status["workspaces"]),
            sum(path.stat().st_size for path in store) / 1e3,
            len(store),
            status["missed"],
        ]


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    add_redo_option(parser)
    args = parser.parse_args()
    [redo] = chosen_redos(args.redo)
    rounds: list[list[float]] = []
    actions = 0
    with Stage({"disk": args.scratch}, [redo.command("redod", "stop")]) as stage:
        stage.environment["REDOD_UNLOAD"] = _UNLOAD
        users, holdings = Users(stage, redo, args.seed), Holdings(stage, redo)
        users.build()
        end = time.monotonic() + args.minutes * 60
        while time.monotonic() < end or len(rounds) < 4:
            for _ in range(_ACTIONS):
                users.act()
            actions += _ACTIONS
            users.build()
            rounds.append(holdings.count())
            print(f"{actions:7} actions  ", *(f"{value:10.1f}" for value in rounds[-1]), file=sys.stderr, flush=True)
    quarter = len(rounds) // 4
    before, after = rounds[quarter : 2 * quarter], rounds[-quarter:]
    rows = []
    for index, name in enumerate(Holdings.NAMES):
        early, late = (median(found[index] for found in part) for part in (before, after))
        rows.append([name, f"{early:.1f}", f"{late:.1f}", f"{late / early:.3f}" if early else ""])
    print(f"{actions} actions in {len(rounds)} rounds")
    print(table(["held by the server, medians", "second quarter", "last quarter", "ratio"], rows, args.markdown))


if __name__ == "__main__":
    main()
