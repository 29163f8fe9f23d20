"""`redo --watch`: build, wait for a change, build again, until the client goes.

Each build is a session of its own, as if redo-ifchange had been called. It owns the pause between a change and the
build, and what is said in between. What counts as a change is `Inputs`' to say: our own outputs, and what a script
writes before it declares it, are as the graph has them and start nothing.
"""

import asyncio
import os
import select
import signal
import time
from asyncio import TimerHandle
from collections.abc import Callable, Collection
from dataclasses import replace

from redod.commands.context import Attendant, Context
from redod.core import events
from redod.core.graph import Node
from redod.core.paths import directory_of, relative, show
from redod.engine.inputs import Inputs
from redod.files.checkouts import lock_around
from redod.session.link import JobStarter, Link

QUIET = 0.02
"""Seconds without news after which a burst of changes counts as over."""
LONGEST_BURST = 0.5
"""Seconds after which it is over in any case."""
_POLL = 1.0
"""Seconds between two looks at files of which no news come."""
_REST = 10
"""So many times as long as a look takes is the time to the next one at least: others use the server, too."""
_HELD = 0.05
"""Seconds between two looks whether what holds a build up (git at work) is over."""
_PATIENCE = 2.0
"""Seconds after which the user is told of that."""
_MOST_HEARD = 100_000
"""Paths that are remembered; when there are more everything is looked at."""
_MOST_NAMED = 5


class _CycleLink:
    """The client's link for one build: its end is not the client's."""

    def __init__(self, link: Link, over: Callable[[int], None]) -> None:
        self._link = link
        self._over = over
        self.peer = link.peer

    def output(self, descriptor: int, data: bytes) -> None:
        self._link.output(descriptor, data)

    def status(self, line: bytes) -> None:
        self._link.status(line)

    def settle(self, done: Callable[[], None]) -> None:
        self._link.settle(done)

    def start_job(self, order: bytes, descriptors: list[int], starter: JobStarter) -> None:
        self._link.start_job(order, descriptors, starter)

    def go_on(self) -> None:
        self._link.go_on()

    def exit(self, status: int) -> None:
        self._over(status)

    def die(self, number: int) -> None:
        self._over(-number)

    @property
    def is_full(self) -> bool:
        return self._link.is_full

    def on_room(self, callback: Callable[[], None]) -> None:
        self._link.on_room(callback)

    def read_stdin(self, callback: Callable[[bytes], None]) -> None:
        self._link.read_stdin(callback)


class Watch:
    """The attendant of a client that watches `targets`. `build`: begins a build for a context.

    `restart`: a change ends the build that runs and begins another; else that is finished first.
    """

    def __init__(
        self, context: Context, targets: list[bytes], build: Callable[[Context], Attendant], *, restart: bool
    ) -> None:
        # The server closes its copy of the client's standard error now.
        self._context = replace(context, stderr=os.dup(context.stderr) if context.stderr >= 0 else -1)
        self._engine = context.engine
        self._goals = [self._engine.graph.node(target) for target in targets]
        self._build = build
        self._restarts = restart
        self._inputs = Inputs(self._engine.graph, self._engine.judging)
        self._builder: Attendant | None = None
        self._columns = 0
        """Of the terminal, once it was resized."""
        self._cycle = 0
        self._heard: set[bytes] = set()
        self._lost: set[bytes] = set()
        """Directories in which something has changed, and it is not known what."""
        self._fresh: list[bytes] = []
        """What is known to have changed, until the next build begins."""
        self._during: frozenset[bytes] = frozenset()
        """What had changed during the build before and caused this one: a second time in a row it starts none."""
        self._looked = 0.0
        """Seconds that the last look took."""
        self._held = 0.0
        """Since when, by the loop's clock, something holds the next build up; 0: nothing does."""
        self._is_told = False
        """What that is."""
        self._since = 0.0
        """When the present burst began, by the loop's clock; 0: there is none."""
        self._timer: TimerHandle | None = None
        self._resting: asyncio.Task[None] | None = None
        self._signal = 0
        """Of the client; 0: none has come."""
        self._engine.watching.listeners.append(self._news)
        context.daemon.services.listeners.append(self._service_ended)
        self._engine.goals.watched.update(self._goals)
        context.link.go_on()
        self._begin()

    def interrupt(self, number: int) -> None:
        self._signal = number
        if self._builder is not None:
            self._builder.interrupt(number)
        else:
            self.gone()
            self._context.link.die(number)

    def resized(self, columns: int) -> None:
        self._columns = columns
        if self._builder is not None:
            self._builder.resized(columns)

    def gone(self) -> None:
        if self._news in self._engine.watching.listeners:
            self._engine.watching.listeners.remove(self._news)
            self._context.daemon.services.listeners.remove(self._service_ended)
            self._engine.goals.watched.subtract(self._goals)
            if self._context.stderr >= 0:
                os.close(self._context.stderr)
        self._stop_timer()
        if self._resting is not None:
            self._resting.cancel()
        self._drop_builder()

    def _begin(self) -> None:
        self._stop_timer()
        self._forget()
        self._fresh = []
        self._cycle += 1
        cycle = self._cycle

        def over(status: int) -> None:
            # Not at once: it may end while it is being begun.
            self._engine.loop.call_soon(self._over, cycle, status)

        self._builder = self._build(replace(self._context, link=_CycleLink(self._context.link, over)))
        if self._columns:
            self._builder.resized(self._columns)

    def _over(self, cycle: int, status: int) -> None:
        if cycle != self._cycle or self._builder is None:
            return
        self._builder = None
        # A build that was over already when the signal came has ended with its own status.
        if number := self._signal or max(0, -status):
            self.gone()
            self._context.link.die(number)
            return
        self._stop_timer()
        self._resting = self._engine.tasks.start(self._rest, status)

    async def _rest(self, status: int) -> None:
        """After a build: find out what to listen for, and whether it has changed already."""
        with self._engine.tasks.waiting():
            await self._inputs.gather(self._goals)
            await self._engine.catch_up()
        self._resting = None
        during = self._take_changes(self._inputs.unwatched)
        self._fresh = []
        again = [path for path in during if path in self._during]
        if again:
            self._say(
                f"{self._names(again)} changed during this build, as during the one before: some script writes to"
                " it after it was looked at. No build is started for that"
            )
        if fresh := [path for path in during if path not in self._during]:
            self._during = frozenset(during)
            self._fresh = fresh
            self._burst()
            return
        self._during = frozenset(again)
        self._say("failed; waiting for a change" if status else "done; waiting for a change")
        self._poll_later()

    def _take_changes(self, looked_at: Collection[bytes]) -> list[bytes]:
        """What has changed of what news told of, and of `looked_at`, of which none come."""
        heard = self._heard.union(looked_at, self._inputs.within(self._lost))
        self._forget()
        began = time.monotonic()
        changed = self._inputs.changed(heard)
        self._looked = time.monotonic() - began
        return list(dict.fromkeys(self._fresh + changed))

    def _forget(self) -> None:
        self._heard.clear()
        self._lost.clear()

    def _news(self, event: events.Event) -> None:
        """Something has happened, somewhere."""
        match event:
            case events.Heard(paths):
                self._heard.update(paths)
            case events.Lost(directories):
                self._lost.update(directories)
        if len(self._heard) > _MOST_HEARD:
            self._heard.clear()
            self._lost.update(self._inputs.directories)
        if self._resting is None and (self._builder is None or self._restarts):
            self._burst()

    def _service_ended(self, node: Node) -> None:
        if node in self._inputs and self._builder is None and self._resting is None:
            self._start([node.path], "ended")

    def _burst(self) -> None:
        """Wait until it is quiet."""
        now = self._engine.loop.time()
        if not self._since:
            if not (self._fresh or self._inputs.within(self._lost) or self._inputs.matter(self._heard)):
                self._forget()
                return
            self._since = now
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._engine.loop.call_at(min(now + QUIET, self._since + LONGEST_BURST), self._settled)

    def _settled(self) -> None:
        self._timer = None
        if self._is_held_up():
            self._timer = self._engine.loop.call_later(_HELD, self._settled)
            return
        self._since = 0.0
        busy = self._builder is not None
        # What scripts themselves keep changing counts only when news say that it changed while none of them ran.
        self._fresh = self._take_changes(set(self._inputs.unwatched) - self._during)
        changed = [path for path in self._fresh if not busy or path not in self._during]
        if not changed:
            if not busy:
                self._inputs.see()
                self._poll_later()
            return
        if busy:
            self._during = frozenset(changed)
            self._drop_builder()
        self._start(changed)

    def _poll_later(self) -> None:
        """Where no news come from, look."""
        if self._inputs.unwatched:
            self._timer = self._engine.loop.call_later(max(_POLL, _REST * self._looked), self._settled)

    def _is_held_up(self) -> bool:
        """Whether something is to be over first. The user is told if that takes long: nothing else tells why no build
        begins.
        """
        obstacle = self._obstacle()
        now = self._engine.loop.time()
        if not obstacle:
            self._held, self._is_told = 0.0, False
        elif not self._held:
            self._held = now
        elif now - self._held > _PATIENCE and not self._is_told:
            self._is_told = True
            self._say(obstacle)
        return bool(obstacle)

    def _obstacle(self) -> str:
        """A version control system rewrites the tree (a checkout is one change, not thousands), or there is no tree."""
        cwd = self._context.invocation.cwd
        if not os.path.isdir(cwd):
            return f"waits for {show(cwd)}, which does not exist any more"
        places = self._engine.goals.workspaces(self._goals).union(directory_of(node.path) for node in self._goals)
        for lock in filter(None, map(lock_around, places)):
            return f"waits for the end of what holds {show(relative(lock, cwd))}; if nothing does, remove it"
        return ""

    def _start(self, changed: Collection[bytes], what: str = "changed") -> None:
        if self._is_unread():
            self.gone()
            self._context.link.die(signal.SIGPIPE)
            return
        self._say(f"{self._names(changed)} {what}")
        self._begin()

    def _is_unread(self) -> bool:
        """Whether nobody can see any more what this says: who reads the pipe has ended."""
        if self._context.stderr < 0:
            return False
        poll = select.poll()
        poll.register(self._context.stderr, select.POLLERR)
        return bool(poll.poll(0))

    def _drop_builder(self) -> None:
        builder, self._builder = self._builder, None
        if builder is not None:
            builder.gone()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._since = 0.0

    def _names(self, paths: Collection[bytes]) -> str:
        cwd = self._context.invocation.cwd
        names = sorted(show(relative(path, cwd)) for path in paths)
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        return ", ".join(names[:_MOST_NAMED]) + more

    def _say(self, text: str) -> None:
        self._context.complain(text)
