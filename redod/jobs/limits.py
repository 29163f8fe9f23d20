"""Resource limits: a job gets its client's, not the server's.

It knows setrlimit(2) and prlimit(2), and nothing of processes but their pid. What the server cannot give is left at the
nearest it can: a hard limit above its own is its own.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

Limits: TypeAlias = tuple[tuple[int, int], ...]
"""(soft, hard) of resources 0-15 in their order; `resource.RLIM_INFINITY` or the protocol's all ones: no limit."""

GATE = (b"/bin/sh", b"-c", b'read -r redod_gate || exit 1; unset redod_gate; exec "$@" </dev/null', b"sh")
"""A step before the program that waits for a line on its standard input, so that `impose` can reach it in time."""

_COUNT = 16
_ROOM = 64
"""Descriptors that other threads may open while the server's own limit is lowered."""
_LENDABLE = (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
"""Limits whose soft value the server can bear itself for a moment. Others could hurt it: FSIZE kills the thread that
writes the store, AS fails an allocation."""


class Limit(NamedTuple):
    """One limit to set: the resource's number and the values for setrlimit(2)."""

    number: int
    soft: int
    hard: int


Changes: TypeAlias = tuple[Limit, ...]


class Limiter:
    """Compares clients' limits with the server's own, read once when this is made."""

    def __init__(self) -> None:
        self._own: Limits = tuple(resource.getrlimit(number) for number in range(_COUNT))
        self._last: tuple[Limits, Changes] = ((), ())

    def needed(self, wanted: Limits) -> Changes:
        """What has to be set where a job's own process does that."""
        if not wanted:
            return ()
        if self._last[0] != wanted:
            self._last = (wanted, changes(wanted, self._own))
        return self._last[1]

    def plan(self, wanted: Limits, highest_fd: int) -> tuple[Changes, Changes]:
        """What has to be set: (to be imposed behind the gate, to be lent around the spawn); one of them at most.

        `highest_fd`: a descriptor just opened. Since the lowest free number is given, it tells whether a lowered
        NOFILE leaves the server room to open more.
        """
        needed = self.needed(wanted)
        if all(self._can_lend(limit, highest_fd) for limit in needed):
            return (), needed
        return needed, ()

    @contextmanager
    def lending(self, limits: Changes) -> Iterator[None]:
        """Have these as the server's own while a job is started, which inherits them. Costs two system calls each."""
        try:
            for limit in limits:
                resource.setrlimit(limit.number, (limit.soft, limit.hard))
            yield
        finally:
            for limit in limits:
                resource.setrlimit(limit.number, self._own[limit.number])

    def impose(self, pid: int, limits: Changes) -> None:
        """Set the limits of a process of ours that waits at the gate.

        Raises ProcessLookupError when it is gone.
        """
        for limit in limits:
            resource.prlimit(pid, limit.number, (limit.soft, limit.hard))

    def _can_lend(self, limit: Limit, highest_fd: int) -> bool:
        if limit.number not in _LENDABLE or limit.hard != self._own[limit.number][1]:
            return False
        return limit.number != resource.RLIMIT_NOFILE or not _is_less(limit.soft, highest_fd + _ROOM)


def changes(wanted: Limits, own: Limits) -> Changes:
    """The limits that differ, as far as they can be had below our own hard limits."""
    found = []
    for number, ((soft, hard), present) in enumerate(zip(wanted, own, strict=False)):
        hard = _least(_normal(hard), present[1])
        soft = _least(_normal(soft), hard)
        if (soft, hard) != present:
            found.append(Limit(number, soft, hard))
    return tuple(found)


def _normal(value: int) -> int:
    return resource.RLIM_INFINITY if value < 0 or value >= 2**63 else value


def _is_less(one: int, other: int) -> bool:
    if one == resource.RLIM_INFINITY:
        return False
    return other == resource.RLIM_INFINITY or one < other


def _least(one: int, other: int) -> int:
    return one if _is_less(one, other) else other
