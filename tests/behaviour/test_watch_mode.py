"""`redo --watch`: builds, and builds again whenever something changes."""

import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, finish
from tests.behaviour.project import PATIENCE, Project

DONE = "redo: done; waiting for a change"
FAILED = "redo: failed; waiting for a change"


class Watcher:
    """A running `redo --watch`, and what it prints, line by line."""

    def __init__(self, project: Project, *arguments: str, **environment: str) -> None:
        self.process = project.start("redo", "--watch", *arguments, env=environment)
        self._rest = b""

    def line(self) -> str:
        """The next line."""
        assert self.process.stderr is not None
        while b"\n" not in self._rest:
            assert select.select([self.process.stderr], [], [], PATIENCE)[0], f"nothing came after {self._rest!r}"
            data = os.read(self.process.stderr.fileno(), 65536)
            assert data, f"it ended after {self._rest!r}"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def cycle(self, last: str = DONE) -> list[str]:
        """The lines up to the one that says that it waits; without that."""
        lines = []
        while (line := self.line()) not in (DONE, FAILED):
            lines.append(line)
        assert line == last, lines
        return lines


def jobs(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("redo  ")]


Start = Callable[..., Watcher]


@pytest.fixture
def watch(project: Project) -> Iterator[Start]:
    started: list[Watcher] = []

    def start(*arguments: str, **environment: str) -> Watcher:
        started.append(Watcher(project, *arguments, **environment))
        return started[-1]

    yield start
    for watcher in started:
        watcher.process.kill()
        watcher.process.communicate()


@pytest.fixture
def tree(project: Project) -> Project:
    project.write("all.do", "redo-ifchange a.o b.o\n")
    project.write("default.o.do", "redo-ifchange $2.c\ncp $2.c $3\n")
    project.write("a.c", "a\n")
    project.write("b.c", "b\n")
    return project


def test_an_edit_builds_what_depends_on_it_and_tells_what_changed_and_why(tree: Project, watch: Start) -> None:
    watcher = watch()
    assert [line for line in watcher.cycle() if line.startswith("redo  ")] == [
        "redo  all",
        "redo    a.o",
        "redo    b.o",
    ]
    tree.replace("a.c", "other\n")
    lines = watcher.cycle()
    assert lines[0] == "redo: a.c changed"
    assert "redo: all is out of date: a.o is out of date" in lines
    assert any(line.startswith("redo: a.o is out of date: a.c changed") for line in lines)
    assert jobs(lines) == ["redo  all", "redo    a.o"]
    assert tree.read("a.o") == "other\n"
    watcher.process.send_signal(signal.SIGINT)
    finish(watcher.process, status=-signal.SIGINT)


def test_what_the_goals_do_not_depend_on_starts_nothing(tree: Project, watch: Start) -> None:
    watcher = watch("a.o")
    watcher.cycle()
    lock = tree.write(".git/index.lock", "")
    tree.write("b.c", "new b\n")
    tree.write("unrelated", "x")
    (tree.path / "a.o").touch()  # a hand edit, which is told of and kept
    tree.write("a.c", "new a\n")
    lock.unlink()
    assert "a.c" in watcher.cycle()[0]


def test_outputs_and_always_targets_start_no_build(tree: Project, watch: Start) -> None:
    tree.write("all.do", "redo-always\nredo-ifchange a.o\ndate +%N\n")
    watcher = watch()
    watcher.cycle()
    tree.replace("a.c", "new\n")
    assert watcher.cycle()[0] == "redo: a.c changed"
    tree.replace("a.c", "newer\n")
    assert watcher.cycle()[0] == "redo: a.c changed"


def test_it_survives_failures_and_goes_on_when_they_are_mended(tree: Project, watch: Start) -> None:
    tree.write("default.o.do", "redo-ifchange $2.c\nif grep -q wrong $2.c; then exit 1; fi\ncp $2.c $3\n")
    tree.write("a.c", "wrong\n")
    watcher = watch()
    watcher.cycle(FAILED)
    tree.replace("a.c", "right\n")
    watcher.cycle(DONE)
    assert tree.read("a.o") == "right\n"


def test_what_a_build_that_fails_does_not_get_to_starts_one_build(tree: Project, watch: Start) -> None:
    tree.write("all.do", "redo-ifchange a.o; redo-ifchange b.o\n")
    tree.redo("all")
    tree.write("a.o.do", "redo-ifchange a.c; exit 1\n")
    watcher = watch()
    watcher.cycle(FAILED)
    tree.write("b.c", "new\n")
    lines = watcher.cycle(FAILED)
    assert lines[0] == "redo: b.c changed"
    assert jobs(lines).count("redo  all") == 1
    assert not any("changed during this build" in line for line in lines)


def test_a_missing_source_and_a_new_script_are_noticed(tree: Project, watch: Start) -> None:
    (tree.path / "b.c").unlink()
    watcher = watch()
    watcher.cycle(FAILED)
    tree.replace("b.c", "back\n")
    watcher.cycle(DONE)
    tree.replace("a.o.do", "redo-ifchange a.c\necho by another script\n")
    assert watcher.cycle(DONE)[0] == "redo: a.o.do changed"
    assert tree.read("a.o") == "by another script\n"


def test_many_changes_at_once_are_one_build(tree: Project, watch: Start) -> None:
    watcher = watch()
    watcher.cycle()
    lock = tree.write(".git/index.lock", "")
    tree.write("a.c", "new a\n")
    tree.write("b.c", "new b\n")
    lock.unlink()
    assert watcher.cycle()[0] == "redo: a.c, b.c changed"


def test_the_lock_of_a_further_worktree_holds_a_build_up(tree: Project, watch: Start) -> None:
    tree.write("main.git/worktrees/tree/HEAD", "")
    tree.write(".git", "gitdir: main.git/worktrees/tree\n")
    watcher = watch()
    watcher.cycle()
    lock = tree.write("main.git/worktrees/tree/index.lock", "")
    tree.write("a.c", "new\n")
    assert "waits for the end of what holds main.git/worktrees/tree/index.lock" in watcher.line()
    lock.unlink()
    assert watcher.cycle()[0] == "redo: a.c changed"


def test_a_lock_in_another_project_holds_nothing_up(tree: Project, watch: Start) -> None:
    other = tree.path.with_name("other")
    (other / ".git").mkdir(parents=True)
    (other / ".git/index.lock").touch()
    (other / "x.do").write_text("echo x\n")
    watcher = watch()
    watcher.cycle()
    tree.run("redo-ifchange", "x", cwd=other, check=True)
    tree.write("a.c", "new\n")
    assert watcher.cycle()[0] == "redo: a.c changed"


def test_a_lock_that_stays_is_named(tree: Project, watch: Start) -> None:
    watcher = watch()
    watcher.cycle()
    lock = tree.write(".git/index.lock", "")
    tree.write("a.c", "new\n")
    assert watcher.line() == "redo: waits for the end of what holds .git/index.lock; if nothing does, remove it"
    lock.unlink()
    assert watcher.cycle()[0] == "redo: a.c changed"


def _move_away_and_back(directory: Path) -> None:
    directory.rename(directory.with_name("away"))
    directory.with_name("away").rename(directory)


@pytest.mark.parametrize("happens", [_move_away_and_back, Path.touch, lambda directory: directory.chmod(0o700)])
def test_a_directory_to_which_something_has_happened_is_watched_on(
    project: Project, watch: Start, happens: Callable[[Path], None]
) -> None:
    project.write("all.do", "redo-ifchange dir/f\ncat dir/f\n")
    project.write("dir/f", "old\n")
    project.write("beside.do", "redo-ifchange source\n")
    project.write("source", "old\n")
    watcher = watch()
    watcher.cycle()
    other = watch("beside")
    other.cycle()
    happens(project.path / "dir")
    # When the second watch has seen a later change, the first has been through with this one.
    project.write("source", "new\n")
    other.cycle()
    project.write("dir/f", "new\n")
    assert watcher.cycle()[0] == "redo: dir/f changed"


def test_a_better_script_that_comes_with_its_directory_is_noticed(project: Project, watch: Start) -> None:
    project.write("default.do", "echo old\n")
    (project.path / "dir").mkdir()
    watcher = watch("dir/x")
    watcher.cycle()
    lock = project.write(".git/index.lock", "")
    (project.path / "dir").rename(project.path / "away")
    project.write("away/default.do", "echo new\n")
    (project.path / "away").rename(project.path / "dir")
    lock.unlink()
    assert watcher.cycle()[0] == "redo: dir/default.do changed"
    assert project.read("dir/x") == "new\n"


def test_a_project_that_is_moved_away_is_waited_for(tree: Project, watch: Start) -> None:
    watcher = watch()
    watcher.cycle()
    tree.path.rename(tree.path.with_name("away"))
    assert watcher.line() == f"redo: waits for {tree.path}, which does not exist any more"
    tree.path.with_name("away").rename(tree.path)
    tree.write("a.c", "new\n")
    assert jobs(watcher.cycle()) == ["redo  all", "redo    a.o"]
    assert not (tree.path.parent / ".redo").exists()


def test_it_ends_when_nobody_reads_what_it_says(tree: Project) -> None:
    reader, writer = os.pipe()
    process = tree.start("redo", "--watch", "a.o", stderr=writer)
    os.close(writer)
    with open(reader, encoding="utf-8") as lines:
        assert f"{DONE}\n" in iter(lines.readline, "")
    tree.write("a.c", "new\n")
    finish(process, status=-signal.SIGPIPE)


@pytest.fixture
def slow(tree: Project, pids: Fifo, go: Fifo) -> Project:
    """a.o takes as long as the test wants."""
    tree.write("a.o.do", "redo-ifchange a.c\necho $(cat a.c) >pids\nread x <go\ncp a.c $3\n")
    return tree


def test_a_change_during_a_build_lets_it_finish_first(slow: Project, watch: Start, pids: Fifo, go: Fifo) -> None:
    watcher = watch("a.o")
    assert pids.receive() == "a"
    slow.replace("a.c", "later\n")
    go.send()
    assert pids.receive() == "later"
    go.send()
    assert "redo: a.c changed" in watcher.cycle()
    assert slow.read("a.o") == "later\n"


def test_a_checkout_during_a_build_is_over_before_the_next(slow: Project, watch: Start, pids: Fifo, go: Fifo) -> None:
    slow.write("a.o.do", "redo-ifchange a.c b.c\necho $(cat a.c b.c) >pids\nread x <go\ncp a.c $3\n")
    watcher = watch("a.o")
    assert pids.receive() == "a b"
    lock = slow.write(".git/index.lock", "")
    slow.write("a.c", "later\n")
    go.send()
    assert watcher.line() == "redo: a.o is out of date: it was never built"
    assert watcher.line() == "redo  a.o"
    assert "waits for the end of what holds .git/index.lock" in watcher.line()
    slow.write("b.c", "later\n")
    lock.unlink()
    assert watcher.line() == "redo: a.c, b.c changed"
    assert pids.receive() == "later later"
    go.send()
    watcher.cycle()


def test_a_change_during_a_build_can_begin_it_again(slow: Project, watch: Start, pids: Fifo, go: Fifo) -> None:
    watcher = watch("--on-change=restart", "a.o")
    assert pids.receive() == "a"
    go.send()
    watcher.cycle()
    slow.replace("a.c", "second\n")
    assert pids.receive() == "second"
    slow.replace("a.c", "third\n")
    assert pids.receive() == "third"
    go.send()
    watcher.cycle()
    assert slow.read("a.o") == "third\n"


@pytest.mark.parametrize("watching", ["", "off"])
def test_a_source_that_a_script_keeps_writing_starts_one_more_build_and_is_named(
    tree: Project, watch: Start, watching: str
) -> None:
    tree.environment["REDOD_WATCH"] = watching
    tree.write("all.do", "redo-ifchange a.o counter\necho x >>counter\n")
    tree.write("counter", "x\n")
    watcher = watch()
    lines: list[str] = []
    while not (lines and lines[-1] in (DONE, FAILED)):
        lines.append(watcher.line())
    assert lines.count("redo: counter changed") <= 1
    assert any(line.startswith("redo: counter changed during this build, as during the one before") for line in lines)
    tree.replace("a.c", "new\n")
    assert "redo: a.c changed" in watcher.line()


def test_it_goes_on_with_the_next_server_when_one_is_killed(tree: Project, watch: Start) -> None:
    watcher = watch()
    watcher.cycle()
    tree.kill_server()
    watcher.cycle()
    tree.replace("a.c", "new\n")
    assert watcher.cycle()[0] == "redo: a.c changed"
    assert tree.read("a.o") == "new\n"


def test_redod_stop_ends_it(tree: Project, watch: Start) -> None:
    watcher = watch()
    watcher.cycle()
    tree.run("redod", "stop", check=True)
    _, err = finish(watcher.process, status=1)
    assert b"the server was stopped" in err


def test_a_service_that_ends_is_started_again(tree: Project, watch: Start, pids: Fifo) -> None:
    tree.write("serve.do", "redo-ifchange a.c\nredo-service sh -c 'echo $$ >pids; exec sleep 1000'\n")
    watcher = watch("serve")
    first = pids.receive_process()
    watcher.cycle()
    first.kill()
    assert "redo: serve ended" in watcher.cycle()
    second = pids.receive_process()
    tree.replace("a.c", "new\n")
    assert watcher.cycle()[0] == "redo: a.c changed"
    second.wait_end()
    pids.receive()


def test_what_is_watched_is_a_goal_of_save_hooks(tree: Project, watch: Start) -> None:
    watcher = watch("a.o")
    watcher.cycle()
    tree.write("b.o.do", "redo-ifchange a.c\ncp a.c $3\n")
    tree.run("redo", "b.o", check=True)
    result = tree.run("redo-affected", "--build", "b.c", check=True)
    assert b"no goal depends on b.c" in result.stderr
    assert b"no goal" not in tree.run("redo-affected", "--build", "a.c", check=True).stderr


def test_where_nothing_can_be_watched_it_looks_now_and_then(tree: Project, watch: Start) -> None:
    tree.environment["REDOD_WATCH"] = "off"
    watcher = watch()
    watcher.cycle()
    tree.replace("a.c", "new\n")
    assert watcher.cycle()[0] == "redo: a.c changed"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--watch", "--on-change=never"], 2, b"--on-change is finish or restart"),
        (["--watch", ""], 204, b"empty"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(tree: Project, arguments: list[str], status: int, message: bytes) -> None:
    result = tree.run("redo", *arguments)
    assert result.returncode == status
    assert message in result.stderr


def test_in_a_script_it_is_refused(tree: Project) -> None:
    tree.write("x.do", "redo --watch a.o\n")
    result = tree.run("redo", "x")
    assert result.returncode == 1
    assert b"--watch is for command lines" in result.stderr
