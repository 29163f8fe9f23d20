"""Observing files: from a path to a stamp, and from any spelling of a name to the canonical one.

It asks the file system and judges nothing: what a difference between two stamps means is `redod.core.stamps`' matter.
"""

import errno
import hashlib
import os
import stat
from collections.abc import MutableMapping, Sequence

from redod.core.paths import directory_of, join, show
from redod.core.stamps import CERTAIN, DIRECTORY, MISSING, RACY, Stamp, is_racy, is_same_look
from redod.errors import BadNameError, RedodError

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""No file can have such a name, for anybody, as long as the answer is this one."""


class ObserveError(RedodError):
    """It cannot be found out whether a file exists or what it is. The text says why."""


def observe(path: bytes) -> Stamp:
    """The stamp of what `path` names now, `MISSING` when there is nothing.

    Raises ObserveError when that cannot be known (EACCES, EIO ...). Taken for missing, a file in a directory that
    we may not search would be forgotten as a target and satisfy an ifcreate, silently.
    """
    try:
        found = os.lstat(path)
    except OSError as problem:
        if problem.errno in _ABSENT:
            return MISSING
        raise ObserveError(f"cannot look at {os.fsdecode(path)}: {problem.strerror}") from problem
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        return DIRECTORY
    return _stamp(found, _referent(path) if kind == stat.S_IFLNK else None)


def observe_source(path: bytes, now_ns: int, previous: Stamp | None = None, by_content: bool = False) -> Stamp:
    """Like `observe`, with a hash of the content when the stamp is racy, or `previous` (the recorded one) has a hash.

    `now_ns`: the wall clock in nanoseconds, read before. For a symbolic link the hash is of the file that it leads to.
    A stamp that has been compared is to be kept as `settled` gives it, so that the content is hashed only once more.
    `by_content`: the hash is what the file is compared by, and the stamp only tells whether it must be taken anew.
    """
    stamp = observe(path)
    is_fresh = is_racy(stamp, now_ns)
    if by_content:
        if previous is not None and not is_fresh and is_same_look(previous, stamp):
            return previous
        digest = content_hash(path, stamp)
        return stamp._replace(content=(RACY if is_fresh else CERTAIN) + digest) if digest else stamp
    if is_fresh or (previous is not None and previous.content):
        return stamp._replace(content=content_hash(path, stamp))
    return stamp


def canonical(path: bytes, cwd: bytes, directories: MutableMapping[bytes, bytes] | None = None) -> bytes:
    """The one name of a file: its directory with all symbolic links resolved, then its own name, not resolved.

    `cwd` is absolute. `directories` remembers resolved directories between calls; drop it when a link may have
    changed. Names that end in `.` or `..` are the directory they lead to. Raises BadNameError.
    """
    if not path or b"\n" in path or b"\0" in path:
        raise BadNameError("a name may not be empty" if not path else f"{show(path)} holds a newline or a NUL byte")
    if len(path) > _LONGEST or len(cwd) > _LONGEST:
        raise _too_long(path if len(path) > _LONGEST else cwd)
    # Most names of a long list are of this kind.
    if b"/" not in path and directories is not None and path not in (b".", b".."):
        directory = directories.get(cwd)
        if directory is not None and directory != b"/" and len(directory) + len(path) < _LONGEST:
            return directory + b"/" + path
    if path[-1] == _SLASH:
        path = path.rstrip(b"/") or b"/"
    directory, slash, name = path.rpartition(b"/")
    if name in (b"", b".", b".."):
        return _resolved(os.path.join(cwd, path), directories)
    resolved = _resolved(os.path.join(cwd, directory or b"/") if slash else cwd, directories)
    if len(resolved) + len(name) >= _LONGEST:
        raise _too_long(resolved + b"/" + name)
    return (b"/" if resolved == b"/" else resolved + b"/") + name


def links_on_the_way(directory: bytes, cwd: bytes) -> list[bytes]:
    """The symbolic links that are followed to get to a directory, in any spelling, each by its canonical path.

    `cwd` is absolute and has none.
    """
    here = b"/" if directory.startswith(b"/") else cwd
    todo = directory.split(b"/")[::-1]
    found: list[bytes] = []
    while todo and len(found) < _MOST_LINKS:
        part = todo.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            here = directory_of(here)
            continue
        step = join(here, part)
        try:
            leads_to = os.readlink(step)
        except OSError:
            here = step
            continue
        found.append(step)
        here = b"/" if leads_to.startswith(b"/") else here
        todo += leads_to.split(b"/")[::-1]
    return found


def all_canonical(paths: Sequence[bytes], cwd: bytes, directories: MutableMapping[bytes, bytes]) -> list[bytes]:
    """`canonical` for many. Plain names, of which long lists mostly consist, take a fraction of the time together."""
    directory = directories.get(cwd, b"/")
    if directory != b"/" and _are_plain(paths, _LONGEST - len(directory)):
        return [directory + b"/" + path for path in paths]
    return [canonical(path, cwd, directories) for path in paths]


def _are_plain(names: Sequence[bytes], room: int) -> bool:
    """Whether all name a file in a directory, with less than `room` bytes."""
    together = b"/".join(names)
    if b"\n" in together or b"\0" in together or together.count(b"/") != len(names) - 1:
        return False
    return _SPECIAL.isdisjoint(names) and max(map(len, names)) < room


_SPECIAL = frozenset((b"", b".", b".."))
_SLASH = ord("/")
_MOST_LINKS = 40
"""After so many the kernel takes a path for a loop (path_resolution(7))."""
_LONGEST = 4095
"""Bytes of a path that the kernel takes (PATH_MAX). Dofiles are looked for in each directory above a target, so a name
of 100,000 bytes would keep the server busy for a minute.
"""


def _too_long(path: bytes) -> BadNameError:
    return BadNameError(f"{show(path[:60])}... is longer than the {_LONGEST} bytes of a path; use shorter names")


def _resolved(directory: bytes, directories: MutableMapping[bytes, bytes] | None) -> bytes:
    if directories is None:
        return _real(directory)
    found = directories.get(directory)
    if found is None:
        found = directories[directory] = _real(directory)
    return found


def _real(directory: bytes) -> bytes:
    # POSIX lets a path begin with exactly two slashes, and normpath keeps them; on Linux they are one.
    real = os.path.realpath(directory)
    return real[1:] if real.startswith(b"//") else real


_rights: dict[tuple[int, int, int], tuple[int, int, int]] = {}
"""Mode, uid and gid, of which nearly all files have the same few: shared, they save 96 bytes a file."""
_MOST_RIGHTS = 256


def _stamp(found: os.stat_result, referent: Stamp | None) -> Stamp:
    rights = (found.st_mode, found.st_uid, found.st_gid)
    if len(_rights) > _MOST_RIGHTS:
        _rights.clear()
    mode, uid, gid = _rights.setdefault(rights, rights)
    mtime_ns, ctime_ns = found.st_mtime_ns, found.st_ctime_ns
    return Stamp(
        mtime_ns,
        found.st_size,
        found.st_ino,
        mode,
        uid,
        gid,
        # Most sources were never touched since they were written: one number for both.
        mtime_ns if ctime_ns == mtime_ns else ctime_ns,
        found.st_nlink,
        referent,
    )


def _referent(path: bytes) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        # Dangling, a loop, or not ours to see: for the scripts we run the link leads nowhere.
        return MISSING
    return DIRECTORY if stat.S_ISDIR(found.st_mode) else _stamp(found, None)


def content_hash(path: bytes, stamp: Stamp) -> bytes:
    """16 bytes; empty for what is not a regular file, or cannot be read (then no build of ours reads it either)."""
    if not stat.S_ISREG((stamp.referent or stamp).mode):
        return b""
    try:
        # O_NONBLOCK: it may have been replaced by a FIFO since.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    digest = hashlib.blake2b(digest_size=16)
    with open(number, "rb", buffering=0) as file:
        try:
            while block := file.read(1 << 18):
                digest.update(block)
        except OSError:
            return b""
    return digest.digest()
