"""Several sessions at once: joins, cancellation, tokens, cycles."""

import pytest

from redod.core.model import Session
from redod.core.states import JobState
from redod.core.validate import validate
from tests.unit.projects import Project, path

SEEDS = pytest.mark.parametrize("seed", range(12))


def cycle_of(project: Project) -> str:
    return next(text for text in project.simulation.complaints if "wait for each other" in text)


@pytest.mark.parametrize(
    ("scripts", "names", "jobs"),
    [
        ({"a": "need a"}, "a", 1),
        ({"a": "need b", "b": "need a"}, "a", 1),
        ({"a": "need b", "b": "need a"}, "a b", 8),
        ({"a": "need b", "b": "need c", "c": "need a"}, "c a b", 8),
        ({"a": "redo a"}, "a", 1),
        ({"a": "need b", "b": "redo a"}, "a", 2),
    ],
)
@SEEDS
def test_a_cycle_is_an_error_that_names_it(scripts: dict[str, str], names: str, jobs: int, seed: int) -> None:
    project = Project(scripts, seed=seed)
    assert project.build(names, jobs=jobs)[0] == 1
    assert "a -> " in cycle_of(project) + " -> "


@SEEDS
def test_a_cycle_across_two_sessions_is_found(seed: int) -> None:
    project = Project({"a": "need b", "b": "need a"}, seed=seed)
    clients = [project.start("a"), project.start("b")]
    project.simulation.finish()
    assert {client.status for client in clients} == {1}
    assert cycle_of(project)


@SEEDS
def test_recorded_stamped_targets_that_come_to_need_each_other_end_in_an_error(seed: int) -> None:
    project = Project({"a": "need b\nstamp out\nout", "b": "need s\nstamp out\nout"}, "s", seed=seed)
    project.build("a")
    project.write("b.do", "need a s\nstamp out\nout")
    assert project.build("a", jobs=2)[0] == 1
    assert project.build("b", jobs=2)[0] == 1
    project.write("b.do", "need s\nstamp out\nout")
    assert project.build("a")[0] == 0


def test_a_generated_script_that_needs_its_own_target_is_an_error() -> None:
    project = Project({"g.do": "copy gs\nout"}, "s")
    project.write("gs", "need s\nout")
    project.build("g.do g")
    project.write("g.do.do", "need g\ncopy gs\nout")
    assert project.build("g")[0] == 1
    assert cycle_of(project)
    assert project.build("g.do")[0] == 1
    assert "waits for" in project.simulation.complaints[-1]


@SEEDS
def test_two_sessions_share_one_job(seed: int) -> None:
    project = Project({"a": "need s\nout"}, "s", seed=seed)
    first = project.start("a")
    project.until_runs("a")
    second = project.start("a")
    project.simulation.finish()
    assert (first.status, second.status) == (0, 0)
    assert project.runs_of("a") == 1
    assert path("a") in second.shown


@SEEDS
def test_who_joined_judges_again_at_the_end(seed: int) -> None:
    project = Project({"a": "need s\nneed b\nout", "b": "hold\nout"}, "s", seed=seed)
    project.start("a")
    project.until_runs("b")
    project.write("s", "new")
    project.start("a")
    project.simulation.finish()
    assert project.runs_of("a") == 2
    assert project.read("a").startswith("[new]")


@SEEDS
def test_who_joined_shares_a_failure(seed: int) -> None:
    project = Project({"a": "fail 3"}, seed=seed)
    clients = [project.start("a"), project.start("b a", keep_going=True)]
    project.until_runs("a")
    clients.append(project.start("a"))
    project.simulation.finish()
    assert {client.status for client in clients} == {1}
    assert project.runs_of("a") <= 2


@SEEDS
def test_redo_never_joins_a_job_that_runs_already(seed: int) -> None:
    project = Project({"a": "out"}, seed=seed)
    project.start("a")
    project.until_runs("a")
    project.start("a", force=True)
    project.simulation.finish()
    assert project.runs_of("a") == 2


@SEEDS
def test_a_job_that_only_redo_waits_for_ends_with_its_own_client(seed: int) -> None:
    """It would be run again anyway: `redo slow`, Ctrl-C, and `redo slow` at once."""
    project = Project({"a": "hold\nout"}, seed=seed)
    first = project.start("a")
    project.until_runs("a")
    second = project.start("a", force=True)
    (job,) = project.simulation.scheduler.world.jobs.values()
    while not job.joined:
        assert project.simulation.advance()
    project.simulation.cancel(first)
    while not job.cancelled:
        assert project.simulation.advance()
    project.simulation.finish()
    assert (second.status, project.runs_of("a")) == (0, 2)


@SEEDS
def test_sessions_that_queue_for_the_same_target_run_it_once(seed: int) -> None:
    project = Project({"a": "out", "b": "out"}, seed=seed, jobs=1)
    clients = [project.start("b a"), project.start("b a"), project.start("a b")]
    project.simulation.finish()
    assert {client.status for client in clients} == {0}
    assert sorted(project.ran.split()) == ["a", "b"]


@SEEDS
def test_a_cancelled_session_ends_with_its_jobs_and_records_nothing(seed: int) -> None:
    project = Project({"a": "need b\nout", "b": "need c\nout", "c": "hold\nout"}, seed=seed)
    client = project.start("a")
    project.until_runs("c")
    project.simulation.cancel(client)
    project.simulation.finish()
    assert client.ended
    assert client.status is None
    assert project.build("a") == (0, "a b c")


@SEEDS
def test_a_job_that_takes_too_long_fails_for_all_who_wait_for_it(seed: int) -> None:
    project = Project({"a": "need c\nout", "b": "need c\nout", "c": "out"}, seed=seed)
    project.build("a b")
    before = project.read("c")
    # Long enough for the other to join.
    project.write("c.do", "parity\n" * 30 + "hold\nout")
    clients = [project.start("a"), project.start("b")]
    project.until_runs("c")
    world = project.simulation.scheduler.world
    while not world.jobs[project.simulation.graph.node(path("c"))].joined:
        assert project.simulation.advance()
    project.simulation.time_out(path("c"))
    project.simulation.finish()
    assert [client.status for client in clients] == [1, 1]
    assert project.runs_of("c") == 2
    assert project.read("c") == before
    project.write("c.do", "out")
    assert project.build("a b") == (0, "a c b")


@SEEDS
@pytest.mark.parametrize("is_cancelled_first", [True, False])
def test_a_job_that_takes_too_long_may_be_cancelled_too(seed: int, is_cancelled_first: bool) -> None:
    project = Project({"a": "need b\nout", "b": "hold\nout"}, seed=seed)
    client = project.start("a")
    project.until_runs("b")
    if not is_cancelled_first:
        project.simulation.time_out(path("b"))
    project.simulation.cancel(client)
    if is_cancelled_first:
        project.simulation.time_out(path("b"))
    project.simulation.finish()
    assert client.ended
    assert project.build("a") == (0, "a b")


@SEEDS
def test_a_job_whose_nested_call_waits_may_take_too_long(seed: int) -> None:
    project = Project({"a": "need b\nout", "b": "hold\nout"}, seed=seed)
    client = project.start("a")
    project.until_runs("b")
    project.simulation.time_out(path("a"))
    project.simulation.finish()
    assert client.status == 1
    assert project.build("a") == (0, "a b")


@SEEDS
def test_a_job_is_ended_with_its_last_subscriber_only(seed: int) -> None:
    project = Project({"a": "need b\nout", "b": "need c\nout", "c": "hold\nout"}, seed=seed)
    first = project.start("a")
    project.until_runs("c")
    second = project.start("a")
    while path("a") not in second.shown:
        project.simulation.advance()
    project.simulation.cancel(first)
    while not first.ended:
        project.simulation.advance()
    assert second.status is None, "the first does not wait for what the second wants"
    project.simulation.finish()
    assert second.status == 0
    assert project.ran == "a b c"


@SEEDS
def test_a_job_that_was_taken_over_ends_with_its_new_session(seed: int) -> None:
    project = Project({"a": "need b\nout", "b": "hold\nout"}, seed=seed)
    first = project.start("a")
    project.until_runs("b")
    second = project.start("a")
    while path("a") not in second.shown:
        project.simulation.advance()
    project.simulation.cancel(first)
    project.simulation.cancel(second)
    project.simulation.finish()
    assert second.ended
    assert not project.simulation.processes
    assert path("a") not in project.files.contents


@SEEDS
def test_a_target_whose_job_is_being_ended_can_be_wanted_again(seed: int) -> None:
    project = Project({"a": "drop c\nneed c\nout", "c": "need d\nout", "d": "out"}, seed=seed)
    status, ran = project.build("a", jobs=3)
    assert status == 0
    assert ran.split()[-1] in ("c", "d")


@SEEDS
def test_a_script_whose_call_was_dropped_counts_as_running(seed: int) -> None:
    project = Project({"a": "drop b\nout", "b": "hold\nout", "c": "out"}, seed=seed)
    assert project.build("a c", jobs=1)[0] == 0


@SEEDS
def test_every_session_can_run_one_job(seed: int) -> None:
    project = Project({"a": "need x\nout", "b": "need y\nout", "x": "out", "y": "out"}, seed=seed, jobs=1)
    clients = [project.start("a"), project.start("b")]
    while project.runs_of("a") + project.runs_of("b") < 2:
        assert project.simulation.advance()
    assert project.simulation.most_running == 2
    project.simulation.finish()
    assert {client.status for client in clients} == {0}


@SEEDS
def test_parked_jobs_lend_their_tokens(seed: int) -> None:
    project = Project({f"t{number}": f"need t{number + 1}\nout" for number in range(9)}, "t9", seed=seed)
    assert project.build("t0", jobs=1)[0] == 0
    assert project.simulation.most_running == 1


@SEEDS
def test_several_calls_of_one_script_that_wait_for_the_same_target_are_all_answered(seed: int) -> None:
    project = Project({"a": "fork b b b\nout", "b": "out"}, seed=seed)
    assert project.build("a", jobs=1) == (0, "a b")


def test_a_parked_job_goes_on_before_a_new_one_starts() -> None:
    for seed in range(20):
        project = Project({"a": "need b\nout", "b": "out", "c": "out"}, seed=seed)
        project.start("a c", jobs=1)
        project.until_runs("c")
        assert project.simulation.ended[:2] == [(path("b"), 0), (path("a"), 0)]
        project.simulation.finish()


@SEEDS
def test_recheck_makes_a_session_look_again(seed: int) -> None:
    project = Project({"a": "need s\nout", "b": "hold\nout"}, "s", seed=seed)
    client = project.start("a b a", jobs=1)
    project.until_runs("b")
    project.write("s", "new")
    project.simulation.recheck(client)
    project.simulation.finish()
    assert client.status == 0
    assert project.build("a") == (0, "a")


def test_a_session_that_is_cancelled_before_it_calls_ends() -> None:
    project = Project({})
    client = project.start("a")
    project.simulation.cancel(client)
    project.simulation.finish()
    assert client.ended


def test_validate_finds_a_wrong_world() -> None:
    project = Project({"a": "hold\nout"})
    client = project.start("a")
    project.until_runs("a")
    world = project.simulation.scheduler.world
    validate(world)
    job = next(iter(world.jobs.values()))
    session = client.session
    assert isinstance(session, Session)
    session.running += 1
    with pytest.raises(AssertionError, match="counts 2 running jobs wrongly"):
        validate(world)
    session.running -= 1
    job.state = JobState.PARKED
    with pytest.raises(AssertionError, match="is parked and keeps its token"):
        validate(world)
    job.state = JobState.RUNNING
    session.wants.clear()
    job.want.calls.clear()
    with pytest.raises(AssertionError, match="does not know of it once"):
        validate(world)


@pytest.mark.parametrize("jobs", [1, 2])
@SEEDS
def test_calls_of_one_script_that_end_together_are_all_answered(jobs: int, seed: int) -> None:
    """The job has one token: the call that takes it back must not leave the others to wait for it."""
    project = Project({"a": "fork b b c\nout", "b": "need s\nout", "c": "out"}, "s", seed=seed)
    assert project.build("a", jobs=jobs) == (0, "a b c")
