"""Capture files: the anonymous files that take scripts' standard output, used again while nobody else has them.

It owns which are free. A new file for each job would be simpler, but on ext4 an inode that was just deleted is skipped
for five seconds, one by one (`recently_deleted`): with many jobs a second a fifth of all time went into that search.
"""

import errno
import fcntl
import os
import tempfile
from typing import NamedTuple

from redod.files.outputs import size

_KEPT = 64
"""Free files kept open, of all directories."""


class Capture(NamedTuple):
    """`own`: ours, to read what was written; `script`: another description of the same file, for the script only."""

    own: int
    script: int
    directory: bytes


class Captures:
    """The free capture files, by the directory that they were made in."""

    def __init__(self) -> None:
        self._free: dict[bytes, list[int]] = {}
        self._kept = 0
        self._descriptors = -1
        """/proc/self/fd, while files are kept: looking up two directories for each would cost a third more."""

    def take(self, directory: bytes) -> Capture:
        """An empty file on the file system of `directory`. Raises OSError."""
        own = self._pop(directory) if directory in self._free else capture_file(directory)
        try:
            if self._descriptors < 0:
                self._descriptors = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            script = os.open(b"%d" % own, os.O_RDWR | os.O_CLOEXEC, dir_fd=self._descriptors)
        except OSError:
            os.close(own)
            raise
        return Capture(own, script, directory)

    def give_back(self, capture: Capture) -> None:
        """The job is over, and `capture.script` is closed here. The file is used again if nobody else has it open."""
        if self._kept >= _KEPT:
            os.close(self._pop(next(iter(self._free))))
        if _is_ours_alone(capture.own):
            if size(capture.own):
                os.ftruncate(capture.own, 0)
            self._free.setdefault(capture.directory, []).append(capture.own)
            self._kept += 1
        else:
            os.close(capture.own)

    def _pop(self, directory: bytes) -> int:
        free = self._free[directory]
        own = free.pop()
        self._kept -= 1
        if not free:
            # So that the first directory is one that has not been built in for a while.
            del self._free[directory]
        return own

    def close_all(self) -> None:
        """Keep no files at all."""
        while self._free:
            os.close(self._pop(next(iter(self._free))))
        if self._descriptors >= 0:
            os.close(self._descriptors)
            self._descriptors = -1


def capture_file(directory: bytes) -> int:
    """A descriptor of a new file without a name, on the file system of `directory` (so that copies can share blocks).

    Raises OSError.
    """
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        # EISDIR: a kernel or file system without O_TMPFILE sees an attempt to open a directory.
        if problem.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            raise
    number, path = tempfile.mkstemp(dir=directory)
    os.unlink(path)
    return number


def _is_ours_alone(number: int) -> bool:
    """A write lease is granted only while no other open file description of the file exists (fcntl(2), F_SETLEASE)."""
    try:
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True
