"""What the user sees on standard error, and where the output of nested calls goes."""

import pytest

from tests.behaviour.project import Project


def test_each_start_is_a_line_indented_by_its_depth_with_its_output_below(project: Project) -> None:
    project.write("x.do", "echo before >&2; redo-ifchange y; echo after >&2")
    project.write("y.do", "redo-ifchange sub/z")
    project.write("sub/z.do", "echo deepest >&2")
    assert project.run("redo", "x", check=True).stderr == (
        b"redo  x\nbefore\nredo    y\nredo      sub/z\ndeepest\nafter\n"
    )


def test_a_failure_is_shown_at_each_level_with_its_status(project: Project) -> None:
    project.write("x.do", "redo-ifchange y || exit 5")
    project.write("y.do", "exit 4")
    result = project.run("redo", "x")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [b"redo  x", b"redo    y", b"redo    y (exit 4)", b"redo  x (exit 5)"]


def test_nothing_is_shown_when_nothing_is_done(project: Project) -> None:
    project.write("x.do", "echo made")
    project.redo("x")
    result = project.run("redo-ifchange", "x", check=True)
    assert (result.stdout, result.stderr) == (b"", b"")


def test_the_lines_of_targets_that_run_at_once_do_not_mix(project: Project) -> None:
    project.write("default.do", "for i in 1 2 3 4 5 6 7 8 9; do echo $1 $i >&2; done")
    result = project.run("redo", "-j4", "a", "b", "c", "d", check=True)
    expected = [line for name in "abcd" for line in (f"redo  {name}", *(f"{name} {i}" for i in range(1, 10)))]
    assert result.stderr.decode().splitlines() == expected


def test_output_without_a_last_newline_does_not_run_into_the_next_line(native_project: Project) -> None:
    native_project.write("x.do", "printf half >&2; redo-ifchange y; printf end >&2; exit 1")
    native_project.write("y.do", "")
    lines = native_project.run("redo", "x").stderr.splitlines()
    assert lines == [b"redo  x", b"half", b"redo    y", b"end", b"redo  x (exit 1)"]


def test_bytes_pass_as_they_are(native_project: Project) -> None:
    native_project.write("x.do", "printf 'caf\\351\\377\\n' >&2")
    assert b"caf\xe9\xff\n" in native_project.run("redo", "x", check=True).stderr


def test_much_output_arrives_whole(project: Project) -> None:
    project.write("x.do", "seq 100000 >&2")
    lines = project.run("redo", "x", check=True).stderr.splitlines()
    assert lines == [b"redo  x", *(b"%d" % number for number in range(1, 100001))]


@pytest.mark.parametrize("command", ["redo-ifchange", "redo"])
def test_a_redirected_stderr_of_a_nested_call_gets_what_the_nested_script_prints(
    project: Project, command: str
) -> None:
    project.write("x.do", f"{command} y 2>cap; echo from x >&2")
    project.write("y.do", "echo from y >&2; redo-ifchange z")
    project.write("z.do", "echo from z >&2")
    result = project.run("redo", "x", check=True)
    assert b"from x" in result.stderr
    assert b"from y" not in result.stderr
    assert {"from y", "from z"} <= set(project.read("cap").splitlines())


def test_a_nested_call_in_a_pipeline_feeds_the_pipe(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y 2>&1 | grep -c 'from y' >$3")
    native_project.write("y.do", "echo from y >&2; echo 'more from y' >&2")
    native_project.redo("x")
    assert native_project.read("x") == "2\n"


def test_a_redirected_call_for_an_up_to_date_target_prints_nothing(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y 2>cap")
    native_project.write("y.do", "echo from y >&2")
    native_project.redo("y")
    native_project.redo("x")
    assert native_project.read("cap") == ""


def test_a_nested_failure_is_told_where_its_stderr_goes(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange missing 2>cap || echo failed")
    native_project.redo("x")
    assert "no rule to make missing" in native_project.read("cap")


def test_no_details_shows_which_targets_run_and_not_what_they_print(project: Project) -> None:
    project.write("x.do", "echo chatter >&2; redo-ifchange y")
    project.write("y.do", "echo chatter >&2")
    assert project.run("redo", "--no-details", "x", check=True).stderr == b"redo  x\nredo    y\n"


def test_what_a_tool_says_with_closed_streams_does_not_fail_the_build(project: Project) -> None:
    project.write("x.do", "echo said >&2; redo-ifchange y; echo made")
    project.write("y.do", "echo y")
    project.run("sh", "-c", "redo x 0<&- 1>&- 2>&-", check=True)
    assert project.read("x") == "made\n"


def test_messages_about_a_target_begin_with_the_commands_name(native_project: Project) -> None:
    for command in ("redo", "redo-ifchange"):
        result = native_project.run(command, "missing")
        assert result.stderr.startswith(command.encode() + b": ")
