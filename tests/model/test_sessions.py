"""Random overlapping sessions: several builds at once, cancelled at any time, cycles and dropped clients included.

Nothing is known beforehand of what runs; `validate` checks the steps, everything ends, and a last build by one session
makes what the oracle makes.
"""

import random

from tests.model.filesystem import Edit, Files
from tests.model.histories import EVERYTHING, TARGETS, make_history
from tests.model.oracle import Oracle
from tests.model.simulation import Client, Simulation


def play(seed: int, *, with_cycles: bool) -> None:
    rng, history = random.Random(~seed), make_history(seed, steps=3, coarse=False, breaks=True)
    watched = [b"/", b"/p", b"/p/d"] if seed % 2 else []
    ours = Simulation(Files(), seed=seed, jobs=rng.randint(1, 4), watched=watched)
    for edit in history.begin:
        edit.apply(ours.files)
    for name in rng.sample(TARGETS, 3):
        path = b"/p/" + name + b".do"
        verb, asked = rng.choice([b"fork", b"drop", b"redo"]), TARGETS if with_cycles else TARGETS[-1:]
        others = b" ".join(rng.sample(asked, min(2, len(asked))))
        if name not in TARGETS[-1:]:
            ours.files.write(path, verb + b" " + others + b"\n" + ours.files.read(path))
    for step in history.steps:
        if isinstance(step, Edit):
            step.apply(ours.files)
        else:
            _overlap(ours, rng)
    if not with_cycles:
        _ends_as_it_should(ours)


def _overlap(ours: Simulation, rng: random.Random) -> None:
    clients: list[Client] = []
    for _ in range(rng.randint(1, 4)):
        names = rng.sample(EVERYTHING, rng.randint(1, 4))
        jobs, force = rng.choice([None, None, 1, 2, 3]), rng.random() < 0.25
        paths = [b"/p/" + name for name in names]
        clients.append(ours.start(paths, force=force, jobs=jobs, keep_going=rng.random() < 0.5))
        for _ in range(rng.randint(0, 60)):
            ours.advance()
            if rng.random() < 0.03:
                ours.cancel(rng.choice(clients))
            if rng.random() < 0.01:
                ours.recheck(rng.choice(clients))
    ours.finish()
    assert all(client.ended for client in clients)


def _ends_as_it_should(ours: Simulation) -> None:
    """Once more, by one session: then everything is as if it had been the only one."""
    targets = [b"/p/" + name for name in TARGETS]
    ours.build(*targets, jobs=3, keep_going=True)
    files = ours.files.copy()
    for node in ours.graph:
        if node.is_target and not files.is_directory(node.path):
            files.remove(node.path)
    oracle = Oracle(files)
    status, _ = oracle.build(targets, force=False, keep_going=True)
    if status == 0 and not oracle.session.failed:
        assert {path: files.read(path) for path in targets} == {path: ours.files.read(path) for path in targets}


def test_overlapping_sessions_end_and_leave_everything_as_one_session_would(session_seeds: range) -> None:
    for seed in session_seeds:
        try:
            play(seed, with_cycles=False)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_overlapping_sessions_with_cycles_end(session_seeds: range) -> None:
    for seed in session_seeds:
        try:
            play(seed, with_cycles=True)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
