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
    assert project.simulation.jobserver.tokens[pool] == 2


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
    assert project.simulation.jobserver.tokens[pool] == 2
    project.simulation.finish()
    assert second.status == 0


@pytest.mark.parametrize("jobs", [2, 4])
def test_a_build_without_a_make_hands_tokens_on_and_hardly_asks(jobs: int) -> None:
    project = Project({f"t{number}": f"need u{number}\nout" for number in range(50)}, seed=1)
    for number in range(50):
        project.write(f"u{number}.do", "out")
    project.build(" ".join(f"t{number}" for number in range(50)), jobs=jobs)
    assert project.simulation.jobserver.asked <= 2 * jobs


@SEEDS
def test_sessions_share_the_tokens_equally(seed: int) -> None:
    names = [f"{side}{number}" for side in "ab" for number in range(30)]
    project = Project(dict.fromkeys(names, "out"), seed=seed, jobs=4)
    first = project.start(" ".join(names[:30]))
    project.until_runs("a3")
    second = project.start(" ".join(names[30:]))
    while first.status is None and second.status is None:
        assert project.simulation.advance()
    # Neither waits for the other, though the first had all tokens when the second came.
    assert sum(project.runs_of(name) for name in names) > 45
    project.simulation.finish()


@SEEDS
def test_a_session_in_the_background_starts_nothing_that_it_need_not_while_others_wait(seed: int) -> None:
    names = [f"{side}{number}" for side in "ab" for number in range(20)]
    project = Project(dict.fromkeys(names, "out"), seed=seed, jobs=3)
    project.start(" ".join(names[:20]), background=True)
    project.until_runs("a2")
    session = project.start(" ".join(names[20:])).session
    assert session is not None
    world = project.simulation.scheduler.world
    while project.runs_of("b19") == 0:
        before = project.ran.count("a")
        assert project.simulation.advance()
        # It may always run one.
        if project.ran.count("a") > before and session.pool.lines.get(session):
            running = [job for job in world.jobs.values() if job.session is not session and job in session.pool.holders]
            assert len(running) == 1
    project.simulation.finish()


@SEEDS
def test_a_session_with_a_load_limit_starts_one_job_for_each_time_that_the_load_is_low(seed: int) -> None:
    project = Project(dict.fromkeys("abcdef", "hold\nout"), seed=seed)
    client = project.start("a b c d e f", jobs=4, load_limit=1)
    simulation = project.simulation
    while not simulation.held:
        assert simulation.advance()
    assert simulation.most_running == 1
    simulation.let_load_fall()
    while not simulation.held:
        assert simulation.advance()
    assert simulation.most_running <= 2
    simulation.finish()
    assert client.status == 0


@SEEDS
def test_a_session_that_waits_for_a_low_load_keeps_no_tokens_from_makes(seed: int) -> None:
    project = Project({"a": "hold\nhold\nout", "b": "out"}, seed=seed)
    client = project.start("a b", lent=1, load_limit=1)
    assert client.session is not None
    while not project.simulation.held:
        assert project.simulation.advance()
    assert project.simulation.jobserver.tokens[client.session.pool] == 1
    project.simulation.finish()
