"""Watching: whatever is changed is seen, our own writes are not taken for changes, and what was missed is found out."""

import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import status_of
from tests.behaviour.project import Project

COPY = 'redo-ifchange "$2.c"; cp "$2.c" "$3"\n'
CHECKOUT = int(os.environ.get("REDOD_CHECKOUT_FILES", "500"))
"""Files that a checkout changes."""


def flat(project: Project, count: int) -> None:
    """`all` of so many copies, built."""
    names = [f"f{number}" for number in range(count)]
    for name in names:
        project.write(f"{name}.c", f"source {name}")
    project.write("default.o.do", COPY)
    project.write("all.do", f"redo-ifchange {' '.join(f'{name}.o' for name in names)}\n")
    project.redo("all")


class Mapping:
    """A store into it, once its descriptor is closed, changes a file without any event."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._mapping = mmap.mmap(file.fileno(), 0)

    def store(self, text: bytes) -> None:
        self._mapping[: len(text)] = text
        self._mapping.flush()

    def close(self) -> None:
        self._mapping.close()


@pytest.fixture
def mapping(project: Project) -> Iterator[Mapping]:
    """Of `f0.c`, which `f0.o` was made from; there are 2 of them."""
    flat(project, 2)
    made = Mapping(project.path / "f0.c")
    # Whoever opened it for writing has closed it, and that is an event.
    project.redo("all")
    yield made
    made.close()


def test_a_change_without_an_event_is_found_by_looking_again_after_a_build(project: Project, mapping: Mapping) -> None:
    mapping.store(b"lie")
    built = []
    while not status_of(project)["missed"]:
        built += project.redo("all")
    assert sorted(built + project.redo("all")) == ["all", "f0.o"]
    assert project.read("f0.o") == "lierce f0"
    assert b"missed     1 changes" in project.run("redod", "status").stdout
    assert project.redo("all") == []


def test_verify_finds_what_has_changed_without_an_event(project: Project, mapping: Mapping) -> None:
    assert project.run("redod", "verify").returncode == 0
    mapping.store(b"lie")
    result = project.run("redod", "verify")
    found = status_of(project)["missed"]
    # A sample after the last build may have been faster.
    assert (result.returncode, result.stdout.startswith(b"f0.c: ")) == (1, True) or found
    assert sorted(project.redo("all")) == ["all", "f0.o"]
    assert project.run("redod", "verify").returncode == 0


def test_our_own_writes_are_no_changes(project: Project) -> None:
    project.write("sub/default.do", 'redo-ifchange ../in; echo stdout; echo noise >&2; : >"$3.d"\n')
    project.write("tree.do", 'redo-ifchange in; mkdir "$3"; cp in "$3/copy"\n')
    project.write("all.do", "redo-ifchange sub/a sub/b tree\n")
    project.write("in", "in")
    project.redo("all")
    for _ in range(3):
        assert project.redo("all") == []
    project.write("in", "new")
    assert sorted(project.redo("all")) == ["all", "sub/a", "sub/b", "tree"]
    assert project.redo("all") == []


def test_a_source_that_a_script_writes_is_seen_by_who_asks_for_it_later(project: Project) -> None:
    project.write("writes.do", "redo-ifchange in; cp in generated; date +%N\n")
    project.write("reads.do", "redo-ifchange generated; cat generated\n")
    project.write("all.do", "redo-ifchange writes; redo-ifchange reads; cat reads\n")
    project.write("in", "one")
    project.write("generated", "none")
    for text in ("one", "two", "three"):
        project.write("in", text)
        project.redo("all")
        assert project.read("all") == text


def test_nothing_is_missed_where_watching_is_off(project: Project) -> None:
    project.environment["REDOD_WATCH"] = "off"
    flat(project, 3)
    assert project.redo("all") == []
    project.write("f1.c", "new")
    assert sorted(project.redo("all")) == ["all", "f1.o"]
    assert "off (REDOD_WATCH=off)" in status_of(project)["watching"]
    result = project.run("redod", "doctor")
    assert result.returncode == 1
    assert b"each check looks at every file" in result.stdout


def test_with_too_few_watches_one_line_says_so_and_nothing_is_missed(project: Project) -> None:
    project.environment["REDOD_WATCH"] = "3"
    flat(project, 3)
    assert project.redo("all") == []
    project.write("f1.c", "new")
    assert sorted(project.redo("all")) == ["all", "f1.o"]
    text = project.run("redod", "doctor")
    assert text.returncode == 1
    [line] = text.stdout.splitlines()
    assert b"raise REDOD_WATCH" in line
    assert line.split(b": ", 1)[1] in project.run("redod", "status").stdout


def test_doctor_is_content_where_everything_can_be_watched(project: Project) -> None:
    flat(project, 1)
    result = project.run("redod", "doctor", check=True)
    assert result.stdout.startswith(b"watching   ok: ")


def test_a_checkout_of_many_files_is_seen_as_a_whole(project: Project) -> None:
    def git(*argv: str) -> None:
        who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *who, *argv], cwd=project.path, check=True, capture_output=True)

    names = [f"src/{number % 10}/{number}" for number in range(CHECKOUT)]
    project.write("names", "\n".join(names))
    project.write("all.do", "redo-ifchange names; xargs redo-ifchange <names; xargs cat <names\n")
    for branch in ("main", "other"):
        for name in names:
            project.write(name, branch[0])
        if branch == "main":
            git("init")
        else:
            git("checkout", "-b", "other")
        git("add", "src")
        git("commit", "-m", branch)
    assert project.redo("all") == ["all"]
    for branch in ("main", "other", "main"):
        git("checkout", branch)
        assert project.redo("all") == ["all"]
        assert project.read("all") == branch[0] * CHECKOUT
        assert project.redo("all") == []
    assert status_of(project)["missed"] == 0


def test_a_project_that_is_moved_is_watched_where_it_is_now(project: Project) -> None:
    flat(project, 1)
    moved = project.path.with_name("moved")
    project.path.rename(moved)
    try:
        assert project.run("redo-ifchange", "all", cwd=moved, check=True).stderr == b""
        (moved / "f0.c").write_text("new")
        assert Project.jobs(project.run("redo-ifchange", "all", cwd=moved)) == ["all", "f0.o"]
    finally:
        moved.rename(project.path)
    (project.path / "f0.c").write_text("newer")
    assert Project.jobs(project.run("redo-ifchange", "all")) == ["all", "f0.o"]


def test_a_link_to_a_directory_that_leads_elsewhere_now_is_a_change_of_the_link(project: Project) -> None:
    project.write("one/f", "1")
    project.write("two/f", "2")
    (project.path / "link").symlink_to("one")
    project.write("all.do", "redo-ifchange link link/f; cat link/f\n")
    project.redo("all")
    (project.path / "link").unlink()
    (project.path / "link").symlink_to("two")
    assert project.redo("all") == ["all"]
    project.write("two/f", "3")
    assert project.redo("all") == ["all"]
    assert project.read("all") == "3"


def test_a_link_on_the_way_to_a_source_that_leads_elsewhere_now_is_a_change(project: Project) -> None:
    for name in ("one", "two", "three"):
        project.write(f"{name}/f", name)
    (project.path / "first").symlink_to("one")
    (project.path / "second").symlink_to("first")
    project.write("all.do", "redo-ifchange second/f; cat second/f\n")
    project.redo("all")
    assert project.redo("all") == []
    for link, leads_to in (("first", "two"), ("second", "three")):
        (project.path / link).unlink()
        (project.path / link).symlink_to(leads_to)
        assert project.redo("all") == ["all"]
        assert project.read("all") == leads_to
    assert project.redo("all") == []


def test_a_link_that_is_made_is_built_only_if_it_is_asked_for(project: Project) -> None:
    project.write("one/f", "one")
    project.write("link.do", "ln -s one $3\n")
    project.redo("link")
    project.write("link.do", "exit 1\n")
    project.write("all.do", "redo-ifchange link/f\n")
    assert project.redo("all") == ["all"]


def test_what_is_written_through_a_target_that_links_to_its_source_is_not_missed(project: Project) -> None:
    project.write("s", "one\n")
    project.write("linked.do", 'redo-ifchange s; ln s "$3"\n')
    project.write("copied.do", "redo-ifchange s; cat s\n")
    project.run("redo-ifchange", "copied", "linked", check=True)
    (project.path / "linked").write_text("two\n")
    project.run("redo-ifchange", "copied", check=True)
    assert project.read("copied") == "two\n"
