"""The options of redo, and the statuses of its commands."""

import pytest

from redod import __version__
from tests.behaviour.project import Project
from tests.client.conftest import NAMES

REDO_NAMES = [name for name in NAMES if name != "redod"]


@pytest.fixture
def traced(project: Project) -> Project:
    """x asks for y; each prints a word."""
    project.write("x.do", "# comment of x\nredo-ifchange y\necho outer >&2\n")
    project.write("y.do", "# comment of y\necho inner >&2\n")
    return project


def test_without_a_name_the_target_is_all(project: Project) -> None:
    project.write("all.do", "echo ran >&2")
    assert project.jobs(project.run("redo", check=True)) == ["all"]
    assert project.redo() == []


def test_redo_ifchange_without_a_name_does_nothing_in_a_script(project: Project) -> None:
    project.write("all.do", "echo all >>runs")
    project.write("x.do", "redo-ifchange; echo made")
    assert project.redo("x") == ["x"]
    assert project.redo("x") == []
    assert not (project.path / "runs").exists()


def test_standard_output_stays_empty(project: Project) -> None:
    project.write("x.do", "redo-ifchange y; echo made; echo said >&2")
    project.write("y.do", "exit 1")
    assert project.run("redo", "x").stdout == b""
    assert project.run("redo-ifchange", "x").stdout == b""


@pytest.mark.parametrize("options", [["-x"], ["--xtrace"]])
def test_x_shows_the_commands_of_the_named_targets_script(traced: Project, options: list[str]) -> None:
    stderr = traced.run("redo", *options, "x", check=True).stderr
    assert b"+ echo outer" in stderr
    assert b"+ echo inner" not in stderr


def test_xx_shows_the_commands_of_all_scripts(traced: Project) -> None:
    stderr = traced.run("redo", "-xx", "x", check=True).stderr
    assert b"+ echo outer" in stderr
    assert b"+ echo inner" in stderr


def test_v_shows_the_lines_of_the_named_targets_script(traced: Project) -> None:
    stderr = traced.run("redo", "-v", "x", check=True).stderr
    assert b"# comment of x" in stderr
    assert b"# comment of y" not in stderr


def test_vv_shows_the_lines_of_all_scripts(traced: Project) -> None:
    stderr = traced.run("redo", "-vv", "x", check=True).stderr
    assert b"# comment of x" in stderr
    assert b"# comment of y" in stderr


def test_v_and_x_can_be_given_together(traced: Project) -> None:
    stderr = traced.run("redo", "-xv", "x", check=True).stderr
    assert b"+ echo outer" in stderr
    assert b"# comment of x" in stderr


def test_d_tells_why_each_target_is_built(traced: Project) -> None:
    stderr = traced.run("redo", "-d", "x", check=True).stderr
    assert b"x is out of date: redo was asked to run it" in stderr
    assert b"y is out of date: it was never built" in stderr


def test_a_failure_ends_the_call_before_its_next_target(project: Project) -> None:
    project.write("bad.do", "exit 3")
    project.write("good.do", "echo made")
    result = project.run("redo", "-j1", "bad", "good")
    assert result.returncode == 1
    assert not (project.path / "good").exists()


@pytest.mark.parametrize("option", ["-k", "--keep-going"])
def test_k_goes_on_after_a_failure_and_still_fails(project: Project, option: str) -> None:
    project.write("bad.do", "exit 3")
    project.write("default.do", "echo made")
    result = project.run("redo", "-j1", option, "one", "bad", "two", "missing/bad", "three")
    assert result.returncode == 1
    assert [project.read(name) for name in ("one", "two", "three")] == ["made\n"] * 3


def test_k_holds_for_the_calls_of_scripts(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange one bad two; echo made")
    native_project.write("bad.do", "exit 3")
    native_project.write("default.do", "echo made")
    assert native_project.run("redo", "-k", "-j1", "x").returncode == 1
    assert native_project.read("two") == "made\n"
    assert not (native_project.path / "x").exists()


def test_with_k_what_is_independent_of_a_failure_in_the_middle_is_built(native_project: Project) -> None:
    native_project.write("default.do", 'test "$1" != t50; echo made')
    result = native_project.run("redo", "-k", *[f"t{number}" for number in range(100)])
    assert result.returncode == 1
    made = {f"t{number}" for number in range(100) if (native_project.path / f"t{number}").exists()}
    assert made == {f"t{number}" for number in range(100)} - {"t50"}


def test_shuffle_builds_everything_all_the_same(project: Project) -> None:
    names = [f"t{number}" for number in range(20)]
    project.write("default.do", "echo made")
    assert sorted(project.jobs(project.run("redo", "--shuffle", *names, check=True))) == sorted(names)


def test_shuffle_changes_the_order(native_project: Project) -> None:
    names = [f"t{number}" for number in range(30)]
    native_project.write("default.do", "")
    # 30! orders: that the one asked for comes out by chance will not be seen.
    assert native_project.jobs(native_project.run("redo", "-j1", "--shuffle", *names, check=True)) != names


@pytest.mark.parametrize(
    "option",
    [
        "--log", "--no-log", "--details", "--no-details", "--status", "--no-status", "--pretty", "--no-pretty",
        "--color", "--no-color", "--debug-locks", "--debug-pids",
    ],
)  # fmt: skip
def test_the_options_of_other_redos_are_accepted(native_project: Project, option: str) -> None:
    native_project.write("x.do", "echo made")
    native_project.run("redo", option, "x", check=True)
    assert native_project.read("x") == "made\n"


def test_an_option_may_come_after_a_target(native_project: Project) -> None:
    native_project.write("x.do", "echo made")
    assert b"+ echo made" in native_project.run("redo", "x", "-x", check=True).stderr


@pytest.mark.parametrize("name", REDO_NAMES)
def test_version_says_which_redo_it_is(project: Project, name: str) -> None:
    result = project.run(name, "--version", check=True)
    assert result.stdout == f"{name} (redod) {__version__}\n".encode()


@pytest.mark.parametrize("name", NAMES)
def test_help_is_printed_on_standard_output(project: Project, name: str) -> None:
    result = project.run(name, "--help", check=True)
    assert result.stdout.startswith(b"usage: " + name.encode())
    assert result.stderr == b""


@pytest.mark.parametrize("name", REDO_NAMES)
def test_an_unknown_option_is_a_usage_error(project: Project, name: str) -> None:
    result = project.run(name, "--no-such-option", "x")
    assert result.returncode == 2
    assert result.stderr.startswith(name.encode() + b": ")


@pytest.mark.parametrize("value", ["0", "-1", "many", "", "99999999999"])
def test_a_number_of_jobs_that_makes_no_sense_is_a_usage_error(native_project: Project, value: str) -> None:
    result = native_project.run("redo", f"--jobs={value}", "x")
    assert result.returncode == 2
    assert b"job" in result.stderr


@pytest.mark.parametrize("name", ["redo-ifcreate", "redo-always", "redo-stamp"])
def test_outside_of_a_script_it_fails_with_status_100_and_says_why(project: Project, name: str) -> None:
    result = project.run(name, *(["x"] if name == "redo-ifcreate" else []))
    assert result.returncode == 100
    assert b"script" in result.stderr


def test_redo_ifcreate_of_a_name_that_exists_fails_with_status_1(project: Project) -> None:
    project.write("y", "")
    project.write("x.do", "redo-ifcreate z y || echo status $?")
    result = project.run("redo", "x", check=True)
    assert b"y exists already" in result.stderr
    assert project.read("x") == "status 1\n"


def test_many_thousands_of_targets_fit_into_one_call(project: Project) -> None:
    names = [f"missing/directory/with/a/long/name/{number:05}" for number in range(20000)]
    project.write("default.do", "exit 1")
    project.write("redod.toml", "jobs = 2\n")
    result = project.run("redo-ifchange", *names)
    assert result.returncode == 1
    # The first failure ends the call: what had its place meanwhile ends, and one that waited already.
    assert len(project.jobs(result)) <= 4


def test_redo_recheck_has_the_session_look_again(project: Project) -> None:
    project.write("all.do", "redo-ifchange x; echo two >y; redo-ifchange x; redo-recheck; redo-ifchange x")
    project.write("x.do", "echo run >>runs; redo-ifchange y; cat y")
    project.write("y", "one")
    project.run("redo", "all", check=True)
    assert project.read("x") == "two\n"
    assert project.read("runs") == "run\n" * 2


def test_redo_recheck_forgets_failures_and_what_ran_because_of_always(native_project: Project) -> None:
    native_project.write("all.do", "redo-ifchange x || true; echo ok >go; redo-recheck; redo-ifchange x a")
    native_project.write("x.do", "redo-ifchange a; test -s go; echo made")
    native_project.write("a.do", "redo-always; echo run >>runs")
    native_project.run("redo", "all", check=True)
    assert native_project.read("x") == "made\n"
    assert native_project.read("runs") == "run\n" * 2


def test_redo_recheck_while_other_jobs_run_does_no_harm(native_project: Project) -> None:
    native_project.write("all.do", "redo-ifchange a b")
    native_project.run("mkfifo", "fifo", check=True)
    native_project.write("a.do", "redo-ifchange c; redo-recheck; echo >fifo; redo-ifchange c; echo a")
    native_project.write("b.do", "redo-ifchange c; cat fifo; redo-ifchange c; echo b >$3")
    native_project.write("b.do", "redo-ifchange c; cat fifo >&2; redo-ifchange c; echo b")
    native_project.write("c.do", "echo run >>runs; echo c")
    native_project.run("redo", "-j4", "all", check=True)
    assert native_project.read("runs") == "run\n"
    assert native_project.redo("all") == []
