"""What runs, in which order, and what is recorded: one session at a time."""

import pytest

from redod.core.verdicts import Why
from tests.unit.projects import Project, path

TREE = {"a": "need b c\nout", "b": "need d s\nout", "c": "need d\nout", "d": "need s\nout"}


def test_a_build_runs_each_script_once_and_the_next_runs_nothing() -> None:
    project = Project(TREE, "s")
    assert project.build("a") == (0, "a b d c")
    assert project.build("a b c d") == (0, "")


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("jobs", [1, 2, 3, 4])
def test_at_most_n_jobs_run(seed: int, jobs: int) -> None:
    scripts = {f"t{number}": "need s\nout" for number in range(8)}
    project = Project({**scripts, "all": "need " + " ".join(scripts)}, "s", seed=seed)
    assert project.build("all", jobs=jobs)[0] == 0
    assert project.simulation.most_running == jobs


@pytest.mark.parametrize("seed", range(10))
def test_one_job_is_strictly_depth_first_in_the_order_asked(seed: int) -> None:
    project = Project({**TREE, "e": "out"}, "s", seed=seed)
    assert project.build("e a c d") == (0, "e a b d c")


def test_a_name_given_twice_is_wanted_once() -> None:
    project = Project({"a": "out"})
    assert project.build("a a", force=True) == (0, "a")


def test_a_target_that_the_new_script_does_not_want_is_not_built() -> None:
    project = Project({"a": "need b\nout", "b": "need s\nout"}, "s")
    project.build("a")
    project.write("a.do", "out")
    project.write("s", "new")
    assert project.build("a") == (0, "a")


def test_a_stamped_target_is_built_ahead_and_cuts_off_what_needs_it() -> None:
    project = Project({"a": "need b\nout", "b": "need c\nout", "c": "need s\nparity\nstamp out\nout"}, "s")
    project.build("a")
    project.write("s", "s")
    assert project.build("a") == (0, "c")
    project.write("s", "tt")
    assert project.build("a") == (0, "c a b")


def test_a_stamped_target_that_is_deleted_and_made_again_is_unchanged() -> None:
    project = Project({"a": "need b\nout", "b": "need s\nstamp out\nout"}, "s")
    project.build("a")
    project.files.remove(path("b"))
    assert project.build("a") == (0, "b")


def test_a_build_without_redo_stamp_forgets_the_checksum() -> None:
    project = Project({"a": "need b\nout", "b": "need s\nstamp out\nout"}, "s")
    project.build("a")
    project.write("b.do", "need s\nout")
    assert project.build("a") == (0, "b a")
    project.write("s", "new")
    assert project.build("a") == (0, "a b")


def test_equal_bytes_count_as_changed_without_a_stamp() -> None:
    project = Project({"a": "need b\nout", "b": "need s\nparity\nout"}, "s")
    project.build("a")
    project.write("s", "s")
    assert project.build("a") == (0, "a b")


def test_always_runs_once_in_every_session() -> None:
    project = Project({"a": "need c\nout", "b": "need c\nout", "c": "always\nout"})
    assert project.build("a b") == (0, "a c b")
    assert project.build("a b") == (0, "a c b")


def test_a_name_that_must_not_exist_makes_it_run_again() -> None:
    project = Project({"a": "absent e\nout"})
    project.build("a")
    assert project.deps("a") == ["a.do", "-e"]
    project.write("e", "now")
    assert project.build("a") == (1, "a")


def test_a_target_is_failed_at_once_when_it_has_failed_in_the_session() -> None:
    project = Project({"a": "try c\nout", "b": "need c\nout", "c": "fail 3"})
    assert project.build("a b", keep_going=True) == (1, "a c b")
    assert project.simulation.ended.count((path("c"), 3)) == 1


@pytest.mark.parametrize("seed", range(12))
def test_once_a_target_has_failed_nothing_more_is_started(seed: int) -> None:
    names = ["bad", *(f"t{number}" for number in range(20))]
    project = Project(dict.fromkeys(names, "out") | {"bad": "fail 3"}, seed=seed)
    client = project.start(" ".join(names), jobs=4, force=True)
    while client.session is None or not client.session.failed:
        assert project.simulation.advance()
    started = project.ran
    project.simulation.finish()
    assert client.status == 1
    assert project.ran == started


@pytest.mark.parametrize(("keep_going", "ran"), [(False, "a b"), (True, "a b c")])
def test_a_failure_ends_the_call_unless_it_keeps_going(keep_going: bool, ran: str) -> None:
    project = Project({"a": "need b c\nout", "b": "fail 3", "c": "out"})
    assert project.build("a", keep_going=keep_going) == (1, ran)


def test_a_failed_build_keeps_the_old_bytes_and_both_lists_of_dependencies() -> None:
    project = Project({"a": "need r\nout"}, "r", "s")
    project.build("a")
    project.write("a.do", "need s\nfail 1")
    assert project.build("a") == (1, "a")
    assert project.read("a") == "[r]"
    assert set(project.deps("a")) == {"a.do", "r", "s"}


@pytest.mark.parametrize(("script", "status"), [("self", 206), ("both", 207), ("die 9", -9), ("fail 7", 7)])
def test_the_status_of_a_target_says_what_was_wrong(script: str, status: int) -> None:
    project = Project({"a": script})
    assert project.build("a")[0] == 1
    assert project.simulation.ended == [(path("a"), status)]


def test_a_file_where_a_directory_stands_cannot_be_put_in_place() -> None:
    project = Project({"a": "out"})
    project.files.mkdir(path("a"))
    assert project.build("a")[0] == 1
    assert project.simulation.ended == [(path("a"), 209)]


def test_a_target_that_its_script_spoiled_is_not_taken_for_an_edit() -> None:
    project = Project({"a": "self"})
    project.build("a")
    assert project.build("a") == (1, "a")
    project.write("a.do", "out")
    assert project.build("a") == (0, "a")


def test_a_phony_target_is_built_once() -> None:
    project = Project({"a": "need b", "b": "need s"}, "s")
    assert project.build("a") == (0, "a b")
    assert project.build("a") == (0, "")


def test_a_directory_beside_its_dofile_is_no_source() -> None:
    project = Project({"test": "need s"}, "s")
    project.files.mkdir(path("test"))
    assert project.build("test") == (0, "test")
    assert project.build("test") == (0, "")


def test_a_source_that_a_dofile_would_match_is_left_alone() -> None:
    project = Project({"a": "out"}, "a")
    assert project.build("a") == (0, "")
    client = project.start("a", force=True)
    project.simulation.finish()
    assert (client.status, project.ran) == (0, "")
    assert "not a target" in client.complaints[0]


def test_an_edited_target_is_kept_and_the_user_warned_once() -> None:
    project = Project({"a": "need c\nout", "b": "need c\nout", "c": "out"})
    project.build("a b")
    project.write("c", "mine")
    client = project.start("a b c", jobs=1)
    project.simulation.finish()
    assert (client.status, project.read("c"), project.read("a")) == (0, "mine", "[mine]")
    assert sum("you modified it" in text for text in project.simulation.complaints) == 1


def test_a_target_without_its_dofile_becomes_a_source_and_its_dependents_run_once() -> None:
    project = Project({"a": "need b\nout", "b": "out"})
    project.build("a")
    project.files.remove(path("b.do"))
    assert project.build("a") == (0, "a")
    assert project.build("a") == (0, "")


def test_a_directory_in_place_of_a_target_without_a_dofile_is_a_source() -> None:
    project = Project({"a": "try b\nout", "b": ""})
    project.build("a")
    project.files.remove(path("b.do"))
    project.files.mkdir(path("b"))
    assert project.build("b") == (0, "")


def test_a_missing_file_without_a_dofile_is_an_error_that_names_it() -> None:
    project = Project({})
    client = project.start("{none}")
    project.simulation.finish()
    assert client.status == 1
    assert "no rule to make p/{none}" in client.complaints[0]


def test_a_script_with_braces_in_its_name_can_be_complained_about() -> None:
    project = Project({"a{x}.do": "copy s\nout"}, "s")
    project.write("s", "out")
    project.build("a{x}.do a{x}")
    project.write("a{x}.do.do", "fail 1")
    client = project.start("a{x}", force=True)
    project.simulation.finish()
    assert client.status == 1
    assert client.complaints == ["p/a{x}: its script /p/a{x}.do could not be rebuilt"]


def test_a_generated_dofile_is_built_before_it_is_run() -> None:
    project = Project({"g.do": "copy gs\nout"}, "s", "gs")
    project.write("gs", "need s\nout")
    assert project.build("g.do g") == (0, "g.do g")
    project.write("gs", "need s s\nout")
    assert project.build("g") == (0, "g.do g")
    project.write("gs", "fail 1")
    project.write("g.do.do", "fail 1")
    assert project.build("g") == (1, "g.do")


def test_a_source_that_changes_while_it_is_used_makes_the_target_run_once_more_and_never_twice() -> None:
    project = Project({"a": "late s\nout"}, "s")
    for _ in range(2):
        project.start("a", jobs=1)
        project.until_runs("a")
        project.simulation.advance()
        project.write("s", "while it ran")
        project.simulation.finish()
    assert project.simulation.ran[1].reason.why in (Why.LATE, Why.CHANGED)
    runs = project.runs_of("a")
    project.build("a")
    assert project.runs_of("a") <= runs + 1
    assert project.build("a") == (0, "")


def test_a_hard_link_made_while_a_source_is_used_does_not_hide_a_later_change() -> None:
    project = Project({"a": "late s\nout"}, "s")
    for is_edit in (False, True):
        project.start("a", force=True)
        project.until_runs("a")
        project.simulation.advance()
        if is_edit:
            project.write("s", "while it ran")
        else:
            project.files.link(path("s"))
        project.simulation.finish()
    assert project.build("a") == (0, "a")
    assert project.read("a") == "[while it ran]"


def test_a_change_behind_a_symbolic_link_while_it_is_used_is_not_missed() -> None:
    project = Project({"a": "late s\nout"}, "real")
    project.files.symlink(path("s"), path("real"))
    project.start("a")
    project.until_runs("a")
    project.simulation.advance()
    project.write("real", "while it ran")
    project.simulation.finish()
    assert project.build("a") == (0, "a")
    assert project.read("a") == "[while it ran]"


def test_redo_in_a_script_runs_its_target_and_declares_nothing() -> None:
    project = Project({"a": "redo b\nout", "b": "need s\nout"}, "s")
    assert project.build("b a") == (0, "b a b")
    assert project.deps("a") == ["a.do"]


def test_a_tolerated_failure_makes_the_dependent_run_until_it_is_mended() -> None:
    project = Project({"a": "try b\nout", "b": "fail 1"})
    assert project.build("a") == (0, "a b")
    assert project.build("a") == (0, "a b")
    project.write("b.do", "out")
    assert project.build("a") == (0, "a b")
    assert project.build("a") == (0, "")


def test_a_stamped_target_that_was_missing_when_it_failed_counts_as_changed_when_mended() -> None:
    project = Project({"a": "try b\nout", "b": "need s\nstamp out\nout"}, "s")
    project.build("a")
    project.files.remove(path("b"))
    project.write("b.do", "fail 1")
    project.build("a")
    assert project.read("a") == "[-]"
    project.write("b.do", "need s\nstamp out\nout")
    project.build("a")
    assert project.read("a") == "[[s]]"


def test_a_holder_keeps_its_target_building_without_a_token_once_it_was_reported() -> None:
    project = Project({"a": "hold\nout", "b": "out"})
    assert project.build("a b") == (0, "a b")


@pytest.mark.parametrize("seed", range(10))
def test_calls_of_one_script_at_the_same_time_do_not_wait_for_its_token(seed: int) -> None:
    project = Project({"a": "fork b c d\nout", "b": "out", "c": "need d\nout", "d": "out"}, seed=seed)
    status, ran = project.build("a")
    assert (status, sorted(ran)) == (0, sorted("a b c d"))


def test_a_restart_forgets_nothing_that_was_recorded() -> None:
    project = Project(TREE, "s")
    project.build("a")
    project.simulation.restart()
    assert project.build("a") == (0, "")


def test_a_directory_whose_script_failed_makes_its_dependent_run_again() -> None:
    project = Project({"a": "try b\nout"})
    project.files.mkdir(path("b"))
    assert project.build("a") == (0, "a")
    project.write("b.do", "fail 1")
    assert project.build("b a") == (1, "b")
    assert project.build("a") == (0, "a b")
