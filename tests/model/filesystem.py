"""Simulated files and their clock: what the simulation looks at instead of a disk."""

import stat
from dataclasses import dataclass, field, replace

from redod.core.stamps import DIRECTORY, MISSING, Stamp, is_racy

REGULAR = stat.S_IFREG | 0o644


@dataclass(slots=True)
class Files:
    """Regular files and directories by absolute path.

    `tick`: the resolution of the clock in nanoseconds. Every write takes a microsecond. `edition` counts what happened
    to a path: the truth that stamps only approximate.
    """

    tick: int = 1
    now: int = 1_000_000_000_000
    contents: dict[bytes, bytes] = field(default_factory=dict)
    edition: dict[bytes, int] = field(default_factory=dict)
    _stamps: dict[bytes, Stamp] = field(default_factory=dict)
    _inode: int = 10

    def clock(self) -> int:
        self.now += 1000
        return self.now // self.tick * self.tick

    def write(self, path: bytes, content: bytes, *, in_place: bool = False) -> None:
        """A new file, or (`in_place`) new bytes in the old inode."""
        now, old = self.clock(), self._stamps.get(path)
        if in_place and old is not None and not old.is_directory:
            stamp = old._replace(mtime_ns=now, ctime_ns=now, size=len(content))
        else:
            self._inode += 1
            stamp = Stamp(now, len(content), self._inode, REGULAR, 0, 0, now, 1)
        self.contents[path], self._stamps[path] = content, stamp
        self._count(path)

    def mkdir(self, path: bytes) -> None:
        # Who reads it reads what it would of nothing.
        self.contents[path], self._stamps[path] = b"-", DIRECTORY
        self._count(path)

    def remove(self, path: bytes) -> None:
        if self._stamps.pop(path, None) is not None:
            self.clock()
            del self.contents[path]
            self._count(path)

    def rename(self, old: bytes, new: bytes) -> None:
        stamp, content = self._stamps.pop(old), self.contents.pop(old)
        # rename(2) sets the ctime on the file systems that matter, and nothing else.
        self._stamps[new] = stamp if stamp.is_directory else stamp._replace(ctime_ns=self.clock())
        self.contents[new] = content
        self._count(old)
        self._count(new)

    def change(self, path: bytes, *, mtime_ns: int | None = None, mode: int | None = None) -> None:
        """utimensat(2) or chmod(2)."""
        stamp = self._stamps[path]._replace(ctime_ns=self.clock())
        stamp = stamp if mtime_ns is None else stamp._replace(mtime_ns=mtime_ns)
        self._stamps[path] = stamp if mode is None else stamp._replace(mode=stat.S_IFREG | mode)
        self._count(path)

    def link(self, path: bytes) -> None:
        """Somebody made a hard link elsewhere: no change of the file."""
        stamp = self._stamps[path]
        self._stamps[path] = stamp._replace(ctime_ns=self.clock(), nlink=stamp.nlink + 1)

    def exists(self, path: bytes) -> bool:
        return path in self._stamps

    def is_directory(self, path: bytes) -> bool:
        return self.stamp(path).is_directory

    def stamp(self, path: bytes) -> Stamp:
        return self._stamps.get(path, MISSING)

    def look(self, path: bytes, previous: Stamp | None) -> Stamp:
        """The stamp of a source, with its content where the stamp alone may not tell."""
        stamp = self.stamp(path)
        racy = is_racy(stamp, self.now) or (previous is not None and bool(previous.content))
        return stamp._replace(content=self.contents[path] or b"-") if racy and path in self.contents else stamp

    def copy(self) -> "Files":
        return replace(self, contents=dict(self.contents), edition=dict(self.edition), _stamps=dict(self._stamps))

    def _count(self, path: bytes) -> None:
        self.edition[path] = self.edition.get(path, 0) + 1
