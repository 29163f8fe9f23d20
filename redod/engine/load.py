"""The machine's load, and the sessions that wait until it is below their limit."""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable

from redod.core.model import Session

_INTERVAL = 0.5
"""Seconds until a load that was too high is looked at again."""


def running_processes() -> int:
    """How many processes run on this machine or could, without ourselves: proc_loadavg(5), the fourth field.

    Averages lag behind: a whole burst of jobs would start before the first of them counts.
    """
    with open("/proc/loadavg", "rb", buffering=0) as file:
        return max(0, int(file.readall().split()[3].partition(b"/")[0]) - 1)


class LoadWatch:
    """`fell` is called with a session once the load is below its limit; `held`, once a session, where it is not."""

    def __init__(
        self, loop: AbstractEventLoop, fell: Callable[[Session], None], held: Callable[[Session, int], None],
        measure: Callable[[], int] = running_processes,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._fell = fell
        self._held = held
        self._measure = measure
        self._timers: dict[Session, TimerHandle] = {}
        self._told: set[Session] = set()

    def is_low(self, session: Session) -> bool:
        """Whether the load is below the session's limit now; where it is not, `fell` follows."""
        load = self._measure()
        if load < session.load_limit:
            return True
        if session not in self._told:
            self._told.add(session)
            self._held(session, load)
        self._timers[session] = self._loop.call_later(_INTERVAL, self._look_again, session)
        return False

    def forget(self, session: Session) -> None:
        """The session is over."""
        self._told.discard(session)
        if timer := self._timers.pop(session, None):
            timer.cancel()

    def _look_again(self, session: Session) -> None:
        del self._timers[session]
        if self.is_low(session):
            self._fell(session)
