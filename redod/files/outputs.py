"""Putting in place what a script made: its stdout, or `$3`, becomes the target.

Nothing is decided here (see `redod.core.outcome`) and nothing recorded: installing has two steps, staging and `commit`,
so that the caller can write down its intent between them. Every function blocks; those that copy or delete much say so.
"""

import ctypes
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from redod.core.outcome import Produced
from redod.core.stamps import Stamp
from redod.failpoints import reach
from redod.files.observe import ObserveError, content_hash, observe
from redod.files.temporaries import temporary_name

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""rename(2); neither is in Python's os module."""
_SMALL = 65536
"""Up to this many bytes one read and one write are cheaper than asking the kernel to copy."""


_PIECE = 4 << 20
"""Bytes that are copied between two looks whether the build was given up."""

IsGivenUp = Callable[[], bool]


def _never() -> bool:
    return False


class OutputError(Exception):
    """What a script made cannot be put in place (status 209). The text says why; `os.fsencode` gives its bytes back."""


class Staged(NamedTuple):
    """Ready to become the target by `commit`. `path` is beside it; `stamp` will be the target's but for its ctime.

    `content`: a hash of it, where that was asked for and it is a file.
    """

    target: bytes
    path: bytes
    stamp: Stamp
    content: bytes = b""


class Installed(NamedTuple):
    """The target is in place. `leftover`: an old directory tree that `delete_tree` has to remove, or empty."""

    stamp: Stamp
    leftover: bytes = b""


def size(capture: int) -> int:
    """In bytes, of our own description of a capture file: its position means nothing, and stat(2) costs more."""
    return os.lseek(capture, 0, os.SEEK_END)


def examine(target: bytes, temporary: bytes, stdout_fd: int) -> Produced:
    """What there is when a job is over. Raises OutputError."""
    try:
        return Produced(size(stdout_fd), observe(temporary), observe(target))
    except ObserveError as problem:
        raise OutputError(str(problem)) from problem


def stage_stdout(
    target: bytes, temporary: bytes, stdout_fd: int, umask: int, is_given_up: IsGivenUp = _never
) -> Staged:
    """Copy the captured stdout to `temporary` with mode 0666 less `umask`. Time and space grow with its size.

    A copy, never the file itself: a process that kept the script's descriptor 1 must not reach the target.
    Raises OutputError.
    """
    try:
        number = _create(temporary, umask)
        try:
            reach("stage.created")
            _copy(stdout_fd, number, is_given_up)
            reach("stage.copied")
        finally:
            os.close(number)
        return Staged(target, temporary, observe(temporary))
    except OSError as problem:
        _unlink(temporary)
        raise OutputError(_explain(problem, target)) from problem


def stage_temporary(
    target: bytes, temporary: bytes, stamp: Stamp, may_be_held: bool, is_given_up: IsGivenUp = _never
) -> Staged:
    """Make `$3` ready. `temporary` is absolute and canonical, `stamp` what `examine` found. Raises OutputError.

    `may_be_held`: processes of the script are left. When one has `$3` open for writing, a copy takes its
    place.
    """
    if may_be_held and stat.S_ISREG(stamp.mode) and is_written_to(temporary):
        return _stage_copy(target, temporary, stamp, is_given_up)
    return Staged(target, temporary, stamp)


def with_content(staged: Staged) -> Staged:
    """The same with its content's hash. Takes as long as reading it."""
    return staged._replace(content=content_hash(staged.path, staged.stamp))


def refuse_loss(target: bytes, spared: Iterable[bytes]) -> None:
    """Raise OutputError when one of these files exists: it would be deleted with the old directory `target`."""
    for path in spared:
        if os.path.lexists(path):
            raise OutputError(
                f"cannot put {os.fsdecode(target)} in place: the old directory holds {os.fsdecode(path)}, which this "
                "script did not make and which would be deleted; keep it elsewhere, or let the script fill $1 itself"
            )


def commit(staged: Staged, before_look: Callable[[], None] = lambda: None) -> Installed:
    """Rename into place, atomically; then call `before_look`, and look at the target.

    Raises OutputError, and then neither the target nor the staged file is touched.
    """
    leftover = b""
    try:
        try:
            os.rename(staged.path, staged.target)
            reach("install.renamed")
        except OSError as problem:
            if problem.errno not in (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise
            leftover = _replace(staged)
            reach("install.exchanged")
        if staged.stamp.nlink > 1:
            # `ln $1 $3`: rename(2) does nothing when both names are the same file.
            _unlink(staged.path)
    except OSError as problem:
        raise OutputError(_explain(problem, staged.target)) from problem
    before_look()
    return Installed(_observe(staged.target, staged.target), leftover)


def remove_target(target: bytes) -> None:
    """Remove an old file because the script made none; a directory stays. Raises OutputError."""
    try:
        os.unlink(target)
        reach("install.removed")
    except OSError as problem:
        if problem.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
            raise OutputError(_explain(problem, target)) from problem


def discard(path: bytes) -> None:
    """Remove a file, or a tree with all below it; links are not followed. What cannot be removed stays, silently."""
    try:
        os.unlink(path)
    except IsADirectoryError:
        delete_tree(path)
    except OSError:
        return


def delete_tree(path: bytes) -> None:
    """Remove a directory tree without following links out of it. Takes long for a large one: call it in a thread."""
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        # Directories without write permission (module caches are made so) have to be opened first.
        _make_writable(path)
        for directory, names, _ in os.walk(path, followlinks=False):
            for name in names:
                _make_writable(os.path.join(directory, name))
        shutil.rmtree(path, ignore_errors=True)


def is_written_to(path: bytes) -> bool:
    """Whether somebody may have this file open for writing: a read lease is granted only while nobody has (fcntl(2),
    F_SETLEASE). True also where leases cannot be had: on some file systems, and for files of other users.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        # What cannot be read cannot be copied either.
        return False
    try:
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return True
    finally:
        os.close(number)
    return False


def _stage_copy(target: bytes, temporary: bytes, stamp: Stamp, is_given_up: IsGivenUp) -> Staged:
    copy = temporary_name(target)
    try:
        with open(temporary, "rb", buffering=0) as source, open(copy, "xb", buffering=0) as sink:
            _copy(source.fileno(), sink.fileno(), is_given_up)
        os.chmod(copy, stat.S_IMODE(stamp.mode))
    except OSError as problem:
        _unlink(copy)
        raise OutputError(_explain(problem, target)) from problem
    _unlink(temporary)
    return Staged(target, copy, _observe(copy, target))


def _replace(staged: Staged) -> bytes:
    """Take the place of a directory, or of another kind of file. Returns the old tree's path, empty for a file."""
    if not staged.stamp.is_directory:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    _exchange(staged.path, staged.target)
    try:
        os.unlink(staged.path)
    except IsADirectoryError:
        return staged.path
    return b""


def _exchange(one: bytes, other: bytes) -> None:
    """Swap two names: in one step where renameat2(2) can, else with a moment in which `other` is absent."""
    if _renameat2(one, other, _RENAME_EXCHANGE):
        return
    aside = temporary_name(other)
    os.rename(other, aside)
    try:
        os.rename(one, other)
    except OSError:
        os.rename(aside, other)
        raise
    os.rename(aside, one)


@cache
def _library() -> ctypes.CDLL:
    """One for all calls: each brings types with it, garbage for the collector."""
    return ctypes.CDLL(None, use_errno=True)


def _renameat2(one: bytes, other: bytes, flags: int) -> bool:
    """False where the C library, the kernel or the file system does not have it."""
    function = getattr(_library(), "renameat2", None)
    if function is None:
        return False
    if function(_AT_FDCWD, one, _AT_FDCWD, other, ctypes.c_uint(flags)) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number))


def _create(path: bytes, umask: int) -> int:
    """A new file with the mode that a shell under this umask would give it, a default ACL of the directory included."""
    number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    given = stat.S_IMODE(os.fstat(number).st_mode)
    wanted = 0o666 & ~umask
    # Any other mode than our own umask's doing means that a default ACL took its place; so it would for the shell.
    if given != wanted and given == 0o666 & ~_own_umask():
        os.fchmod(number, wanted)
    return number


@cache
def _own_umask() -> int:
    # Not umask(2), which can only be asked by setting it, for all threads.
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1], 8) for line in file if line.startswith("Umask:")), 0o022)


def _copy(source: int, sink: int, is_given_up: IsGivenUp) -> None:
    """All of `source` from its start, whatever its position; holes stay holes. Blocks are shared where the file system
    can. Raises OSError, also when it is given up.
    """
    end = size(source)
    if end <= _SMALL:
        _copy_by_hand(source, sink, 0, end)
        return
    for start, stop in _data(source, end):
        for done in range(start, stop, _PIECE):
            if is_given_up():
                raise OSError(errno.ECANCELED, "its build was given up")
            copied = _copy_in_kernel(source, sink, done, min(done + _PIECE, stop))
            _copy_by_hand(source, sink, copied, min(done + _PIECE, stop))
    os.ftruncate(sink, end)


def _data(source: int, end: int) -> Iterator[tuple[int, int]]:
    """Where there is something else than holes (lseek(2), SEEK_DATA): from, to."""
    stop = 0
    while stop < end:
        try:
            start = os.lseek(source, stop, os.SEEK_DATA)
            stop = min(os.lseek(source, start, os.SEEK_HOLE), end)
        except OSError as problem:
            if problem.errno == errno.ENXIO:
                return
            raise
        yield start, stop


def _copy_by_hand(source: int, sink: int, done: int, end: int) -> None:
    while done < end:
        data = os.pread(source, min(end - done, 1 << 20), done)
        if not data:
            return
        while data:
            written = os.pwrite(sink, data, done)
            data, done = data[written:], done + written


def _copy_in_kernel(source: int, sink: int, done: int, end: int) -> int:
    """Up to where it was copied."""
    try:
        while done < end:
            count = os.copy_file_range(source, sink, end - done, done, done)
            if not count:
                break
            done += count
    except OSError as problem:
        # Across file systems, or unknown to this one: the caller goes on by hand.
        if problem.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            raise
    return done


def _observe(path: bytes, target: bytes) -> Stamp:
    try:
        return observe(path)
    except ObserveError as problem:
        raise OutputError(f"cannot put {os.fsdecode(target)} in place: {problem}") from problem


def _make_writable(directory: bytes) -> None:
    try:
        if not os.path.islink(directory):
            os.chmod(directory, 0o700)
    except OSError:
        return


def _unlink(path: bytes) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def _explain(problem: OSError, target: bytes) -> str:
    name, directory = os.fsdecode(target), os.fsdecode(os.path.dirname(target) or b".")
    match problem.errno:
        case errno.ENOENT | errno.ENOTDIR:
            reason = f"its directory {directory} does not exist; let the script make it (mkdir -p)"
        case errno.EISDIR:
            reason = (
                "a directory stands there, and the script made none; remove it, or let the script make $3 a directory"
            )
        case errno.EACCES | errno.EPERM:
            reason = f"no permission to write in {directory}"
        case errno.EROFS:
            reason = f"{directory} is on a read-only file system"
        case errno.ENOSPC | errno.EDQUOT:
            reason = "no space left"
        case errno.ENAMETOOLONG:
            reason = "its name is too long"
        case _:
            reason = str(problem.strerror)
    return f"cannot put {name} in place: {reason}"
