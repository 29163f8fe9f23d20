"""What redo did not make it never overwrites, and what the user edited stays."""

import os

from tests.behaviour.project import Project


def test_a_file_that_redo_did_not_make_is_not_overwritten(project: Project) -> None:
    project.write("x", "by hand")
    project.write("x.do", "echo made")
    result = project.run("redo", "x")
    assert result.returncode == 0
    assert b"x exists and is not a target" in result.stderr
    assert project.jobs(result) == []
    assert project.redo("x") == []
    assert project.read("x") == "by hand"


def test_a_source_for_which_a_dofile_matches_is_a_dependency_like_any_other(native_project: Project) -> None:
    native_project.write("default.do", "redo-ifchange y; cat y")
    native_project.write("y", "one")
    assert native_project.redo("x") == ["x"]
    native_project.write("y", "two")
    assert native_project.redo("x") == ["x"]
    assert native_project.read("y") == "two"


def test_a_directory_is_not_taken_for_a_source_when_a_dofile_matches(project: Project) -> None:
    project.write("test/case", "")
    project.write("test.do", "echo ran >&2")
    assert project.redo("test") == ["test"]
    assert project.redo("test") == []
    assert project.jobs(project.run("redo", "test")) == ["test"]
    assert (project.path / "test/case").exists()


def test_a_directory_without_a_dofile_is_a_source(native_project: Project) -> None:
    native_project.write("dir/file", "")
    assert native_project.run("redo-ifchange", "dir", check=True).stderr == b""
    assert b"dir exists and is not a target" in native_project.run("redo", "dir", check=True).stderr


def test_a_dofile_that_comes_for_a_directory_makes_what_was_made_from_that_out_of_date(project: Project) -> None:
    project.write("test/sub/case", "")
    project.write("all.do", "redo-ifchange use")
    project.write("use.do", "redo-ifchange test/sub; ls test/sub")
    assert project.redo("all") == ["all", "use"]
    assert project.redo("all") == []
    project.write("default.do", "echo ran >&2")
    assert project.redo("all") == ["all", "use", "test/sub"]
    assert project.redo("all") == []


def test_a_target_that_was_edited_is_kept_with_a_warning_and_counts_as_a_source(project: Project) -> None:
    project.write("use.do", "redo-ifchange x; cat x")
    project.write("x.do", "echo made")
    project.redo("use")
    project.write("x", "edited by hand")
    result = project.run("redo-ifchange", "use")
    assert result.returncode == 0
    assert b"x - you modified it; skipping" in result.stderr
    assert project.jobs(result) == ["use"]
    assert project.read("use") == "edited by hand"
    result = project.run("redo", "x")
    assert result.returncode == 0
    assert b"x - you modified it; skipping" in result.stderr
    assert project.read("x") == "edited by hand"


def test_an_edit_of_the_same_size_is_noticed(native_project: Project) -> None:
    native_project.write("x.do", "printf one")
    native_project.redo("x")
    native_project.write("x", "two")
    assert b"you modified it" in native_project.run("redo-ifchange", "x", check=True).stderr
    assert native_project.read("x") == "two"


def test_a_further_edit_of_an_edited_target_rebuilds_its_dependents(native_project: Project) -> None:
    native_project.write("use.do", "redo-ifchange x; cat x")
    native_project.write("x.do", "echo made")
    native_project.redo("use")
    for text in ("first", "second"):
        native_project.write("x", text)
        assert native_project.redo("use") == ["use"]
        assert native_project.read("use") == text


def test_an_edited_target_is_made_again_after_it_was_deleted(native_project: Project) -> None:
    native_project.write("x.do", "echo made")
    native_project.redo("x")
    native_project.write("x", "edited")
    native_project.redo("x")
    (native_project.path / "x").unlink()
    assert native_project.redo("x") == ["x"]
    assert native_project.read("x") == "made\n"
    native_project.write("x.do", "echo again")
    assert native_project.redo("x") == ["x"]


def test_a_phony_target_whose_file_is_made_by_hand_is_a_source(native_project: Project) -> None:
    native_project.write("x.do", "echo ran >&2")
    native_project.redo("x")
    native_project.write("x", "by hand")
    assert native_project.redo("x") == []
    native_project.run("redo", "x", check=True)
    assert native_project.read("x") == "by hand"


def test_a_deleted_target_that_is_recreated_by_hand_is_a_source(native_project: Project) -> None:
    native_project.write("use.do", "redo-ifchange x || true")
    native_project.write("x.do", "test -e go; echo made")
    native_project.write("go", "")
    native_project.redo("x")
    (native_project.path / "x").unlink()
    (native_project.path / "go").unlink()
    assert native_project.run("redo-ifchange", "x").returncode == 1
    native_project.write("x", "by hand")
    assert native_project.redo("x") == []
    assert native_project.read("x") == "by hand"


def test_a_target_without_a_dofile_becomes_a_source_and_its_dependents_run_once(native_project: Project) -> None:
    native_project.write("use.do", "redo-ifchange x; cat x")
    native_project.write("x.do", "echo made")
    native_project.redo("use")
    (native_project.path / "x.do").unlink()
    assert native_project.redo("use") == ["use"]
    assert native_project.redo("use") == []
    assert native_project.read("x") == "made\n"
    assert b"x" in native_project.run("redo-sources", check=True).stdout.splitlines()


def test_a_target_replaced_by_hand_with_a_link_is_an_edit(native_project: Project) -> None:
    native_project.write("x.do", "echo made")
    native_project.redo("x")
    native_project.write("mine", "mine and longer")
    (native_project.path / "x").unlink()
    (native_project.path / "x").symlink_to("mine")
    assert native_project.redo("x") == []
    assert os.readlink(native_project.path / "x") == "mine"


def test_a_missing_name_without_a_dofile_is_an_error_with_status_1(project: Project) -> None:
    for command in ("redo", "redo-ifchange"):
        result = project.run(command, "missing")
        assert result.returncode == 1
        assert b"no rule to make missing" in result.stderr


def test_a_name_below_a_file_is_an_error_with_status_1(native_project: Project) -> None:
    native_project.write("file", "")
    native_project.write("default.do", "echo made")
    assert native_project.run("redo", "file/x").returncode == 1
