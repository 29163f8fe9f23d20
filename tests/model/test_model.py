"""Random projects with random histories, in the simulation and by the oracle. Each failure names its seed."""

import random
from collections.abc import Mapping

from tests.model.filesystem import Files
from tests.model.histories import EVERYTHING, Edit, Project
from tests.model.oracle import Oracle
from tests.model.simulation import Simulation

STEPS = 12
COARSE = 4_000_000
"""Nanoseconds: the tick of a common kernel's clock."""


class Play:
    """One history: the same edits for both sides."""

    def __init__(self, seed: int) -> None:
        coarse = seed % 3 == 0
        self.is_serial = seed % 2 == 0
        """Only then the order is known: dependencies are recorded in the order in which they were ready."""
        self.project = Project(seed, coarse=coarse)
        self.random = random.Random(~seed)
        self.ours = Simulation(Files(COARSE if coarse else 1), seed=seed)
        self.oracle = Oracle(Files())
        self.told: list[str] = []

    def do(self, edits: list[Edit]) -> None:
        for edit in edits:
            edit(self.ours.files)
            edit(self.oracle.files)

    def step(self) -> None:
        for _ in range(self.random.randint(0, 3)):
            edits = self.project.edit(self.oracle.files)
            before = dict(self.oracle.files.contents)
            self.do(edits)
            self.told.append(f"edit {_changes(before, self.oracle.files.contents)}")
        if self.random.random() < 0.2:
            self.ours.restart()
            self.told.append("restart")
        self.build()

    def build(self) -> None:
        jobs = 1 if self.is_serial else self.random.choice([1, 2, 3, 4])
        force = jobs == 1 and self.random.random() < 0.2
        keep_going = jobs > 1 or self.random.random() < 0.5
        names = EVERYTHING if self.random.random() < 0.5 else self.random.sample(EVERYTHING, 2)
        if not self.oracle.files.exists(b"/p/g.do"):
            # Asked for at the same time, g may or may not find the script that is being made.
            names = [name for name in names if name != b"g"]
        targets = [b"/p/" + name for name in names]
        self.told.append(f"build {b' '.join(names).decode()} -j{jobs} force={force} keep_going={keep_going}")
        expected = self.oracle.build(targets, force=force, keep_going=keep_going)
        self.ours.most_running = 0
        status, ran = self.ours.build(*targets, force=force, jobs=jobs, keep_going=keep_going)
        self.told.append(f"  ran {ran} and should have {expected[1]}")
        assert bool(status) == bool(expected[0]), f"status {status} and not {expected[0]}"
        if self.is_serial:
            assert ran == expected[1], "other scripts ran, or in another order"
        else:
            assert sorted(ran) == sorted(expected[1]), "other scripts ran"
        found, wanted = self.ours.files.contents, self.oracle.files.contents
        assert found == wanted, f"other bytes: {_changes(wanted, found)}"
        assert self.ours.most_running <= jobs, "more jobs than allowed"
        self.compare_with_clean(targets)

    def compare_with_clean(self, targets: list[bytes]) -> None:
        """What a build of a copy without any target of ours makes, where nothing fails in it."""
        files, entries = self.oracle.files.copy(), self.oracle.entries
        for path, entry in entries.items():
            # A directory may be the user's, and g.do must be there before g can have a script.
            kept = files.is_directory(path) or path == b"/p/g.do" or self.oracle.find_dofile(path) is None
            if entry.is_ours and not kept:
                files.remove(path)
        clean = Oracle(files)
        status, _ = clean.build(targets, force=False, keep_going=True)
        if status == 0 and not clean.session.failed:
            made = {path: files.contents.get(path) for path in targets}
            ours = {path: self.ours.files.contents.get(path) for path in targets}
            assert made == ours, f"not as a clean build: {_changes(made, ours)}"


def _changes(before: Mapping[bytes, bytes | None], after: Mapping[bytes, bytes | None]) -> str:
    names = sorted(before.keys() | after.keys())
    return " ".join(f"{n.decode()}={after.get(n)!r}" for n in names if before.get(n) != after.get(n)) or "attributes"


def play(seed: int) -> None:
    history = Play(seed)
    history.do(history.project.initial())
    try:
        for _ in range(STEPS):
            history.step()
    except Exception as error:
        scripts = {path.decode(): text for path, text in history.ours.files.contents.items() if path.endswith(b".do")}
        told = "\n".join([*(f"{name}: {text!r}" for name, text in scripts.items()), *history.told])
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{told}") from error


def test_random_histories_build_what_the_oracle_says(model_seeds: range) -> None:
    for seed in model_seeds:
        play(seed)
