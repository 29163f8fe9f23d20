"""64 clients at once on one daemon. `REDOD_HAMMER_SECONDS` says for how long; without it, two rounds."""

import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from tests.behaviour.project import Project

CLIENTS = 64
SOURCES, MIDDLES, TOPS = 6, 12, 20
_SECONDS = float(os.environ.get("REDOD_HAMMER_SECONDS", 0))


class Hammered:
    """Targets that overlap: each top needs some middles, each middle some sources. What they should be is known."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project = project
        self.random = random.Random(seed)
        self.needs = {f"m{number}": self._some("s", SOURCES) for number in range(MIDDLES)}
        self.needs |= {f"t{number}": self._some("m", MIDDLES) for number in range(TOPS)}
        self.values = {f"s{number}": "0" for number in range(SOURCES)}
        for name, needed in self.needs.items():
            project.write(f"{name}.needs", " ".join(needed))
        for name, value in self.values.items():
            project.write(name, value)
        # It prints more than a pipe and the daemon's buffers for one client hold.
        script = "read needs <$1.needs || :; redo-ifchange $needs $1.needs; echo $1 >>runs; head -c 30000 /dev/zero"
        project.write("default.do", script + " | tr '\\0' '\\n' >&2; echo \"$1($(cat $needs))\" | tr -d '\\n'")

    def _some(self, letter: str, number: int) -> list[str]:
        return [f"{letter}{index}" for index in self.random.sample(range(number), 3)]

    def edit(self) -> set[str]:
        """Change some sources; the targets that depend on them."""
        changed = set()
        for name in self.random.sample(sorted(self.values), 2):
            self.values[name] = str(int(self.values[name]) + 1)
            self.project.write(name, self.values[name])
            changed.add(name)
        for name, needed in self.needs.items():
            if changed.intersection(needed):
                changed.add(name)
        return changed - self.values.keys()

    def expected(self, name: str) -> str:
        if name in self.values:
            return self.values[name]
        return f"{name}({''.join(map(self.expected, self.needs[name]))})"

    def wish(self) -> list[str]:
        return self.random.sample([f"t{number}" for number in range(TOPS)], 4)

    def start_slow(self) -> "tuple[subprocess.Popen[bytes], int]":
        """A client whose standard error nobody reads."""
        read, write = os.pipe()
        process = self.project.start("redo-ifchange", *[f"t{number}" for number in range(TOPS)], stderr=write)
        os.close(write)
        return process, read


def test_64_clients_get_right_results_and_nothing_is_built_twice_for_one_change(project: Project) -> None:
    hammered = Hammered(project, seed=1)
    affected = set(hammered.needs)
    end, rounds = time.monotonic() + _SECONDS, 0
    with ThreadPoolExecutor(CLIENTS) as clients:
        while rounds < 2 or time.monotonic() < end:
            (project.path / "runs").unlink(missing_ok=True)
            slow, unread = hammered.start_slow()
            wishes = [hammered.wish() for _ in range(CLIENTS)]
            results = list(clients.map(lambda names: project.run("redo-ifchange", *names), wishes))
            assert [result.returncode for result in results] == [0] * CLIENTS, results[0].stderr[-2000:]
            for names in wishes:
                assert [project.read(name) for name in names] == [hammered.expected(name) for name in names]
            while os.read(unread, 1 << 20):
                pass
            os.close(unread)
            slow.communicate()
            assert slow.returncode == 0
            runs = sorted(project.read("runs").split())
            assert runs == sorted(affected), f"round {rounds}"
            affected = hammered.edit()
            rounds += 1
