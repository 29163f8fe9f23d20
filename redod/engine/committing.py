"""Committing: when what was recorded is written, and when it is brought to the disk for good.

It owns the timers. It does not know what is recorded, nor how it is written (`redod.store`).
"""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterable

from redod.engine.litter import Litter
from redod.store import StoreError
from redod.store.database import Store

COMMIT_DELAY = 0.1
"""Seconds in which results are gathered for one commit: a commit costs some 0.2 ms, however many rows it has."""
CHECKPOINT_DELAY = 5.0
"""Seconds without a commit after which all is brought to the disk for good (fsync): nobody waits for it then."""


class Committing:
    """`stores`: those that are open. `litter`: is swept along. `notices`: gets what the user is to know."""

    def __init__(
        self, loop: AbstractEventLoop, stores: Callable[[], Iterable[Store]], litter: Litter, notices: list[str]
    ) -> None:
        self._loop = loop
        self._stores = stores
        self._litter = litter
        self._notices = notices
        self._timer: TimerHandle | None = None
        self._checkpoint: TimerHandle | None = None

    def soon(self) -> None:
        """Something is to be written."""
        if self._timer is None:
            self._timer = self._loop.call_later(COMMIT_DELAY, self._tick)

    def sweep_later(self, temporary: bytes) -> None:
        """Remove what a script left beside its `$3`, with the next commit."""
        self._litter.leave(temporary)
        self.soon()

    def commit(self, *, sweep: bool = True) -> None:
        """Write everything that is pending. What cannot be written stays pending, and the user is told.

        `sweep`: also remove what scripts left beside their `$3`.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._checkpoint_later()
        if sweep:
            self._litter.sweep()
        for store in self._stores():
            try:
                notice = store.commit()
                if notice:
                    self._notices.append(notice)
            except StoreError as error:
                self._notices.append(f"{error}; it is tried again, and what cannot be recorded is built again")

    def _tick(self) -> None:
        self.commit(sweep=self._litter.is_due)

    def _checkpoint_later(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.cancel()
        self._checkpoint = self._loop.call_later(CHECKPOINT_DELAY, self._bring_to_disk)

    def _bring_to_disk(self) -> None:
        self._checkpoint = None
        for store in self._stores():
            try:
                store.checkpoint()
            except StoreError as error:
                self._notices.append(str(error))
