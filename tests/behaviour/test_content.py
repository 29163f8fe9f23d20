"""Content mode: with `content = true` in redod.toml only what is in the files counts."""

import os
import subprocess

import pytest

from tests.behaviour.project import Project

COPY = 'redo-ifchange "$2.c"; cp "$2.c" "$3"\n'


@pytest.fixture(params=["on", "off"], autouse=True)
def built(project: Project, request: pytest.FixtureRequest) -> None:
    """`all` of two objects, built, with watching and without."""
    project.environment["REDOD_WATCH"] = request.param
    project.write("redod.toml", "content = true\n")
    project.write("default.o.do", COPY)
    project.write("all.do", "redo-ifchange a.o sub/b.o; cat a.o sub/b.o\n")
    project.write("a.c", "a\n")
    project.write("sub/b.c", "b\n")
    assert sorted(project.redo("all")) == ["a.o", "all", "sub/b.o"]


def test_a_touch_runs_nothing(project: Project) -> None:
    os.utime(project.path / "a.c")
    os.utime(project.path / "default.o.do")
    assert project.redo("all") == []


def test_a_file_that_is_edited_and_restored_runs_nothing(project: Project) -> None:
    project.write("a.c", "edited\n")
    project.write("a.c", "a\n")
    assert project.redo("all") == []


def test_a_file_that_is_replaced_by_an_equal_one_runs_nothing(project: Project) -> None:
    project.write("new", "a\n").rename(project.path / "a.c")
    assert project.redo("all") == []


def test_an_edit_of_the_same_size_with_the_time_restored_runs_what_depends_on_it(project: Project) -> None:
    before = (project.path / "a.c").stat()
    project.write("a.c", "A\n")
    os.utime(project.path / "a.c", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sorted(project.redo("all")) == ["a.o", "all"]
    assert project.read("all") == "A\nb\n"
    assert project.redo("all") == []


def test_a_new_mode_counts(project: Project) -> None:
    (project.path / "a.c").chmod(0o600)
    assert project.redo("all") == ["a.o"]


def test_a_target_that_is_made_anew_and_equal_runs_nothing_above_it(project: Project) -> None:
    project.write("default.o.do", COPY + "# the same\n")
    assert sorted(project.redo("all")) == ["a.o", "sub/b.o"]
    assert project.redo("all") == []


def test_a_large_target_is_compared_by_content_too(project: Project) -> None:
    project.write("large.do", "redo-ifchange a.c; head -c 3000000 /dev/zero >$3\n")
    project.write("on.do", "redo-ifchange large\n")
    assert sorted(project.redo("on")) == ["large", "on"]
    project.write("a.c", "more\n")
    assert project.redo("on") == ["large"]


def test_a_target_without_a_file_counts_as_changed_when_it_has_run(project: Project) -> None:
    project.write("phony.do", "redo-ifchange a.c\n")
    project.write("on.do", "redo-ifchange phony\n")
    project.redo("on")
    project.write("a.c", "more\n")
    assert sorted(project.redo("on")) == ["on", "phony"]


def test_what_a_script_says_of_its_content_counts_more(project: Project) -> None:
    project.write("stamped.do", "redo-ifchange a.c; echo same | redo-stamp; cat a.c\n")
    project.write("on.do", "redo-ifchange stamped\n")
    project.redo("on")
    project.write("a.c", "more\n")
    assert project.redo("on") == ["stamped"]


def test_a_checkout_there_and_back_runs_nothing(project: Project) -> None:
    def git(*argv: str) -> None:
        who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *who, *argv], cwd=project.path, check=True, capture_output=True)

    git("init")
    git("add", "a.c", "sub/b.c")
    git("commit", "-m", "one")
    git("checkout", "-b", "other")
    project.write("a.c", "other\n")
    git("commit", "-a", "-m", "two")
    git("checkout", "main")
    assert project.redo("all") == []
    git("checkout", "other")
    assert sorted(project.redo("all")) == ["a.o", "all"]


def test_it_can_be_switched_off_again(project: Project) -> None:
    project.write("redod.toml", "")
    project.redo("all")
    os.utime(project.path / "a.c")
    assert project.redo("all") != []


def test_a_new_server_still_compares_by_content(project: Project) -> None:
    project.run("redod", "stop", check=True)
    os.utime(project.path / "a.c")
    assert project.redo("all") == []
