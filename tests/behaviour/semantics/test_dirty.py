"""When a target is out of date, and what is built because of that: exactly what must be."""

import os

import pytest

from tests.behaviour.project import Project, change


def edit_keeping_the_time(project: Project, name: str, text: str) -> None:
    """Write other text and put back the modification time."""
    path = project.path / name
    before = path.stat()
    project.write(name, text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def copy(native_project: Project) -> Project:
    """x is a copy of y, built."""
    native_project.write("x.do", "redo-ifchange y; cat y")
    native_project.write("y", "one")
    native_project.redo("x")
    return native_project


def test_a_target_is_built_when_it_never_was(project: Project) -> None:
    project.write("x.do", "echo made")
    assert project.redo("x") == ["x"]
    assert project.read("x") == "made\n"


def test_what_is_up_to_date_is_not_built_again(project: Project) -> None:
    project.write("x.do", "redo-ifchange y z; cat y z")
    project.write("y.do", "redo-ifchange z; cat z")
    project.write("z", "source")
    assert project.redo("x") == ["x", "y"]
    assert project.redo("x") == []


def test_redo_always_runs_its_targets_and_only_those(project: Project) -> None:
    project.write("x.do", "redo-ifchange y")
    project.write("y.do", "echo y")
    project.redo("x")
    assert project.jobs(project.run("redo", "x")) == ["x"]


def test_an_edited_source_rebuilds_what_depends_on_it(copy: Project) -> None:
    copy.write("y", "longer")
    assert copy.redo("x") == ["x"]
    assert copy.read("x") == "longer"


def test_an_unrelated_edit_builds_nothing(copy: Project) -> None:
    copy.write("z", "new")
    assert copy.redo("x") == []


def test_an_edit_of_the_same_size_at_once_is_a_change(copy: Project) -> None:
    copy.write("y", "two")
    assert copy.redo("x") == ["x"]
    assert copy.read("x") == "two"


def test_an_edit_with_the_old_time_put_back_is_a_change(copy: Project) -> None:
    edit_keeping_the_time(copy, "y", "two")
    assert copy.redo("x") == ["x"]
    assert copy.read("x") == "two"


def test_a_source_with_an_older_time_is_a_change(copy: Project) -> None:
    os.utime(copy.path / "y", (1, 1))
    assert copy.redo("x") == ["x"]


def test_a_source_that_was_replaced_by_a_rename_is_a_change(copy: Project) -> None:
    before = (copy.path / "y").stat()
    other = copy.write("other", "two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(copy.path / "y")
    assert copy.redo("x") == ["x"]


def test_a_touched_source_is_a_change(copy: Project) -> None:
    change(copy.path / "y", lambda: os.utime(copy.path / "y"))
    assert copy.redo("x") == ["x"]


def test_a_changed_mode_of_a_source_is_a_change(copy: Project) -> None:
    (copy.path / "y").chmod(0o600)
    assert copy.redo("x") == ["x"]


def test_a_new_hard_link_to_a_source_is_no_change(copy: Project) -> None:
    os.link(copy.path / "y", copy.path / "z")
    assert copy.redo("x") == []


def test_a_missing_target_is_made_again(copy: Project) -> None:
    (copy.path / "x").unlink()
    assert copy.redo("x") == ["x"]
    assert copy.read("x") == "one"


def test_a_missing_target_in_the_middle_is_made_again_with_its_dependents(copy: Project) -> None:
    copy.write("top.do", "redo-ifchange x; cat x")
    copy.redo("top")
    (copy.path / "x").unlink()
    assert copy.redo("top") == ["top", "x"]
    assert copy.redo("top") == []


def test_a_target_whose_mode_changed_is_built_again_without_a_warning(copy: Project) -> None:
    (copy.path / "x").chmod(0o600)
    result = copy.run("redo-ifchange", "x", check=True)
    assert copy.jobs(result) == ["x"]
    assert b"modified" not in result.stderr
    assert copy.redo("x") == []


def test_a_source_that_vanished_fails_until_it_is_back(copy: Project) -> None:
    (copy.path / "y").unlink()
    result = copy.run("redo-ifchange", "x")
    assert result.returncode == 1
    assert b"no rule to make y" in result.stderr
    assert copy.read("x") == "one"
    copy.write("y", "again")
    assert copy.redo("x") == ["x"]


def test_a_changed_dofile_rebuilds_its_targets(copy: Project) -> None:
    copy.write("x.do", "echo other")
    assert copy.redo("x") == ["x"]
    assert copy.read("x") == "other\n"


def test_a_better_dofile_rebuilds_its_target(native_project: Project) -> None:
    native_project.write("default.do", "echo default")
    native_project.redo("sub.x")
    native_project.write("default.x.do", "echo better")
    assert native_project.redo("sub.x") == ["sub.x"]
    native_project.write("sub.x.do", "echo best")
    assert native_project.redo("sub.x") == ["sub.x"]
    assert native_project.read("sub.x") == "best\n"
    native_project.write("../default.x.do", "echo farther")
    assert native_project.redo("sub.x") == []


def test_without_its_dofile_a_target_is_made_by_the_next_one_of_the_search(native_project: Project) -> None:
    native_project.write("default.do", "echo default")
    native_project.write("x.do", "echo own")
    native_project.redo("x")
    (native_project.path / "x.do").unlink()
    assert native_project.redo("x") == ["x"]
    assert native_project.read("x") == "default\n"


def test_a_dependent_of_a_rebuilt_target_is_rebuilt_though_the_bytes_are_the_same(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; cat y")
    native_project.write("y.do", "redo-ifchange z; echo same")
    native_project.write("z", "one")
    native_project.redo("x")
    native_project.write("z", "other")
    assert native_project.redo("x") == ["x", "y"]


def test_a_dependent_is_rebuilt_when_its_dependency_was_rebuilt_in_another_session(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; cat y")
    native_project.write("y.do", "echo y")
    native_project.redo("x")
    native_project.run("redo", "y", check=True)
    assert native_project.redo("x") == ["x"]


def test_a_dependency_that_the_new_script_no_longer_wants_is_not_built(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange list; redo-ifchange $(cat list)")
    native_project.write("list", "a b")
    native_project.write("a.do", "echo a")
    native_project.write("b.do", "redo-ifchange b.src; echo b")
    native_project.write("b.src", "1")
    assert native_project.redo("x") == ["x", "a", "b"]
    native_project.write("list", "a")
    native_project.write("b.src", "22")
    assert native_project.redo("x") == ["x"]
    native_project.write("b.src", "333")
    assert native_project.redo("x") == []


def test_a_failed_target_is_tried_again_in_the_next_session(project: Project) -> None:
    project.write("x.do", "exit 1")
    for _ in range(2):
        result = project.run("redo-ifchange", "x")
        assert result.returncode == 1
        assert project.jobs(result) == ["x"]


def test_a_failed_target_is_tried_once_in_a_session(native_project: Project) -> None:
    native_project.write("x.do", "echo run >>runs; exit 1")
    native_project.write("all.do", "redo-ifchange x || true; redo-ifchange x || echo again failed >&2")
    result = native_project.run("redo", "all")
    assert native_project.read("runs") == "run\n"
    assert b"again failed" in result.stderr


def test_a_dependent_that_tolerates_a_failure_is_built_again_when_it_is_mended(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y || echo without >$3; test ! -e y || cat y >$3")
    native_project.write("y.do", "exit 1")
    native_project.redo("x")
    assert native_project.read("x") == "without\n"
    native_project.write("y.do", "echo y")
    assert native_project.redo("x") == ["x", "y"]
    assert native_project.read("x") == "y\n"


def test_a_failed_build_keeps_the_old_dependencies_as_well(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; cat y")
    native_project.write("y", "one")
    native_project.redo("x")
    native_project.write("x.do", "exit 1")
    assert native_project.run("redo-ifchange", "x").returncode == 1
    sources = native_project.run("redo-sources", check=True).stdout.splitlines()
    assert b"y" in sources


def test_in_one_session_a_target_is_built_once_whoever_asks(native_project: Project) -> None:
    native_project.write("all.do", "redo-ifchange a b; redo-ifchange c")
    native_project.write("default.do", "redo-ifchange c; echo made")
    native_project.write("c.do", "echo run >>runs; echo c")
    native_project.run("redo", "all", check=True)
    assert native_project.read("runs") == "run\n"


def test_a_target_named_twice_is_run_once_by_redo(project: Project) -> None:
    project.write("x.do", "echo run >>runs")
    project.run("redo", "x", "./x", "x", check=True)
    assert project.read("runs") == "run\n"


def test_redo_inside_a_script_always_runs(native_project: Project) -> None:
    native_project.write("all.do", "redo-ifchange x; redo x; redo x")
    native_project.write("x.do", "echo run >>runs")
    native_project.run("redo", "all", check=True)
    assert native_project.read("runs") == "run\n" * 3


def test_a_name_declared_absent_rebuilds_when_it_is_created(project: Project) -> None:
    project.write("x.do", "if test -e y; then redo-ifchange y; cat y; else redo-ifcreate y; echo none; fi")
    project.redo("x")
    assert project.redo("x") == []
    project.write("y", "one")
    assert project.redo("x") == ["x"]
    assert project.read("x") == "one"
    (project.path / "y").unlink()
    assert project.run("redo-ifchange", "x").returncode == 0
    assert project.read("x") == "none\n"


def test_redo_always_rebuilds_in_each_session_and_once_in_it(project: Project) -> None:
    project.write("all.do", "redo-ifchange a; redo-ifchange b; redo-ifchange x")
    project.write("default.do", "redo-ifchange x")
    project.write("x.do", "redo-always; echo run >>runs")
    project.redo("all")
    assert project.read("runs") == "run\n"
    project.redo("all")
    assert project.read("runs") == "run\n" * 2


def test_a_directory_as_a_dependency_is_only_asked_whether_it_exists(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange dir; ls dir")
    native_project.write("dir/one", "")
    native_project.redo("x")
    native_project.write("dir/two", "")
    os.utime(native_project.path / "dir", (1, 1))
    (native_project.path / "dir").chmod(0o700)
    assert native_project.redo("x") == []


def test_a_directory_target_is_not_out_of_date_when_something_in_it_changes(native_project: Project) -> None:
    native_project.write("dir.do", "mkdir $3; echo made >$3/one")
    native_project.redo("dir")
    native_project.write("dir/two", "")
    assert native_project.redo("dir") == []


def test_thousands_of_dependencies_are_recorded_and_checked(project: Project) -> None:
    names = [f"in/{number}" for number in range(5000)]
    for name in names:
        project.write(name, "1")
    project.write("list", "\n".join(names))
    project.write("x.do", "xargs redo-ifchange <list; cat in/4321")
    assert project.redo("x") == ["x"]
    assert project.redo("x") == []
    project.write("in/4321", "22")
    assert project.redo("x") == ["x"]
    assert project.read("x") == "22"


def test_a_source_that_a_script_writes_and_then_declares_rebuilds_at_most_once_more(native_project: Project) -> None:
    native_project.write("x.do", "echo new >y; redo-ifchange y; cat y")
    assert native_project.redo("x") == ["x"]
    again = [native_project.redo("x") for _ in range(3)]
    assert again[1:] == [[], []]


def test_a_source_that_changed_while_the_script_ran_makes_the_target_out_of_date_once(native_project: Project) -> None:
    native_project.write("y", "one")
    # As with a compiler: it reads, an editor saves (in a later tick of the clock), and then what was read is declared.
    tick = "touch one; until test two -nt one; do touch two; done"
    native_project.write("x.do", f"cat y; test -e two || {{ {tick}; echo two >y; }}; redo-ifchange y")
    native_project.redo("x")
    assert native_project.read("x") == "one"
    assert native_project.redo("x") == ["x"]
    assert native_project.read("x") == "two\n"
    assert native_project.redo("x") == []


def test_a_target_that_is_a_hard_link_of_its_source_is_built_once(native_project: Project) -> None:
    native_project.write("source", "text")
    native_project.write("knob", "1")
    native_project.write("linked.do", "redo-ifchange source knob; ln source $3\n")
    for knob in "12":
        native_project.write("knob", knob)
        assert native_project.redo("linked") == ["linked"]
        assert native_project.redo("linked") == []
    native_project.write("source", "another text")
    assert native_project.redo("linked") == []
