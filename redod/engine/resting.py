"""Workspaces at rest: one that nobody has used for a while leaves the memory, and its directories are watched no more.

It owns when. The next use opens it again, as after a start of the server, and nothing is built for that.
"""

import logging
import os
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

SETTING = "REDOD_UNLOAD"
"""An environment variable of the server: seconds, or `off`."""
PATIENCE = 1800.0
"""Seconds."""
_LEAST = 1.0
"""Seconds between two looks at those that something else than a session keeps."""
_log = logging.getLogger(__name__)


class Resting:
    """`unused` names those that no session uses; `close` closes one."""

    def __init__(
        self, loop: AbstractEventLoop, unused: Callable[[], Iterable[bytes]], close: Callable[[bytes], None]
    ) -> None:
        self._loop = loop
        self._unused = unused
        self._close = close
        self._patience = _patience()
        self._used: dict[bytes, float] = {}
        """Until when, by the loop's clock."""
        self._timer: TimerHandle | None = None
        self._errands = 0
        self._is_due = False
        """It is to be looked when there are no errands."""
        self.keepers: list[Callable[[], Iterable[bytes]]] = []
        """What else keeps workspaces open: each names their roots."""

    @contextmanager
    def errand(self) -> Iterator[None]:
        """Around what is done for a client that has no session, or whose session does not use yet what it opens."""
        self._errands += 1
        try:
            yield
        finally:
            self._errands -= 1
            if self._is_due and not self._errands:
                self._is_due = False
                self._look_in(0)

    def used(self, roots: Iterable[bytes]) -> None:
        """Until now these were used."""
        now = self._loop.time()
        self._used.update((root, now) for root in roots)
        if self._patience is not None:
            self._look_in(self._patience)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._errands:
            self._is_due = True
            return
        assert self._patience is not None
        now, unused = self._loop.time(), list(self._unused())
        kept = {root for keeper in self.keepers for root in keeper()}
        used, self._used = self._used, {}
        for root in unused:
            until = now if root in kept else used.get(root, now)
            if until + self._patience <= now and root not in kept:
                _log.info("workspace %s: not used for %g s", os.fsdecode(root), self._patience)
                self._close(root)
            else:
                self._used[root] = until
        if self._used:
            self._look_in(max(_LEAST, min(self._used.values()) + self._patience - now))


def _patience() -> float | None:
    setting = os.environ.get(SETTING, "")
    if setting == "off":
        return None
    try:
        return max(0.0, float(setting or PATIENCE))
    except ValueError:
        _log.warning("%s is a number of seconds, or off, not %r", SETTING, setting)
        return PATIENCE
