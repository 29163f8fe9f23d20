"""The jobservers of all pools, simulated: tokens that a build server, and makes in its scripts, take and put back."""

from collections.abc import Callable

from redod.core import events
from redod.core.tokens import Pool


class Jobserver:
    """`tell`: has the core told of tokens."""

    def __init__(self, tell: Callable[[events.Event], None]) -> None:
        self.tokens: dict[Pool, int] = {}
        """What is there to be taken."""
        self.asked = 0
        """How often a pool asked."""
        self._tell = tell
        self._watched: set[Pool] = set()

    def ask(self, pool: Pool) -> None:
        """The core wants a token, now or as soon as there is one."""
        self.asked += 1
        if self.take(pool, 1):
            self._tell(events.TokenGranted(pool))
        else:
            self._watched.add(pool)

    def take(self, pool: Pool, most: int) -> int:
        """Returns how many there were to be taken."""
        there = self.tokens.setdefault(pool, pool.size - 1)
        taken = min(there, most)
        self.tokens[pool] = there - taken
        return taken

    def put(self, pool: Pool, number: int) -> None:
        self.tokens[pool] = self.tokens.setdefault(pool, pool.size - 1) + number
        if number and pool in self._watched:
            self._watched.remove(pool)
            self._tell(events.TokenOffered(pool))

    def rest(self, pool: Pool) -> None:
        """Nothing of it is used."""
        self._watched.discard(pool)
        if not pool.borrowed:
            assert self.tokens.pop(pool, pool.size - 1) <= pool.size - 1
