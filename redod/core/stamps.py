"""Stamps: what lstat(2) said about a file, and when two of them mean a change.

A stamp is compared for equality, never for order. Where it comes from is not known here: the `files`
adapter takes stamps, the core compares them.
"""

import stat
from collections.abc import Set
from typing import NamedTuple


class Stamp(NamedTuple):
    """What lstat(2) said. `mode` 0 stands for a file that does not exist.

    `mtime_ns` and `ctime_ns` are in nanoseconds since the epoch, `size` in bytes. `referent` is the stamp
    of the file that a symbolic link leads to (`MISSING` for a dangling one). `content` is a hash of the bytes of a file
    whose stamp is racy (taken so soon after the file's own ctime that a later write might leave no trace); else empty.
    In a workspace where files are compared by content it is always there, after `CERTAIN` or, in a racy stamp, `RACY`.
    """

    mtime_ns: int
    size: int
    inode: int
    mode: int
    uid: int
    gid: int
    ctime_ns: int
    nlink: int
    referent: "Stamp | None" = None
    content: bytes = b""

    @property
    def exists(self) -> bool:
        return self.mode != 0

    @property
    def is_directory(self) -> bool:
        return self.mode == stat.S_IFDIR

    @property
    def leads_to_file(self) -> bool:
        """It, or what it links to, exists and is no directory: what a dofile has to be."""
        return (self.referent or self).mode not in (0, stat.S_IFDIR)


CERTAIN, RACY = b"=", b"~"
_DIGEST = 16
"""Bytes of a content hash."""


class Moment(NamedTuple):
    """When an observation was made: the scheduler's epoch, and the wall clock in nanoseconds, read before.

    `watched`: the directories in which nothing has happened since that would not be told (see `suspects`).
    """

    epoch: int
    now_ns: int
    watched: Set[bytes] = frozenset()


RACY_NS = 20_000_000
"""Nanoseconds. A file that changes twice within a tick of the kernel's clock (10 ms at most) may keep its stamp."""

MISSING = Stamp(0, 0, 0, 0, 0, 0, 0, 0)
DIRECTORY = Stamp(0, 0, 0, stat.S_IFDIR, 0, 0, 0, 0)
"""Every directory's stamp: only that it exists (its contents are not its stamp)."""


_COMPARED = ("mtime", "size", "inode", "mode", "uid", "gid")
"""What counts of a target's stamp: its first fields."""


def difference(old: Stamp, new: Stamp) -> str:
    """Name the first field in which two stamps of a target differ; the empty string when they are equal.

    ctime never counts for a target: `ln x $3` changes the ctime of x.
    """
    if old[: len(_COMPARED)] != new[: len(_COMPARED)]:
        if old.exists != new.exists:
            return "missing" if old.exists else "new"
        return next(name for name, before, now in zip(_COMPARED, old, new, strict=False) if before != now)
    if old.referent is None or new.referent is None:
        return "" if old.referent is new.referent else "referent"
    return "referent" if difference(old.referent, new.referent) else ""


def source_difference(old: Stamp, new: Stamp) -> str:
    """Like `difference`, for a source: a ctime that alone differs counts while the file has one link.

    Of a file with several, making and removing them explains the ctime (a script that does `ln x $3` changes that of x
    in each run, and the number of links is the same afterwards), so it is no change.
    Two equal stamps of which the older was racy differ when the content does. Where files are compared by content, only
    that and the rights count.
    """
    named = difference(old, new)
    if is_by_content(old) and is_by_content(new):
        is_same = _hash(old) == _hash(new) and _rights(old) == _rights(new)
        return "" if is_same else named or "content"
    if named:
        return named
    if old.ctime_ns != new.ctime_ns and old.nlink == new.nlink == 1:
        return "ctime"
    if old.referent is not None and new.referent is not None and source_difference(old.referent, new.referent):
        return "referent"
    if old.content and new.content and _hash(old) != _hash(new):
        return "content"
    return ""


def changed_ns(stamp: Stamp) -> int:
    """When a source, or what it links to, was changed last. Of a file with several links the ctime does not tell."""
    own = stamp.ctime_ns if stamp.nlink == 1 else stamp.mtime_ns
    return own if stamp.referent is None else max(own, changed_ns(stamp.referent))


def is_by_content(stamp: Stamp) -> bool:
    """Whether the file is to be compared by its content."""
    return len(stamp.content) == 1 + _DIGEST and stamp.content.startswith((CERTAIN, RACY))


def is_same_look(old: Stamp, new: Stamp) -> bool:
    """Whether the content that `old` has a hash of is surely what `new`, which has none, was taken of."""
    return old.content.startswith(CERTAIN) and is_by_content(old) and old._replace(content=b"") == new


def _hash(stamp: Stamp) -> bytes:
    return stamp.content[1:] if is_by_content(stamp) else stamp.content


def _rights(stamp: Stamp) -> tuple[int, int, int]:
    return stamp.mode, stamp.uid, stamp.gid


def is_hand_edit(recorded: Stamp, found: Stamp) -> bool:
    """Whether a target was changed by hand: its mtime or size is not as it was left.

    A difference in mode, owner or inode alone is not an edit.
    """
    return found.exists and (recorded.mtime_ns, recorded.size) != (found.mtime_ns, found.size)


def is_racy(stamp: Stamp, now_ns: int) -> bool:
    """Whether a later write might leave no trace in this stamp, taken at `now_ns` or later.

    A ctime in the future (another machine's clock) is racy too. A directory or an absent file has no content to miss.
    """
    latest = stamp.ctime_ns if stamp.referent is None else max(stamp.ctime_ns, stamp.referent.ctime_ns)
    return latest > now_ns - RACY_NS and stamp.exists and not stamp.is_directory


def settled(stamp: Stamp, now_ns: int) -> Stamp:
    """The stamp without its hash, once it is no longer racy: what to keep of a stamp that has been compared."""
    is_needed = not stamp.content or is_by_content(stamp) or is_racy(stamp, now_ns)
    return stamp if is_needed else stamp._replace(content=b"")
