"""The watcher on a real file system: whatever happens to a covered name is told, and before it is asked for."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from redod.files.inotify import Inotify, Mask
from redod.files.watch import State, Watcher


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    yield made
    made.close()


def covers(watcher: Watcher, path: Path) -> bool:
    return watcher.covers(os.fsencode(path))


def told(watcher: Watcher, top: Path) -> tuple[set[str], set[str]]:
    """The names told of, and the directories lost, both below `top` and relative to it."""
    news = watcher.read()
    if news is None:
        return set(), set()
    start = f"{top}/"
    return tuple(  # type: ignore[return-value]  # of two
        {name.removeprefix(start) for name in map(os.fsdecode, found) if name.startswith(start)} for found in news
    )


def test_each_kind_of_change_to_a_name_is_told(watcher: Watcher, tmp_path: Path) -> None:
    for name in ("written", "touched", "chmodded", "removed", "renamed", "replaced"):
        (tmp_path / name).write_text("old")
    assert covers(watcher, tmp_path)
    assert told(watcher, tmp_path) == (set(), set())
    (tmp_path / "written").write_text("new")
    os.utime(tmp_path / "touched")
    (tmp_path / "chmodded").chmod(0o600)
    (tmp_path / "removed").unlink()
    (tmp_path / "renamed").rename(tmp_path / "elsewhere")
    (tmp_path / "new").write_text("")
    (tmp_path / "new").rename(tmp_path / "replaced")
    os.mkfifo(tmp_path / "fifo")
    names = {"written", "touched", "chmodded", "removed", "renamed", "elsewhere", "new", "replaced", "fifo"}
    assert told(watcher, tmp_path) == (names, set())
    assert told(watcher, tmp_path) == (set(), set())


def test_a_store_into_a_mapping_is_told_when_the_file_is_closed(watcher: Watcher, tmp_path: Path) -> None:
    import mmap

    (tmp_path / "mapped").write_bytes(b"old")
    assert covers(watcher, tmp_path)
    with (tmp_path / "mapped").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[:] = b"new"
    assert told(watcher, tmp_path)[0] == {"mapped"}


def test_a_name_in_a_directory_that_is_not_there_is_told_of(watcher: Watcher, tmp_path: Path) -> None:
    assert covers(watcher, tmp_path / "a/b")
    (tmp_path / "a/b").mkdir(parents=True)
    assert told(watcher, tmp_path)[1] == {"a", "a/b"}
    assert covers(watcher, tmp_path / "a/b")
    (tmp_path / "a/b/c").write_text("")
    assert told(watcher, tmp_path)[0] == {"a/b/c"}


@pytest.mark.parametrize("how", ["renamed", "removed", "replaced", "moved in", "chmodded"])
def test_what_happens_to_a_directory_above_loses_all_below_it(watcher: Watcher, tmp_path: Path, how: str) -> None:
    (tmp_path / "other/b").mkdir(parents=True)
    if how != "moved in":
        (tmp_path / "a/b").mkdir(parents=True)
    assert covers(watcher, tmp_path / "a/b")
    match how:
        case "renamed":
            (tmp_path / "a").rename(tmp_path / "z")
        case "removed":
            shutil.rmtree(tmp_path / "a")
        case "replaced":
            (tmp_path / "a").rename(tmp_path / "z")
            (tmp_path / "other").rename(tmp_path / "a")
        case "moved in":
            (tmp_path / "other").rename(tmp_path / "a")
        case _:
            (tmp_path / "a").chmod(0o700)
    assert {"a", "a/b"} <= told(watcher, tmp_path)[1]
    assert covers(watcher, tmp_path / "a/b")
    (tmp_path / "a/b").mkdir(parents=True, exist_ok=True)
    told(watcher, tmp_path)
    assert covers(watcher, tmp_path / "a/b")
    (tmp_path / "a/b/new").write_text("")
    assert told(watcher, tmp_path)[0] == {"a/b/new"}


def test_below_a_symbolic_link_nothing_is_covered_and_its_end_is_told(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert not covers(watcher, tmp_path / "link")
    assert not covers(watcher, tmp_path / "link/below")
    (tmp_path / "link").unlink()
    assert told(watcher, tmp_path)[1] == {"link", "link/below"}
    assert covers(watcher, tmp_path / "link")


def test_below_a_file_there_is_nothing_until_it_goes(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    assert covers(watcher, tmp_path / "f")
    (tmp_path / "f").unlink()
    assert told(watcher, tmp_path)[1] == {"f"}


@pytest.mark.parametrize("directory", ["/proc/self", "/sys/kernel"])
def test_other_file_systems_are_not_covered(watcher: Watcher, directory: str) -> None:
    assert not watcher.covers(directory.encode())


def test_after_an_overflow_everything_is_lost_and_watched_anew(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert covers(watcher, tmp_path / "a")
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
        most = int(file.read())
    names = [tmp_path / "a" / str(number) for number in range(2)]
    for number in range(most):
        # Two names in turn: equal events one after the other are merged.
        names[number % 2].write_bytes(b"x")
    assert "a" in told(watcher, tmp_path)[1]
    assert covers(watcher, tmp_path / "a")
    told(watcher, tmp_path)
    names[0].write_bytes(b"y")
    assert told(watcher, tmp_path) == ({"a/0"}, set())


def test_an_overflow_among_events_loses_everything(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert covers(watcher, tmp_path)
    monkeypatch.setattr(Inotify, "read", lambda _: [(-1, Mask.Q_OVERFLOW, b"")])
    news = watcher.read()
    assert news is not None
    assert {b"/", os.fsencode(tmp_path)} <= set(news.lost)


@pytest.mark.parametrize("mask", [Mask.UNMOUNT, Mask.IGNORED])
def test_a_watch_that_the_kernel_ends_loses_its_directory(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: Mask
) -> None:
    assert covers(watcher, tmp_path)
    number = next(watch for watch, place in watcher._by_watch.items() if place.path == os.fsencode(tmp_path))
    monkeypatch.setattr(Inotify, "read", lambda _: [(number, mask, b"")])
    news = watcher.read()
    assert news is not None
    assert news.lost == [os.fsencode(tmp_path)]


def test_what_the_kernel_had_no_watch_for_is_watched_in_a_later_turn_if_it_has(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(kernel: Inotify, path: bytes, mask: int) -> int:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as lacking:
        lacking.setattr(Inotify, "add", add)
        watcher.next_turn()
        assert not covers(watcher, tmp_path)
    assert not covers(watcher, tmp_path)
    watcher.next_turn()
    assert covers(watcher, tmp_path)
    assert watcher.count(State.NO_ROOM) == 0


def test_beyond_its_limit_what_was_used_least_lately_is_given_up(tmp_path: Path) -> None:
    above = len(tmp_path.parts)
    watcher = Watcher(above + 2)
    directories = [tmp_path / name for name in "abcd"]
    for directory in directories:
        directory.mkdir()
    assert [covers(watcher, directory) for directory in directories] == [True, True, False, False]
    assert watcher.count(State.NO_ROOM) == 2
    watcher.next_turn()
    assert covers(watcher, directories[1])
    assert covers(watcher, directories[2])
    assert told(watcher, tmp_path)[1] == {"a"}
    assert not covers(watcher, directories[3])
    (directories[2] / "f").write_text("")
    assert told(watcher, tmp_path)[0] == {"c/f"}
    watcher.close()


def test_directories_of_an_overlay_are_told_of_as_not_covered(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inotify, "file_system", lambda kernel, path: 0x794C7630)
    assert not covers(watcher, tmp_path)
    assert watcher.unseen == 1
    assert watcher.watched == len(tmp_path.parts)


def test_without_any_room_nothing_is_covered(tmp_path: Path) -> None:
    watcher = Watcher(0)
    assert not covers(watcher, tmp_path)
    assert watcher.watched == 0
    watcher.close()


def test_events_of_any_number_are_read_without_waiting(tmp_path: Path) -> None:
    queue = Inotify()
    watch = queue.add(os.fsencode(tmp_path), Mask.CREATE)
    assert queue.read() == []
    names = [b"%d" % number + b"x" * 240 for number in range(1000)]
    for name in names:
        os.mkdir(os.path.join(os.fsencode(tmp_path), name))
    assert [name for number, _, name in queue.read() if number == watch] == names
    assert queue.read() == []
    queue.close()


def test_what_is_given_up_is_watched_no_more_and_neither_is_what_was_only_above_it(
    watcher: Watcher, tmp_path: Path
) -> None:
    for name in ("a/b/c", "a/d"):
        (tmp_path / name).mkdir(parents=True)
    top, low, other = tmp_path, tmp_path / "a/b/c", tmp_path / "a/d"
    assert covers(watcher, top)
    before = watcher.watched
    assert covers(watcher, low)
    assert covers(watcher, other)
    assert watcher.watched == before + 4
    watcher.give_up([os.fsencode(top / "a"), os.fsencode(low)])
    assert told(watcher, tmp_path) == (set(), {"a/b", "a/b/c"})
    assert watcher.watched == before + 2
    watcher.give_up([os.fsencode(other), os.fsencode(top / "never")])
    assert told(watcher, tmp_path) == (set(), {"a/d", "a"})
    assert watcher.watched == before
    assert covers(watcher, low)
    (low / "new").write_text("")
    assert told(watcher, tmp_path) == ({"a/b/c/new"}, set())
