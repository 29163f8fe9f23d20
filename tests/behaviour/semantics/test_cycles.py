"""Targets that wait for each other are an error, told in one line, wherever the cycle closes."""

import pytest

from tests.behaviour.project import PATIENCE, Project

LINE = b"these targets wait for each other"


def assert_reported(stderr: bytes, *names: str) -> None:
    """One line tells of the cycle, names all in it, and no traceback follows."""
    lines = [line for line in stderr.splitlines() if LINE in line]
    assert lines, stderr.decode()
    assert all(name.encode() in lines[0] for name in names)
    assert b"Traceback" not in stderr


@pytest.fixture
def circle(project: Project) -> Project:
    """a needs b, b needs c, c needs a."""
    for name, needs in ("ab", "bc", "ca"):
        project.write(f"{name}.do", f"redo-ifchange {needs}; echo made")
    return project


@pytest.mark.parametrize("options", [["-j1"], ["-j8"], []])
def test_a_cycle_is_an_error_for_redo(circle: Project, options: list[str]) -> None:
    result = circle.run("redo", *options, "a")
    assert result.returncode == 1
    assert_reported(result.stderr, "a", "b", "c")
    assert b"(exit 208)" in result.stderr


@pytest.mark.parametrize("options", [["-j1"], ["-j8"]])
def test_a_cycle_between_targets_that_run_at_once_is_an_error(circle: Project, options: list[str]) -> None:
    result = circle.run("redo", *options, "a", "b", "c")
    assert result.returncode == 1
    assert_reported(result.stderr, "a", "b", "c")


def test_a_target_that_needs_itself_is_an_error(project: Project) -> None:
    project.write("x.do", "redo-ifchange x")
    result = project.run("redo-ifchange", "x")
    assert result.returncode == 1
    assert_reported(result.stderr, "x -> x")
    assert b"redo  x (exit 208)" in result.stderr


def test_redo_of_itself_in_a_script_is_an_error(native_project: Project) -> None:
    native_project.write("x.do", "redo x")
    result = native_project.run("redo", "x")
    assert result.returncode == 1
    assert_reported(result.stderr, "x -> x")


@pytest.mark.parametrize("command", ["redo", "redo-ifchange"])
def test_a_cycle_through_a_cleared_environment_is_an_error(native_project: Project, command: str) -> None:
    native_project.write("x.do", f'env -i PATH="$PATH" REDOD_SOCKET="$REDOD_SOCKET" sh -c "{command} x; exit"')
    result = native_project.run("redo", "x")
    assert result.returncode == 1
    assert_reported(result.stderr, "x -> x")


def test_a_cycle_through_an_orphan_with_a_cleared_environment_is_an_error(native_project: Project) -> None:
    """It would be shown the log of what it waits for, and so make that log longer, for as long as it waits."""
    native_project.run("mkfifo", "orphaned", check=True)
    native_project.write(
        "x.do",
        """(setsid env -i PATH="$PATH" REDOD_SOCKET="$REDOD_SOCKET" sh -c '
            read x <orphaned; redo-ifchange x; echo $? >status' &)
        echo go >orphaned""",
    )
    result = native_project.run("redo", "x", check=True)
    assert_reported(result.stderr, "x -> x")
    assert native_project.read("status") == "208\n"


def test_a_cycle_through_two_spellings_is_an_error(native_project: Project) -> None:
    native_project.write("sub/a.do", "redo-ifchange ../link/a")
    (native_project.path / "link").symlink_to("sub")
    result = native_project.run("redo", "sub/a")
    assert result.returncode == 1
    assert_reported(result.stderr, "a")


def test_a_cycle_between_two_sessions_is_an_error_for_one_of_them_at_least(native_project: Project) -> None:
    meet = "echo >{own}.fifo & cat {other}.fifo; wait; redo-ifchange {other}; echo made >$3"
    for own, other in ("ab", "ba"):
        native_project.run("mkfifo", f"{own}.fifo", check=True)
        native_project.write(f"{own}.do", meet.format(own=own, other=other))
    sessions = [native_project.start("redo", name) for name in "ab"]
    told = [session.communicate(timeout=PATIENCE)[1] for session in sessions]
    assert 1 in [session.returncode for session in sessions]
    assert_reported(b"".join(told), "a", "b")


def test_a_cycle_that_was_recorded_is_found_by_a_check(native_project: Project) -> None:
    native_project.write("a.do", "redo-ifchange b; echo a")
    native_project.write("b.do", "echo b")
    native_project.redo("a")
    native_project.write("b.do", "redo-ifchange a; echo b")
    result = native_project.run("redo-ifchange", "a")
    assert result.returncode == 1
    assert_reported(result.stderr, "a", "b")


def test_a_build_goes_through_once_the_cycle_is_mended(circle: Project) -> None:
    assert circle.run("redo", "a").returncode == 1
    circle.write("c.do", "echo c")
    assert circle.redo("a") == ["a", "b", "c"]
    assert circle.redo("a") == []


def test_a_diamond_is_no_cycle(native_project: Project) -> None:
    native_project.write("top.do", "redo-ifchange left right")
    native_project.write("left.do", "redo-ifchange bottom")
    native_project.write("right.do", "redo-ifchange bottom")
    native_project.write("bottom.do", "echo made")
    native_project.run("redo", "-j8", "top", check=True)


def test_a_cycle_of_stamped_targets_is_an_error(native_project: Project) -> None:
    native_project.write("a.do", "redo-ifchange b; redo-stamp </dev/null")
    native_project.write("b.do", "echo b | redo-stamp")
    native_project.redo("a")
    native_project.write("b.do", "redo-ifchange a; echo b | redo-stamp")
    result = native_project.run("redo-ifchange", "a", "b")
    assert result.returncode == 1
    assert_reported(result.stderr, "a", "b")


def test_a_cycle_through_a_dofile_that_is_a_target_is_an_error(native_project: Project) -> None:
    native_project.write("a.do.do", "redo-ifchange a; echo 'echo made'")
    native_project.write("a.do", "echo made")
    native_project.write("b.do", "redo-ifchange a.do; echo made")
    (native_project.path / "a.do").unlink()
    native_project.write("default.do", "redo-ifchange a.do; cat a.do")
    result = native_project.run("redo", "b", "a")
    assert result.returncode == 1
    assert_reported(result.stderr, "a", "a.do")


def test_a_cycle_through_a_call_without_its_token_is_an_error(native_project: Project) -> None:
    native_project.write("a.do", 'env -i PATH="$PATH" REDOD_SOCKET="$REDOD_SOCKET" redo-ifchange b; echo made')
    native_project.write("b.do", "redo-ifchange a; echo made")
    result = native_project.run("redo", "a")
    assert result.returncode == 1
    assert_reported(result.stderr, "a", "b")


def test_a_cycle_through_calls_at_the_same_time_is_an_error(native_project: Project) -> None:
    native_project.write("a.do", "redo-ifchange b & redo-ifchange c & wait; redo-ifchange b c; echo made")
    native_project.write("b.do", "echo made")
    native_project.write("c.do", "redo-ifchange b a; echo made")
    for jobs in ("-j1", "-j8"):
        result = native_project.run("redo", jobs, "a")
        assert result.returncode == 1
        assert_reported(result.stderr, "a", "c")
