"""What scripts leave beside their `$3` (`$3.d` and the like): removed soon after the job, and not at any price.

It owns when a directory is looked through. It does not know which entries are litter (`redod.files.litter`).
"""

import time
from asyncio import AbstractEventLoop

from redod.files.litter import remove_siblings

_CHEAP = 0.002
"""Seconds that listing a directory may take to be done at once; 10,000 entries or so."""
_PAUSE = 1.0
"""Seconds between two looks through a directory during a build: 1,000 entries cost 0.6 ms, 200,000 cost 0.1 s."""


class Litter:
    """The `$3` names of jobs that run, and of those that are over and not yet cleaned up after."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._in_use: set[bytes] = set()
        self._left: dict[bytes, set[bytes]] = {}
        """By directory, names of jobs that are over."""
        self._dear: set[bytes] = set()
        """Directories that take long to list."""
        self._is_planned = False
        self._swept = 0.0

    def __contains__(self, temporary: bytes) -> bool:
        """A job uses it."""
        return temporary in self._in_use

    @property
    def is_due(self) -> bool:
        """It is a while since directories were looked through; in the midst of a build that need not be often."""
        return time.monotonic() > self._swept + _PAUSE

    def add(self, temporary: bytes) -> None:
        """A job with this `$3`, absolute, begins."""
        self._in_use.add(temporary)

    def leave(self, temporary: bytes) -> None:
        """The job is over."""
        self._in_use.discard(temporary)
        directory, _, name = temporary.rpartition(b"/")
        self._left.setdefault(directory, set()).add(name)

    def sweep(self) -> None:
        """Clean up where that is cheap; elsewhere in a while, in a thread."""
        self._swept = time.monotonic()
        for directory in [directory for directory in self._left if directory not in self._dear]:
            if self._sweep(directory, self._left.pop(directory)) > _CHEAP:
                self._dear.add(directory)
        if self._left and not self._is_planned:
            self._is_planned = True
            self._loop.call_later(_PAUSE, self._sweep_dear)

    def sweep_all(self) -> None:
        """Clean up at once, however long it takes: nothing comes after."""
        left, self._left = self._left, {}
        for directory, names in left.items():
            self._sweep(directory, names)

    def _sweep_dear(self) -> None:
        self._is_planned = False
        self._dear.clear()
        left, self._left = self._left, {}
        for directory, names in left.items():
            self._dear.add(directory)
            self._loop.run_in_executor(None, self._sweep, directory, names)

    def _sweep(self, directory: bytes, names: set[bytes]) -> float:
        """Returns how long it took, in seconds."""
        began = time.monotonic()
        remove_siblings(directory, names, self._in_use)
        return time.monotonic() - began
