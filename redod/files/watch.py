"""Watching directories: of which files would a change be told, and what has been told.

It owns the places, that is the directories that somebody relies on, there or not, and those above them: renaming one of
those gives no event below it. It does not know which files matter, nor what an event means: whoever gets the news has
to look.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from enum import Enum
from heapq import nsmallest
from typing import NamedTuple

from redod.core.paths import directory_of, join
from redod.files.inotify import LACK, Inotify, Mask

_NAMES = Mask.CREATE | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO | Mask.ATTRIB
"""Enough above a directory that matters: its own fate, and that of names that are not there."""
_FILES = _NAMES | Mask.MODIFY | Mask.CLOSE_WRITE
"""CLOSE_WRITE tells of stores into a mapping, if they come before the file is closed."""
_ENDS = Mask.IGNORED | Mask.UNMOUNT
_HOW = Mask.ONLYDIR | Mask.DONT_FOLLOW
_OVERLAY = 0x794C7630
"""An overlay (containers) tells of what is done through it, which is enough above a directory that matters; but files
may change behind it."""
_LOCAL = frozenset({
    0xEF53,  # ext2, ext3, ext4
    0x58465342,  # xfs
    0x9123683E,  # btrfs
    0x01021994,  # tmpfs
    0x858458F6,  # ramfs
    0xF2F52010,  # f2fs
    0x2FC12FC1,  # zfs
    0xCA451A4E,  # bcachefs
    0x3153464A,  # jfs
    0x52654973,  # reiserfs
})  # fmt: skip
"""File systems that only this kernel writes to, under one name, and always through inotify. By statfs(2)."""
_EVICTED = 64
"""Places that are given up at a time when there is no room."""
_SHARE = 2
"""Of the user's watches this part is ours at most: editors and file managers need some, too."""
_LIMIT_FILE = "/proc/sys/fs/inotify/max_user_watches"


class State(Enum):
    """What is known of a place."""

    WATCHED = "what happens to the names in it is told"
    ABSENT = "there is no such directory, and one that comes is told of where the next place above is"
    UNSEEN = "it cannot be watched"
    NO_ROOM = "it is not watched because there are too many"


class News(NamedTuple):
    """`paths`: names to which something has happened. `lost`: places where it is unknown what has happened."""

    paths: list[bytes]
    lost: list[bytes]


class _Place:
    __slots__ = ("above", "below", "is_asked", "is_full", "is_local", "path", "state", "used", "watch")

    def __init__(self, path: bytes, above: "_Place | None") -> None:
        self.path = path
        self.above = above
        self.below: set[_Place] = set()
        self.state = State.UNSEEN
        self.watch = -1
        self.is_local = False
        self.is_asked = False
        """Somebody wants to know of its files, not only whether it stays where it is."""
        self.is_full = False
        """Watched for its files, not only on behalf of places below."""
        self.used = 0


class Watcher:
    """`limit`: the most directories to watch; None: a share of what the user may. Raises OSError without inotify."""

    def __init__(self, limit: int | None = None) -> None:
        self._kernel = Inotify()
        self._wished = limit
        self._limit = self._allowed()
        self._is_short = False
        """The kernel had no more."""
        self._places: dict[bytes, _Place] = {}
        self._by_watch: dict[int, _Place] = {}
        self._turn = 0
        self._evicted = 0
        """The turn in which places were given up last."""
        self._given_up: list[bytes] = []
        """Those, until they are told of."""

    def fileno(self) -> int:
        return self._kernel.fileno()

    @property
    def watched(self) -> int:
        """How many directories are watched."""
        return len(self._by_watch)

    def count(self, state: State) -> int:
        return sum(place.state is state for place in self._places.values())

    @property
    def unseen(self) -> int:
        """How many directories somebody wants to know of and that are of a kind of which not all is told."""
        return sum(
            place.is_asked and (place.state is State.UNSEEN or (place.state is State.WATCHED and not place.is_local))
            for place in self._places.values()
        )

    def next_turn(self) -> None:
        """Another session begins: what none has looked at lately is given up first."""
        self._turn += 1
        if self._is_short:
            # By now others may need less, or the user may have more.
            self._is_short = False
            self._limit = self._allowed()

    def covers(self, directory: bytes) -> bool:
        """Whether everything that happens to the files of this directory from now on will be told.

        Canonical, absolute; it need not exist. It is watched from now on where that is possible.
        """
        place = self._places.get(directory)
        if place is None or (place.state is State.NO_ROOM and (self._has_room() or self._evicted < self._turn)):
            place = self._enter(directory)
        place.used = self._turn
        place.is_asked = True
        if place.state is State.WATCHED:
            return place.is_full or (place.is_local and self._fill(place))
        while place.state is State.ABSENT and place.above is not None:
            place = place.above
        return place.state is State.WATCHED and place.is_local

    def read(self) -> News | None:
        """All that has happened until now. Never waits."""
        found = self._kernel.read()
        if not found and not self._given_up:
            return None
        paths: dict[bytes, None] = {}
        lost, self._given_up = self._given_up, []
        for watch, mask, name in found:
            place = self._by_watch.get(watch)
            if place is None:
                if mask & Mask.Q_OVERFLOW:
                    self._lose_all(lost)
            elif mask & _ENDS:
                self._lose(place, lost)
            elif name:
                path = join(place.path, name)
                paths[path] = None
                below = self._places.get(path)
                if below is not None and mask & _NAMES:
                    self._lose(below, lost)
        return News(list(paths), lost) if paths or lost else None

    def give_up(self, directories: Iterable[bytes]) -> None:
        """Watch these no more, nor what is watched only because it is above them. The next news say so."""
        for directory in sorted(directories, key=len, reverse=True):
            place = self._places.get(directory)
            while place is not None and not place.below and (place.path == directory or not place.is_full):
                self._lose(place, self._given_up)
                place = place.above

    def close(self) -> None:
        self._kernel.close()

    def _enter(self, directory: bytes) -> _Place:
        """Make a place and those above it."""
        missing = [directory]
        while directory != b"/":
            directory = directory_of(directory)
            found = self._places.get(directory)
            if found is not None and found.state is not State.NO_ROOM:
                break
            missing.append(directory)
        above = None if missing[-1] == b"/" else self._places[directory]
        for path in reversed(missing):
            above = self._enter_one(path, above)
        assert above is not None
        return above

    def _enter_one(self, path: bytes, above: _Place | None) -> _Place:
        place = self._places.get(path)
        if place is None:
            place = self._places[path] = _Place(path, above)
        if above is not None:
            above.below.add(place)
        if above is None or above.state is State.WATCHED:
            self._watch(place)
        else:
            place.state = above.state
        return place

    def _watch(self, place: _Place) -> None:
        """Begin to watch: whoever looks afterwards misses nothing."""
        if not self._has_room() and not self._make_room():
            place.state = State.NO_ROOM
            return
        try:
            # The inode may be watched under another path, through a bind mount: then that one keeps the watch.
            place.watch = self._kernel.add(place.path, _NAMES | _HOW | Mask.MASK_CREATE)
        except OSError as error:
            place.state = self._unwatched(place.path, error.errno)
            return
        kind = self._kernel.file_system(place.path)
        place.is_local = kind in _LOCAL
        if place.is_local or kind == _OVERLAY:
            place.state = State.WATCHED
            self._by_watch[place.watch] = place
        else:
            self._kernel.remove(place.watch)
            place.state, place.watch = State.UNSEEN, -1

    def _unwatched(self, path: bytes, number: int | None) -> State:
        if number == errno.ENOENT:
            return State.ABSENT
        if number in LACK:
            self._is_short = True
            self._limit = len(self._by_watch)
            return State.NO_ROOM
        if number == errno.ENOTDIR:
            # A link may lead to a directory elsewhere; below anything else there is nothing.
            return State.ABSENT if _is_no_link(path) else State.UNSEEN
        return State.UNSEEN

    def _fill(self, place: _Place) -> bool:
        """Watch the files of a place, too; whether they are."""
        try:
            watch = self._kernel.add(place.path, _FILES | _HOW)
        except OSError:
            return False
        if watch != place.watch:
            # Another directory by now; the events that tell so are on their way.
            if watch not in self._by_watch:
                self._kernel.remove(watch)
            return False
        place.is_full = True
        return True

    def _lose_all(self, lost: list[bytes]) -> None:
        root = self._places.get(b"/")
        if root is not None:
            self._lose(root, lost)

    def _lose(self, place: _Place, lost: list[bytes]) -> None:
        """Give up a place and all below it."""
        if place.above is not None:
            place.above.below.discard(place)
        for here in _tree(place):
            del self._places[here.path]
            lost.append(here.path)
            if here.watch >= 0:
                del self._by_watch[here.watch]
                self._kernel.remove(here.watch)

    def _allowed(self) -> int:
        return _share() if self._wished is None else self._wished

    def _has_room(self) -> bool:
        return len(self._by_watch) < self._limit

    def _make_room(self) -> bool:
        """Give up what was used least lately, in an earlier turn; once a turn, lest places take each other's room."""
        if self._evicted == self._turn:
            return False
        self._evicted = self._turn
        idle = (place for place in self._by_watch.values() if not place.below and place.used < self._turn)
        for place in nsmallest(_EVICTED, idle, key=lambda place: place.used):
            self._lose(place, self._given_up)
        return self._has_room()


def _tree(place: _Place) -> Iterator[_Place]:
    todo = [place]
    while todo:
        here = todo.pop()
        yield here
        todo.extend(here.below)


def _is_no_link(path: bytes) -> bool:
    try:
        return not stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False


def _share() -> int:
    try:
        with open(_LIMIT_FILE, encoding="ascii") as file:
            return int(file.read()) // _SHARE
    except (OSError, ValueError):
        return 8192 // _SHARE
