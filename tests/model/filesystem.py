"""Simulated files and their clock: what the simulation looks at instead of a disk.

Beside what lstat(2) would say it knows the truth that stamps only approximate: `state_of` and `source_state`.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

from redod.core.stamps import DIRECTORY, MISSING, Stamp, is_racy

REGULAR = stat.S_IFREG | 0o644
LINK = stat.S_IFLNK | 0o777
ALIAS, BEHIND_ALIAS = b"/p/link/", b"/p/d/"
"""Another way into a directory: a symbolic link, on a disk."""
_MOST_LINKS = 8
"""As many symbolic links in a row lead somewhere; a circle of them leads nowhere."""

State = tuple[object, ...]


@dataclass(slots=True, eq=False)
class Inode:
    """`edition` counts what was done to it, other than making and removing links. `to`: where a symbolic link leads."""

    content: bytes
    stamp: Stamp
    to: bytes = b""
    edition: int = 0


@dataclass(slots=True)
class Files:
    """Files, links and directories by absolute path. Who reads what has no content reads `-`.

    `tick`: the resolution of the clock in nanoseconds. Every change takes a microsecond.
    """

    tick: int = 1
    now: int = 1_000_000_000_000
    touched: list[bytes] = field(default_factory=list)
    """What whoever watches is to be told of, once for each time that something happens to a name."""
    _inodes: dict[bytes, Inode] = field(default_factory=dict)
    _number: int = 10

    def clock(self) -> int:
        self.now += 1000
        return self.now // self.tick * self.tick

    # Changes. All of them may be asked for whatever is there; what a disk would refuse does nothing.

    def write(self, path: bytes, content: bytes, *, in_place: bool = False) -> None:
        """A new file, or (`in_place`) new bytes in the old inode."""
        found = self._inodes.get(path)
        if in_place and found is not None and self.is_regular(path):
            now = self.clock()
            self.touched.append(path)
            found.content, found.edition = content, found.edition + 1
            found.stamp = found.stamp._replace(mtime_ns=now, ctime_ns=now, size=len(content))
        else:
            self._put(path, self._made(content, REGULAR, len(content)))

    def symlink(self, path: bytes, to: bytes) -> None:
        """`to`: absolute."""
        self._put(path, self._made(b"", LINK, len(to), to))

    def hard_link(self, path: bytes, to: bytes) -> None:
        """`path` becomes another name of `to`."""
        found = self._inodes[to]
        if self._inodes.get(path) is not found:
            found.stamp = found.stamp._replace(ctime_ns=self.clock(), nlink=found.stamp.nlink + 1)
            # Inotify would not tell: what is written through a link that was made since the last look is missed.
            self.touched.append(to)
            self._put(path, found)

    def link(self, path: bytes) -> None:
        """Somebody made a hard link elsewhere: no change of the file."""
        if self.is_regular(path):
            stamp = self._inodes[path].stamp
            self._inodes[path].stamp = stamp._replace(ctime_ns=self.clock(), nlink=stamp.nlink + 1)

    def mkdir(self, path: bytes) -> None:
        if not self.is_directory(path):
            self._put(path, Inode(b"-", DIRECTORY))

    def remove(self, path: bytes) -> None:
        found = self._inodes.pop(path, None)
        self.touched.append(path)
        if found is not None and not found.stamp.is_directory:
            found.stamp = found.stamp._replace(ctime_ns=self.clock(), nlink=found.stamp.nlink - 1)

    def rename(self, old: bytes, new: bytes) -> None:
        moved, there = self._inodes.get(old), self._inodes.get(new)
        if moved is None or moved is there or self.is_directory(old) or self.is_directory(new):
            return
        # rename(2) sets the ctime on the file systems that matter, and nothing else. Of a file with several names, of
        # which one is renamed, that is no change.
        moved.stamp, moved.edition = (
            moved.stamp._replace(ctime_ns=self.clock()),
            moved.edition + (moved.stamp.nlink == 1),
        )
        self.touched.append(old)
        self._put(new, self._inodes.pop(old))

    def change(self, path: bytes, *, mtime_ns: int | None = None, mode: int | None = None) -> None:
        """utimensat(2) or chmod(2)."""
        if self.is_regular(path):
            found = self._inodes[path]
            stamp = found.stamp._replace(ctime_ns=self.clock())
            stamp = stamp if mtime_ns is None else stamp._replace(mtime_ns=mtime_ns)
            found.stamp = stamp if mode is None else stamp._replace(mode=stat.S_IFREG | mode)
            found.edition += 1
            self.touched.append(path)

    def wait(self) -> None:
        """Nothing happens for so long that what follows can be told from what was."""
        self.now += 100_000_000

    # What is there.

    def exists(self, path: bytes) -> bool:
        return path in self._inodes

    def is_directory(self, path: bytes) -> bool:
        found = self._inodes.get(path)
        return found is not None and found.stamp.is_directory

    def is_regular(self, path: bytes) -> bool:
        found = self._inodes.get(path)
        return found is not None and not found.to and not found.stamp.is_directory

    def leads_to_file(self, path: bytes) -> bool:
        found = self._referent(path)
        return found is not None and not found.stamp.is_directory

    def read(self, path: bytes) -> bytes:
        found = self._referent(path)
        return b"-" if found is None else found.content

    def stamp(self, path: bytes) -> Stamp:
        found = self._inodes.get(path)
        if found is None:
            return MISSING
        if not found.to:
            return found.stamp
        referent = self._referent(path)
        return found.stamp._replace(referent=MISSING if referent is None else referent.stamp)

    def look(self, path: bytes, previous: Stamp | None) -> Stamp:
        """The stamp of a source, with its content where the stamp alone may not tell."""
        stamp = self.stamp(path)
        racy = is_racy(stamp, self.now) or (previous is not None and bool(previous.content))
        return stamp._replace(content=self.read(path)) if racy else stamp

    def state_of(self, path: bytes) -> State:
        """What a stamp tells of a target: not its ctime, not its links."""
        found = self._inodes.get(path)
        if found is None:
            return ()
        return _state(found) + _state(self._referent(path)) if found.to else _state(found)

    def source_state(self, path: bytes) -> State:
        """What makes a source another one: also a change that left size and mtime as they were."""
        found = self._inodes.get(path)
        state = _edition(found)
        return state + _edition(self._referent(path)) if found is not None and found.to else state

    @property
    def contents(self) -> dict[bytes, bytes]:
        """What a listing with all bytes shows."""
        return {path: b"-> " + inode.to if inode.to else inode.content for path, inode in self._inodes.items()}

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._inodes)

    def copy(self) -> "Files":
        twins = {found: Inode(found.content, found.stamp, found.to, found.edition) for found in self._inodes.values()}
        return replace(self, _inodes={path: twins[inode] for path, inode in self._inodes.items()}, touched=[])

    def _made(self, content: bytes, mode: int, size: int, to: bytes = b"") -> Inode:
        now = self.clock()
        self._number += 1
        return Inode(content, Stamp(now, size, self._number, mode, 0, 0, now, 1), to)

    def _put(self, path: bytes, inode: Inode) -> None:
        self.remove(path)
        self._inodes[path] = inode

    def _referent(self, path: bytes) -> Inode | None:
        found = self._inodes.get(path)
        for _ in range(_MOST_LINKS):
            if found is None or not found.to:
                return found
            found = self._inodes.get(found.to)
        return None


def _state(inode: Inode | None) -> State:
    if inode is None:
        return ()
    stamp = inode.stamp
    return stamp.inode, stamp.mtime_ns, stamp.size, stamp.mode


def _edition(inode: Inode | None) -> State:
    return () if inode is None else (inode.stamp.inode, inode.edition)


class Edit(NamedTuple):
    """One thing that a user does; `argument`: the new bytes, or another path."""

    verb: str
    path: bytes
    argument: bytes = b""

    def apply(self, files: Files) -> None:
        path, argument = self.path, self.argument
        match self.verb:
            case "write":
                files.write(path, argument)
            case "rewrite":
                files.write(path, argument, in_place=True)
            case "restore":
                before = files.stamp(path).mtime_ns
                if files.is_regular(path):
                    files.write(path, argument, in_place=True)
                    files.change(path, mtime_ns=before)
            case "remove":
                files.remove(path)
            case "mkdir":
                files.mkdir(path)
            case "rename":
                files.rename(path, argument)
            case "touch":
                files.change(path, mtime_ns=files.stamp(path).mtime_ns + 1_000_000_000)
            case "chmod":
                files.change(path, mode=(files.stamp(path).mode & 0o777) ^ 0o111)
            case "link":
                files.link(path)
            case "symlink":
                files.symlink(path, argument)
            case _:
                assert self.verb == "wait", self.verb
                files.wait()


@cache
def resolve(directory: bytes, name: bytes) -> bytes:
    """The one name of what a script that runs in `directory` calls `name`."""
    pieces: list[bytes] = []
    for piece in (directory + b"/" + name).split(b"/"):
        if piece == b"..":
            pieces.pop()
        elif piece != b".":
            pieces.append(piece)
    path = b"/".join(pieces)
    return BEHIND_ALIAS + path[len(ALIAS) :] if path.startswith(ALIAS) else path
