"""The jobservers of all pools: which pipe is whose, what a job is to inherit, and when a pipe has tokens again.

It owns the pipes and the loop's watching of them. What tokens mean is the ledger's matter (`redod.core.tokens`).
"""

import logging
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable

from redod.core.tokens import Pool
from redod.jobserver.pipe import Pipe, create

_log = logging.getLogger(__name__)
_AWKWARD = frozenset(b" \t\n\\$#\"'")
"""Bytes that a word of MAKEFLAGS does not bear."""


class Jobservers:
    """A pool has a pipe from its first job on until it rests, but one that is kept, or a make's, until it is closed.

    `prefix`: how the paths of FIFOs begin.
    """

    def __init__(self, loop: AbstractEventLoop, prefix: bytes) -> None:
        self._loop = loop
        self._prefix = prefix
        self._pipes: dict[Pool, Pipe] = {}
        self._kept: set[Pool] = set()
        self._watched: set[Pool] = set()
        self._count = 0
        self.shown: tuple[int, ...] = ()
        """The descriptors that a process started now inherits."""

    def keep(self, pool: Pool) -> None:
        """Many sessions will use this pool."""
        self._kept.add(pool)

    def let_go(self, pool: Pool) -> None:
        """No more sessions than those that run will use this pool."""
        self._kept.discard(pool)

    def lend(self, pool: Pool, pipe: Pipe) -> None:
        """Let a pool draw on the jobserver of a make."""
        self._pipes[pool] = pipe

    def show(self, pool: Pool, by_fifo: bool) -> bytes:
        """Have the next job inherit the pool's jobserver and no other; what MAKEFLAGS is to name, empty for none.

        The descriptors stay inheritable until another pool's are wanted: in the usual build that is one system call a
        job, which finds out whether a make has changed the read end.
        """
        pipe = None if pool.serial else self._pipe(pool, by_fifo)
        if pipe is None:
            self._inherit(())
            return b""
        if pipe.is_changed:
            self._inherit(())
            pipe.renew()
        auth = pipe.auth(by_fifo)
        self._inherit(() if auth.startswith(b"fifo:") else pipe.ends)
        return auth

    def hide(self) -> None:
        """Have the next process inherit none: one that is no job."""
        self._inherit(())

    def take(self, pool: Pool, offer: Callable[[], None]) -> bool:
        """Take a token. Where there is none now: False, and `offer` is called once, when there may be one."""
        pipe = self._pipe(pool)
        if pipe is None or pipe.take():
            return pipe is not None
        self._watched.add(pool)
        self._loop.add_reader(pipe.read, self._readable, pool, pipe, offer)
        return False

    def put(self, pool: Pool, number: int) -> None:
        """Give tokens back."""
        pipe = self._pipes.get(pool)
        if pipe is not None:
            pipe.put(number)

    def rest(self, pool: Pool) -> None:
        """Nothing of the pool runs any more."""
        pipe = self._pipes.get(pool)
        if pipe is None or pool.borrowed:
            return
        if pool not in self._kept:
            self.close(pool)
            return
        self._stop_watching(pool, pipe)
        # Jobs that were killed with tokens have not given them back.
        if missing := pipe.refill(pool.size - 1):
            _log.info("jobserver: %d of %d tokens were not given back", missing, pool.size)

    def close(self, pool: Pool) -> None:
        """The pool is not used any more, or only by what runs now."""
        self._kept.discard(pool)
        pipe = self._pipes.pop(pool, None)
        if pipe is not None:
            self._stop_watching(pool, pipe)
            if self.shown == pipe.ends:
                self.shown = ()
            pipe.close()

    def close_all(self) -> None:
        for pool in list(self._pipes):
            self.close(pool)

    def _pipe(self, pool: Pool, by_fifo: bool = False) -> Pipe | None:
        """The pool's pipe, made now if need be; None where that fails: makes in its scripts do without."""
        pipe = self._pipes.get(pool)
        if pipe is None:
            try:
                pipe = self._pipes[pool] = create(pool.size - 1, self._fifo() if by_fifo or pool in self._kept else b"")
            except OSError as error:
                _log.error("cannot make a jobserver: %s", error)
        return pipe

    def _fifo(self) -> bytes:
        self._count += 1
        path = self._prefix + b"%d" % self._count
        return b"" if _AWKWARD.intersection(path) else path

    def _inherit(self, ends: tuple[int, ...]) -> None:
        if ends == self.shown:
            return
        for number in self.shown:
            os.set_inheritable(number, False)
        for number in ends:
            os.set_inheritable(number, True)
        self.shown = ends

    def _readable(self, pool: Pool, pipe: Pipe, offer: Callable[[], None]) -> None:
        self._stop_watching(pool, pipe)
        offer()

    def _stop_watching(self, pool: Pool, pipe: Pipe) -> None:
        if pool in self._watched:
            self._watched.remove(pool)
            self._loop.remove_reader(pipe.read)
