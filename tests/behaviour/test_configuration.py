"""`redod.toml`: how a workspace is built, for everybody who builds there."""

from tests.behaviour.events import Fifo, finish, status_of
from tests.behaviour.project import Project

MEETING = "echo $1 >>begun; until test $(wc -l <begun) -ge {}; do :; done"
"""A script that waits until so many have begun."""


def test_jobs_is_how_many_scripts_run_at_a_time(project: Project) -> None:
    project.write("redod.toml", "jobs = 5")
    project.write("default.do", MEETING.format(5))
    project.run("redo", "a", "b", "c", "d", "e", check=True)


def test_jobs_1_is_strictly_serial(project: Project) -> None:
    project.write("redod.toml", "jobs = 1")
    project.write("a.do", "redo-ifchange b; echo end >>order")
    project.write("default.do", "echo $1 >>order; sh -c :; echo end >>order")
    project.run("redo", "a", "c", "d", check=True)
    assert project.read("order").split() == ["b", "end", "end", "c", "end", "d", "end"]


def test_commands_side_by_side_share_the_jobs_of_their_workspace(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("redod.toml", "jobs = 2")
    project.write("default.do", "echo $1 >pids; read x <go")
    one = project.start("redo", "a", "b")
    assert {pids.receive(), pids.receive()} == {"a", "b"}
    # Each session may always run one.
    other = project.start("redo", "c", "d")
    assert pids.receive() == "c"
    assert len(status_of(project)["jobs"]) == 3
    for _ in range(4):
        go.send()
    finish(one)
    finish(other)


def test_j_goes_before_jobs(project: Project) -> None:
    project.write("redod.toml", "jobs = 1")
    project.write("default.do", MEETING.format(3))
    project.run("redo", "-j3", "a", "b", "c", check=True)


def test_an_edit_counts_from_the_next_command_on_in_the_same_server(project: Project) -> None:
    project.write("redod.toml", "jobs = 1")
    project.write("default.do", "echo made")
    project.run("redo", "a", check=True)
    server = project.server_pid
    project.write("redod.toml", "jobs = 3")
    project.write("default.do", MEETING.format(3))
    project.run("redo", "a", "b", "c", check=True)
    assert project.server_pid == server


def test_a_bad_file_fails_the_command_with_status_2_and_harms_nothing(project: Project) -> None:
    project.write("a.do", "echo $1 >>runs; echo made")
    project.redo("a")
    server = project.server_pid
    project.write("redod.toml", "jobs = 3\njobs = 4\n")
    for command in (["redo", "a"], ["redo", "-j2", "a"], ["redo-ifchange", "a"]):
        result = project.run(*command)
        assert result.returncode == 2
        assert str(project.path / "redod.toml").encode() in result.stderr
        assert b"at line 2" in result.stderr
    project.write("redod.toml", "jobs = 3\n")
    assert project.redo("a") == []
    assert (project.read("runs"), project.server_pid) == ("a\n", server)


def test_a_file_that_goes_bad_does_not_stop_what_runs(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("redod.toml", "jobs = 2")
    project.write("a.do", "echo $1 >pids; read x <go; redo-ifchange b; cat b")
    project.write("b.do", "echo b")
    building = project.start("redo", "a")
    pids.receive()
    project.write("redod.toml", "jobs = none")
    assert project.run("redo", "c").returncode == 2
    go.send()
    finish(building)
    assert project.read("a") == "b\n"


def test_a_bad_file_of_another_workspace_fails_the_script_that_asks_there(project: Project) -> None:
    project.write("../other/redod.toml", "nonsense = 1")
    project.write("../other/x.do", "echo x")
    project.write("a.do", "redo-ifchange ../other/x")
    result = project.run("redo", "a")
    assert result.returncode == 1
    assert b"other/redod.toml: there is no setting 'nonsense'" in result.stderr
    assert b"redo  a (exit 2)" in result.stderr
    project.write("../other/redod.toml", "")
    project.run("redo", "a", check=True)
