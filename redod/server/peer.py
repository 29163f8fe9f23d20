"""What of a client this server cannot give its scripts: another view of the files, other groups, higher hard limits.

It compares; it does not know what is done about a difference. It is asked once for each top-level command, so it costs
a few system calls.
"""

import os
import resource
from functools import lru_cache

from redod.protocol.invocation import RESOURCES, Limit

_NO_LIMIT = resource.RLIM_INFINITY


class Own:
    """This process as it was born. Make it before the server changes its limits."""

    def __init__(self) -> None:
        self.view = _view("self")
        self.groups = frozenset((os.getegid(), *os.getgroups()))
        self.hard = tuple(resource.getrlimit(number)[1] for number in range(RESOURCES))
        self._exceeds = lru_cache(maxsize=32)(self._find_higher)

    def lacks(self, pid: int, groups: frozenset[int], limits: tuple[Limit, ...]) -> str:
        """What the client `pid` has that we have not, for the user; empty: nothing."""
        if groups != self.groups:
            return "it is in other groups than the server"
        if self._exceeds(limits):
            return "it has higher hard limits (ulimit -H) than the server"
        try:
            view = _view(str(pid))
        except OSError:
            # Gone, or not ours to look at.
            return ""
        if view != self.view:
            return "it sees other files than the server (a mount namespace, a container, a chroot)"
        return ""

    def _find_higher(self, limits: tuple[Limit, ...]) -> bool:
        pairs = zip((limit.hard for limit in limits), self.hard, strict=True)
        return any(own != _NO_LIMIT and (theirs == _NO_LIMIT or theirs > own) for theirs, own in pairs)


def _view(pid: str) -> tuple[int, int, int]:
    """The mount namespace and the root directory: namespaces(7), proc_pid_root(5). Raises OSError."""
    root = os.stat(f"/proc/{pid}/root")
    return os.stat(f"/proc/{pid}/ns/mnt").st_ino, root.st_dev, root.st_ino
