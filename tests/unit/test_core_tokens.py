"""The ledger: tokens are taken from the jobserver when somebody waits, handed on, and given back when nobody does."""

import pytest

from tests.unit.projects import Project

SEEDS = pytest.mark.parametrize("seed", range(12))
LEAVES = {f"t{number}": "out" for number in range(6)}


@SEEDS
def test_scripts_and_their_makes_never_run_more_than_the_pool_has(seed: int) -> None:
    scripts = {f"m{number}": "make 3\nneed t0\nmake 1\nneed t1\nout" for number in range(4)}
    project = Project({**LEAVES, **scripts}, seed=seed)
    assert project.build("m0 m1 m2 m3 t2 t3 t4 t5", jobs=3)[0] == 0
    assert project.simulation.most_running <= 3


@SEEDS
def test_a_build_goes_on_when_makes_have_all_tokens(seed: int) -> None:
    project = Project({**LEAVES, "m": "make 9\nhold\nout"}, seed=seed, jobs=4)
    clients = [project.start("m t0 t1"), project.start("t2 t3 t4 t5")]
    project.simulation.finish()
    assert {client.status for client in clients} == {0}


@SEEDS
def test_tokens_that_a_killed_make_had_are_there_for_the_next_session(seed: int) -> None:
    project = Project({"m": "lose 2\nfail 1", "a": "hold\nout", "b": "hold\nout", "c": "hold\nout"}, seed=seed, jobs=3)
    project.start("m")
    project.simulation.finish()
    project.start("a b c")
    while any(project.runs_of(name) == 0 for name in "abc"):
        assert project.simulation.advance()
    assert project.simulation.most_running == 3
    project.simulation.finish()


@SEEDS
@pytest.mark.parametrize("lent", [0, 1, 2])
def test_a_session_below_make_runs_one_job_and_one_for_each_of_its_tokens(seed: int, lent: int) -> None:
    project = Project(dict.fromkeys("abcdef", "hold\nout"), seed=seed)
    client = project.start("a b c d e f", lent=lent)
    project.simulation.finish()
    assert client.status == 0
    assert project.simulation.most_running == lent + 1


@SEEDS
def test_make_has_its_tokens_back_when_its_client_is_answered(seed: int) -> None:
    project = Project({**LEAVES, "x": "need t0 t1\nout", "y": "need t2 t3\nfail 1"}, seed=seed)
    client = project.start("x y t4 t5", lent=2, keep_going=True)
    pool = client.session.pool if client.session is not None else None
    assert pool is not None
    while client.status is None:
        assert project.simulation.advance()
    assert project.simulation.tokens[pool] == 2


@SEEDS
def test_a_job_that_another_session_takes_over_leaves_make_its_tokens(seed: int) -> None:
    project = Project(dict.fromkeys("abc", "need s\nhold\nout"), "s", seed=seed, jobs=2)
    first = project.start("a b c", lent=2)
    pool = first.session.pool if first.session is not None else None
    assert pool is not None
    while any(project.runs_of(name) == 0 for name in "abc"):
        assert project.simulation.advance()
    second = project.start("a b c")
    while len(second.shown) < 3:
        assert project.simulation.advance()
    project.simulation.cancel(first)
    while not first.ended:
        assert project.simulation.advance()
    assert project.simulation.tokens[pool] == 2
    project.simulation.finish()
    assert second.status == 0


@pytest.mark.parametrize("jobs", [2, 4])
def test_a_build_without_a_make_hands_tokens_on_and_hardly_asks(jobs: int) -> None:
    project = Project({f"t{number}": f"need u{number}\nout" for number in range(50)}, seed=1)
    for number in range(50):
        project.write(f"u{number}.do", "out")
    project.build(" ".join(f"t{number}" for number in range(50)), jobs=jobs)
    assert project.simulation.asked <= 2 * jobs
