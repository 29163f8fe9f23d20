"""The ledger of tokens: who may run a job now, and who waits for that.

A pool has `size` tokens. Whoever waits stands in the line of its session; a line may always have one job running,
whatever the pool
holds (the implicit slot of a GNU make jobserver), so sessions cannot starve each other.

A pool is a GNU make jobserver, its own or a make's: each token that the ledger does not have is a byte in the
jobserver's pipe, or some make in a script has it. As in make, one token is never a byte. A token that comes free goes
to who waits; only one that nobody wants is returned.
"""

import heapq
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redod.core.model import Call, Job, Session, Want


class Line:
    """What waits for tokens of one pool on behalf of one session."""

    __slots__ = ("resuming", "session", "wants")

    def __init__(self, session: "Session") -> None:
        self.session = session
        self.resuming: deque[Call] = deque()
        """Calls that are answered as soon as their parked job has its token back. They go before new jobs: they finish
        what was begun.
        """
        self.wants: list[tuple[tuple[int, ...], int, Want]] = []
        """A heap in the order in which a serial build would come to them."""

    @property
    def may_go(self) -> bool:
        """No limit of the machine's load holds it back."""
        session = self.session
        return not session.load_limit or session.load_is_low or session.running == 0 or bool(self.resuming)

    def pop(self) -> "Want":
        return heapq.heappop(self.wants)[2]

    def __bool__(self) -> bool:
        return bool(self.resuming or self.wants)


class Pool:
    """`size` tokens. `serial`: with one token everything happens strictly in the order asked.

    `borrowed`: the jobserver is that of the make below which the session was started.
    """

    def __init__(self, size: int, *, borrowed: bool = False) -> None:
        self.size = size
        self.serial = size == 1
        self.borrowed = borrowed
        self.tokens = 1
        """Those that the ledger has, in the hands of holders or free."""
        self.asked = False
        """The shell was asked for one more, and has neither granted nor offered it yet."""
        self.holders: set[Job] = set()
        """The jobs that hold a token; more than `tokens` only through implicit slots."""
        self.lines: dict[Session, Line] = {}
        self._sequence = 0

    def line(self, session: "Session") -> Line:
        found = self.lines.get(session)
        if found is None:
            found = self.lines[session] = Line(session)
        return found

    def enqueue(self, want: "Want") -> None:
        self._sequence += 1
        heapq.heappush(self.line(want.session).wants, (want.order, self._sequence, want))

    def next_line(self) -> Line | None:
        """The line that may go on now: the first of all while there are tokens, else one whose session runs nothing.

        Sessions in the background come last; of the others, who runs least.
        """
        free = len(self.holders) < self.tokens
        best: Line | None = None
        for session in list(self.lines):
            line = self.lines[session]
            if not line:
                del self.lines[session]
            elif (
                (free or session.running == 0) and line.may_go and (best is None or self._rank(line) < self._rank(best))
            ):
                best = line
        return best

    def held_by_load(self) -> "list[Session]":
        """The sessions that could start a job if the machine's load were low, and have not asked about it."""
        if len(self.holders) >= self.size:
            return []
        return [session for session, line in self.lines.items() if not line.may_go and not session.load_asked]

    @property
    def wants_more(self) -> bool:
        """Somebody waits, and the ledger could have another token. Only when `next_line` has found no line to go on."""
        return not self.asked and self.tokens < self.size and self._has_who_may_go()

    def take_surplus(self) -> int:
        """Give up the free tokens that nobody waits for; how many."""
        surplus = self.tokens - max(1, len(self.holders))
        if surplus <= 0 or self._has_who_may_go():
            return 0
        self.tokens -= surplus
        return surplus

    def _has_who_may_go(self) -> bool:
        return any(line.may_go for line in self.lines.values())

    def rehome(self, old: "Session", new: "Session", pool: "Pool") -> None:
        """Move what waits in the line of `old` on behalf of things that belong to `new` now into its line of `pool`."""
        line = self.lines.get(old)
        if line is None:
            return
        into = pool.line(new)
        into.resuming.extend(call for call in line.resuming if call.session is new)
        line.resuming = deque(call for call in line.resuming if call.session is not new)
        into.wants.extend(entry for entry in line.wants if entry[2].session is new)
        line.wants = [entry for entry in line.wants if entry[2].session is not new]
        heapq.heapify(into.wants)
        heapq.heapify(line.wants)

    @staticmethod
    def _rank(line: Line) -> tuple[bool, int, tuple[int, ...]]:
        session = line.session
        return session.background, session.running, () if line.resuming else line.wants[0][0]

    def take(self, job: "Job") -> None:
        assert job not in self.holders, f"{job!r} holds a token already"
        self.holders.add(job)
        job.session.running += 1
        job.session.load_is_low = False

    def give_back(self, job: "Job") -> None:
        """Return a job's token, if it holds one."""
        if job in self.holders:
            self.holders.remove(job)
            job.session.running -= 1
