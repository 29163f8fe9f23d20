"""Which workspace a target belongs to, and where that workspace's store is.

It owns the rule of the search and the making of `.redo/`. It does not know what a store holds.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from redod.core.paths import directory_of, join, show
from redod.failpoints import reach
from redod.store import StoreError
from redod.store.copied import is_read_only
from redod.store.ownership import make_directory, open_file
from redod.store.tables import DATABASE

MARKERS = (b"redod.toml", b".git", b".hg", b".svn", b".bzr", b".jj", b"_darcs", b".fslckout", b".fossil")
"""What a directory holds that is the top of a project. `.git` may be a file (a worktree, a submodule)."""

_NAMES = """
nfs nfs4 cifs smb3 smbfs ncpfs afs coda 9p ceph lustre gpfs beegfs vboxsf prl_fs
fuse.sshfs fuse.glusterfs fuse.ceph fuse.s3fs fuse.rclone fuse.vmhgfs-fuse
"""
REMOTE = frozenset(_NAMES.split())
"""File systems on which other machines write too: SQLite's log is not safe there."""


NOWHERE = b"/dev/null/redod"
"""The store of a workspace that cannot hold its own, of a user without a home: no file is ever there."""


class Workspace(NamedTuple):
    """A workspace: the canonical path of its top directory, and the directory of its store."""

    root: bytes
    directory: bytes
    lock_in: bytes = b""
    """Where its lock is, if not there."""
    original: bytes = b""
    """What its store is to be a copy of whenever it is opened: the one in the tree, which is on read-only media."""

    @property
    def lock(self) -> bytes:
        """The directory of its lock."""
        return self.lock_in or self.directory

    @property
    def in_tree(self) -> bool:
        """Whether the store is the workspace's own `.redo/`."""
        return self.directory == join(self.root, b".redo")


def state_directory(home: bytes, xdg_state_home: bytes = b"") -> bytes:
    """Where the stores of workspaces are that cannot hold their own; empty: nowhere, as the user has no home.

    A relative `$XDG_STATE_HOME` is ignored, as the XDG base directory specification says.
    """
    if xdg_state_home.startswith(b"/"):
        return join(xdg_state_home, b"redod")
    return join(home, b".local/state/redod") if home.startswith(b"/") else b""


def filesystem_type(path: bytes) -> str:
    """The type of the file system that holds an existing directory, as proc_pid_mountinfo(5) names it; empty: unknown.

    statfs(2) would tell all FUSE file systems by one number; the mount table names the kind of each.
    """
    device = os.stat(path).st_dev
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    with open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts:
            mount, _, rest = line.partition(b" - ")
            if mount.split(b" ", 3)[2] == wanted:
                return rest.split(b" ", 1)[0].decode("ascii", "replace")
    return ""


class Workspaces:
    """The workspaces by target, with a memory of what was found; `forget` it when `.redo` directories came or went.

    `state` is the user's state directory (see `state_directory`); `filesystem` names a directory's file system.
    """

    def __init__(self, state: bytes, filesystem: Callable[[bytes], str] = filesystem_type) -> None:
        self._state = state
        self._filesystem = filesystem
        self.forget()

    def forget(self, kept: Iterable[bytes] = ()) -> None:
        """Look at the disk again for every later question. `kept`: roots that stay workspaces though `.redo` is gone
        (it will be made again).
        """
        self._roots: dict[tuple[bytes, bytes, bytes], bytes] = {}
        self._opened: dict[bytes, Workspace] = {}
        self._stores: dict[bytes, bool] = dict.fromkeys(kept, True)
        self._marks: dict[bytes, bool] = {}
        self._shared: dict[bytes, bool] = {}

    def find(self, target: bytes, cwd: bytes, home: bytes) -> Workspace:
        """The workspace of a target (a canonical absolute path) that a command run in `cwd` asks for; see `root`.

        `home` is the user's home directory, canonical. Makes the store's directory. Raises StoreError.
        """
        root = self.root(target, cwd, home)
        return self._opened.get(root) or self.prepare(root, home)

    def existing(self, target: bytes, cwd: bytes, home: bytes) -> Workspace | None:
        """Like `find`, but None where there is no store yet: none is made for a file that may be a mere source."""
        root = self.root(target, cwd, home)
        if root not in self._stores:
            self._stores[root] = self._has_store(root)
        return self.find(target, cwd, home) if self._stores[root] else None

    def root(self, target: bytes, cwd: bytes, home: bytes) -> bytes:
        """The top of the target's workspace; makes nothing.

        The nearest directory above the target that has a store; else the nearest that is the top of a project; else
        `cwd` if the target lies below it; else the target's own directory. `/`, the home directory and those in which
        everybody may make files (/tmp) are passed over, lest one store swallow all projects: only a target that lies
        directly in one of them belongs to it.
        """
        key = (directory_of(target), cwd, home)
        found = self._roots.get(key)
        if found is None:
            found = self._roots[key] = self._search(*key)
        return found

    def prepare(self, root: bytes, home: bytes) -> Workspace:
        """Make the store's directory: `.redo/`, else one below the state directory. Raises StoreError."""
        inside, outside = join(root, b".redo"), self._outside(root)
        # A tree that has become writable keeps the store that knows its targets.
        is_elsewhere = os.path.lexists(join(outside, DATABASE)) and not os.path.lexists(join(inside, DATABASE))
        is_passed_over = root in (b"/", home) or self._is_shared(root)
        is_local = self._is_local(root)
        if not is_passed_over and not is_elsewhere and is_local and _make_store(inside):
            workspace = Workspace(root, inside)
        else:
            _make_outside(outside)
            # A lock in the tree tells servers on other machines of us.
            is_shared = not is_passed_over and not is_local and _make_store(inside)
            is_copied = not is_passed_over and is_local and is_read_only(root)
            workspace = Workspace(root, outside, inside if is_shared else b"", inside if is_copied else b"")
        self._stores[root] = True
        self._opened[root] = workspace
        return workspace

    def _search(self, directory: bytes, cwd: bytes, home: bytes) -> bytes:
        candidates = [ancestor for ancestor in _upwards(directory) if ancestor not in (b"/", home)]
        for memory, test in ((self._stores, self._has_store), (self._marks, _is_project)):
            for candidate in candidates:
                answer = memory.get(candidate)
                if answer is None:
                    answer = memory[candidate] = test(candidate)
                if answer and not self._is_shared(candidate):
                    return candidate
        if cwd in candidates and os.path.isdir(cwd) and not self._is_shared(cwd):
            return cwd
        return next(ancestor for ancestor in _upwards(directory) if os.path.isdir(ancestor))

    def _is_shared(self, directory: bytes) -> bool:
        if directory not in self._shared:
            self._shared[directory] = _is_for_everybody(directory)
        return self._shared[directory]

    def _has_store(self, directory: bytes) -> bool:
        return os.path.isdir(join(directory, b".redo")) or os.path.isdir(self._outside(directory))

    def _outside(self, root: bytes) -> bytes:
        return join(self._state, sha256(root).hexdigest()[:32].encode()) if self._state else NOWHERE

    def _is_local(self, root: bytes) -> bool:
        try:
            return self._filesystem(root) not in REMOTE
        except OSError:
            return False


def remake(workspace: Workspace) -> None:
    """Make the removed directory of a store again. Raises StoreError, also when the workspace itself is gone."""
    if not workspace.in_tree:
        _make_outside(workspace.directory)
        if workspace.lock_in:
            _make_store(workspace.lock_in)
    elif not _make_store(workspace.directory):
        raise StoreError(
            f"cannot make {show(workspace.directory)} again: is {show(workspace.root)} still there and writable?"
        )


def _upwards(directory: bytes) -> Iterator[bytes]:
    while directory != b"/":
        yield directory
        directory = directory_of(directory)
    yield directory


def _is_project(directory: bytes) -> bool:
    return any(os.path.lexists(join(directory, marker)) for marker in MARKERS)


def _is_for_everybody(directory: bytes) -> bool:
    """Whether all users may make files there that only they may remove, as in /tmp (inode(7), S_ISVTX)."""
    try:
        mode = os.stat(directory).st_mode
    except OSError:
        return False
    return bool(mode & stat.S_ISVTX and mode & stat.S_IWOTH)


def _make_store(directory: bytes) -> bool:
    """Make `.redo/`, which git is to ignore; False if it cannot be made or written.

    Raises StoreError when the disk is full: that passes, and a store made elsewhere meanwhile would be forgotten.
    """
    try:
        make_directory(directory)
        reach("redo.made")
        if not os.path.isdir(directory) or not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
            return False
        ignore = join(directory, b".gitignore")
        if not os.path.lexists(ignore):
            _ignore_all(ignore)
            reach("redo.ignored")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(f"cannot make {show(directory)}: no space left") from error
        return False
    return True


def _ignore_all(path: bytes) -> None:
    descriptor = open_file(path, os.O_WRONLY)
    try:
        os.write(descriptor, b"*\n")
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def _make_outside(directory: bytes) -> None:
    if directory == NOWHERE:
        raise StoreError(
            "the workspace cannot hold its own store, and this user has no home directory that could;"
            " make the workspace writable, or set HOME or XDG_STATE_HOME"
        )
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make {show(directory)} ({error.strerror}), and the workspace cannot hold its own store;"
            " make one of them writable, or set XDG_STATE_HOME"
        ) from error
