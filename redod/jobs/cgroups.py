"""Control groups of jobs (cgroups(7), version 2): what a job starts stays in its cgroup, whatever else it sheds.

It owns those that jobs are started in, children of the server's own, where that is delegated to us; elsewhere there are
none. No controllers are enabled in them. It knows neither jobs nor other ways to find their processes.
"""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from redod.jobs.holders import read_process

_KEPT = 64
"""Free ones, with a descriptor each."""
_NAME = re.compile(rb"redod-(\d+)-\d+")
"""The server's pid, and a number."""
_DELEGATED = ("user.delegate", "trusted.delegate")
"""systemd sets one of these extended attributes to 1 where a unit has `Delegate=yes`."""


@dataclass(slots=True, unsafe_hash=True)
class Cgroup:
    """`number`: a descriptor of its directory, as clone3(2) needs it."""

    path: bytes
    number: int = -1
    is_spent: bool = field(default=False, compare=False)
    """It has been killed. Linux 6.18 goes on to kill what clone3(2) starts in it from another."""

    def pids(self) -> list[int]:
        """Those of the live processes in it, and below it."""
        found: list[int] = []
        for directory, _, _ in os.walk(self.path):
            with suppress(OSError):
                found += map(int, _read(directory + b"/cgroup.procs").split())
        return found

    def kill(self) -> None:
        """SIGKILL them all at once: none escapes by a fork."""
        self.is_spent = True
        with suppress(OSError), open(self.path + b"/cgroup.kill", "wb", buffering=0) as file:
            file.write(b"1")

    @property
    def is_populated(self) -> bool | None:
        """Something lives in it or below it; None: it is gone."""
        try:
            return b"populated 1\n" in _read(self.path + b"/cgroup.events")
        except OSError:
            return None


class Cgroups:
    """Gives empty cgroups to jobs. `parent`: the server's own, from `delegated`; without one there are none.

    They are used again, which costs a tenth of making and removing one; never while somebody runs there who has
    outlived the job.
    """

    def __init__(self, parent: bytes) -> None:
        self.parent = parent
        self._free: deque[Cgroup] = deque()
        self._left: deque[bytes] = deque()
        """Paths of those that are not used again, and to be removed once they are empty."""
        self._made = 0
        if parent:
            _remove_all(parent, lambda pid: not ((server := read_process(pid)) and server.is_live))

    def take(self) -> Cgroup | None:
        """None where it cannot be made."""
        if not self.parent:
            return None
        while self._free:
            # The one that has rested longest: it is empty a moment after the last process was seen to end.
            cgroup = self._free.popleft()
            if cgroup.is_populated is False:
                return cgroup
            self._leave(cgroup)
        self._sweep()
        self._made += 1
        path = b"%s/redod-%d-%d" % (self.parent, os.getpid(), self._made)
        try:
            os.mkdir(path)
            return Cgroup(path, os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError:
            return None

    def give_back(self, cgroup: Cgroup | None) -> None:
        """Its job is over."""
        if cgroup is None:
            return
        if len(self._free) < _KEPT and not cgroup.is_spent:
            self._free.append(cgroup)
        else:
            self._leave(cgroup)

    def let_go(self) -> None:
        """Keep none; those in which somebody runs stay."""
        for cgroup in self._free:
            os.close(cgroup.number)
        self._free.clear()
        if self.parent:
            _remove_all(self.parent, lambda pid: pid == os.getpid())

    def _leave(self, cgroup: Cgroup) -> None:
        os.close(cgroup.number)
        self._left.append(cgroup.path)

    def _sweep(self) -> None:
        """Look at two, for each that is made, so that the empty ones become no more than the others."""
        for _ in range(min(2, len(self._left))):
            path = self._left.popleft()
            if not _remove(path):
                self._left.append(path)


def delegated() -> bytes:
    """The directory of our own cgroup if we may make others in it: it is our user's, or marked as delegated (root owns
    them all); see "Delegation" in the kernel's cgroup-v2.rst. Else empty, also where the kernel lacks what is needed.
    """
    path = _directory_of(os.getpid())
    if not path or not os.access(path, os.W_OK) or not os.access(path + b"/cgroup.procs", os.W_OK):
        return b""
    # Since Linux 5.14, and not in the root of all.
    if not os.path.exists(path + b"/cgroup.kill"):
        return b""
    is_ours = os.geteuid() != 0 and os.stat(path).st_uid == os.geteuid()
    return path if is_ours or any(_attribute(path, name) == b"1" for name in _DELEGATED) else b""


def cgroup_of(pid: int, server: int) -> Cgroup | None:
    """The one that the server of that pid has given to the job that a process is part of, if any."""
    found = re.match(rb".*/redod-%d-\d+(?=/|$)" % server, _directory_of(pid), re.DOTALL)
    return Cgroup(found[0]) if found else None


def _directory_of(pid: int) -> bytes:
    """Of the cgroup that a process is in; empty where it cannot be seen."""
    try:
        found = re.search(rb"^0::(/.*)$", _read(b"/proc/%d/cgroup" % pid), re.MULTILINE)
    except OSError:
        found = None
    place = found[1] if found else b""
    for root, mount in _mounts():
        above = root.rstrip(b"/")
        if place == root or place.startswith(above + b"/"):
            return (mount + place[len(above) :]).rstrip(b"/")
    return b""


def _mounts() -> Iterator[tuple[bytes, bytes]]:
    """What of the hierarchy is to be seen, and where (proc_pid_mountinfo(5)); hybrid systems have it beside others."""
    for line in _read(b"/proc/self/mountinfo").splitlines():
        mount, _, kind = line.partition(b" - ")
        if kind.startswith(b"cgroup2 "):
            fields = mount.split()
            yield fields[3], fields[4]


def _remove_all(parent: bytes, of_server: Callable[[int], bool]) -> None:
    """The empty ones of the servers with such pids."""
    with suppress(OSError):
        for name in os.listdir(parent):
            found = _NAME.fullmatch(name)
            if found and of_server(int(found[1])):
                _remove(parent + b"/" + name)


def _remove(path: bytes) -> bool:
    """False when somebody runs there."""
    for directory, _, _ in os.walk(path, topdown=False):
        with suppress(OSError):
            os.rmdir(directory)
    return not os.path.exists(path)


def _attribute(path: bytes, name: str) -> bytes:
    try:
        return os.getxattr(path, name)
    except OSError:
        return b""


def _read(path: bytes) -> bytes:
    number, data = os.open(path, os.O_RDONLY | os.O_CLOEXEC), b""
    try:
        # The kernel gives a page at a time.
        while more := os.read(number, 1 << 16):
            data += more
        return data
    finally:
        os.close(number)
