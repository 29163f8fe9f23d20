"""The `made` journal: a line of text for each target that was about to be put in place.

It owns that file. It does not know what a target is, nor whether the file that a line tells of is still there. A line
is written before the target's rename, so that a file that we made is known as ours whatever happens next, also
when the database is lost.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from redod.core.paths import show
from redod.core.stamps import Stamp
from redod.failpoints import reach
from redod.store import StoreError
from redod.store.ownership import open_file

_HEADER = b"redod made 1 "
_GENERATIONS = 1 << 63
"""As many as a number of the database can tell apart: what is not below it is damage."""


class Mark(NamedTuple):
    """A place in a journal: the journal's generation and an offset in bytes. Generation 0: no journal."""

    generation: int
    offset: int


class Print(NamedTuple):
    """What tells one file from another: mtime in nanoseconds, size in bytes, inode."""

    mtime_ns: int
    size: int
    inode: int


class Entry(NamedTuple):
    """One line: the file, and its name as the store writes names."""

    file: Print
    name: bytes


def print_of(stamp: Stamp) -> Print:
    return Print(stamp.mtime_ns, stamp.size, stamp.inode)


class Journal:
    """The open journal. One process at a time has it open (the workspace's lock sees to that)."""

    def __init__(self, path: bytes) -> None:
        """Open or make the journal at `path`; a torn last line is cut off. Raises StoreError.

        `generation` names the sequence of bytes that the offsets count in; it is new for each new file, so that an
        offset that the database remembers is never taken for one in another file. 0: the file is damaged; it
        can be read, but is to be replaced.
        """
        self._path = path
        self.generation = 0
        self.length = 0
        self._descriptor = self._open()

    def append(self, name: bytes, file: Print) -> int:
        """Write one line; returns the offset where it begins. Raises StoreError."""
        line = _line(file, name)
        offset = self.length
        reach("intent.before")
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):
                raise OSError(0, f"only {written} of {len(line)} bytes were written")
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, offset)
            raise StoreError(f"cannot write {show(self._path)}: {error.strerror}; is the disk full?") from error
        self.length += len(line)
        reach("intent.after")
        return offset

    def entries(self, since: Mark) -> list[Entry]:
        """The lines from `since` on, or all of them if it is a place in another journal. Unreadable ones are left out.

        Raises StoreError.
        """
        start = since.offset if since.generation and since.generation == self.generation else 0
        found = (_parse(line) for line in self._read(start).split(b"\n"))
        return [entry for entry in found if entry is not None]

    def replace(self, entries: Iterable[Entry], keep_from: int) -> int:
        """Start a new generation with `entries`, then the bytes of this one from offset `keep_from` on.

        Returns the offset where the kept bytes begin. Raises StoreError; then the journal is as it was.
        """
        generation, kept = time.time_ns(), self._read(keep_from)
        temporary = self._path + b".new"
        try:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            descriptor = open_file(temporary, os.O_RDWR | os.O_APPEND)
            try:
                with open(descriptor, "wb", closefd=False) as file:
                    file.write(b"%s%d\n" % (_HEADER, generation))
                    file.writelines(_line(*entry) for entry in entries)
                    start = file.tell()
                    file.write(kept)
                os.fsync(descriptor)
                reach("compaction.written")
                os.rename(temporary, self._path)
                reach("compaction.renamed")
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise StoreError(f"cannot write {show(temporary)}: {error.strerror}") from error
        os.close(self._descriptor)
        self._descriptor, self.generation, self.length = descriptor, generation, start + len(kept)
        return start

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        try:
            descriptor = open_file(self._path, os.O_RDWR | os.O_APPEND)
            try:
                self._descriptor = descriptor
                self._examine(os.fstat(descriptor).st_size)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise StoreError(f"cannot open {show(self._path)}: {error.strerror}") from error
        return descriptor

    def _examine(self, size: int) -> None:
        content = self._read(0) if size else b""
        self.length = content.rfind(b"\n") + 1
        if self.length != size:
            os.ftruncate(self._descriptor, self.length)
        if not self.length:
            reach("made.empty")
            self.generation = time.time_ns()
            self.length = os.write(self._descriptor, b"%s%d\n" % (_HEADER, self.generation))
            reach("made.created")
            return
        number = content[len(_HEADER) : content.find(b"\n")]
        if content.startswith(_HEADER) and number.isdigit() and (generation := int(number[:20])) < _GENERATIONS:
            self.generation = generation

    def _read(self, start: int) -> bytes:
        pieces = []
        try:
            while piece := os.pread(self._descriptor, 1 << 24, start):
                pieces.append(piece)
                start += len(piece)
        except OSError as error:
            raise StoreError(f"cannot read {show(self._path)}: {error.strerror}") from error
        return b"".join(pieces)


def _line(file: Print, name: bytes) -> bytes:
    name = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    return b"%d %d %d %s\n" % (*file, name)


def _parse(line: bytes) -> Entry | None:
    fields = line.split(b" ", 3)
    try:
        mtime_ns, size, inode = map(int, fields[:3])
        name = fields[3]
    except (ValueError, IndexError):
        return None
    if b"\\" in name:
        # Split at the escaped backslashes first, so that the `\n` in `\\n` is not taken for a newline.
        name = b"\\".join(part.replace(b"\\n", b"\n") for part in name.split(b"\\\\"))
    return Entry(Print(mtime_ns, size, inode), name)
