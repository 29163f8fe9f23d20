"""Callers: clients that have something built. A caller without a running job around it opens a session."""

import asyncio
import os
import random

from redod.core import events
from redod.core.model import Call, Session
from redod.core.states import JobState
from redod.core.tokens import Pool
from redod.engine import telling
from redod.engine.client import Setting, Wishes
from redod.engine.engine import Engine
from redod.engine.run import Run
from redod.errors import RedodError
from redod.failpoints import reach
from redod.jobs.command import PLAIN, Flags
from redod.logs.joblog import JobLog
from redod.progress.line import status_line
from redod.session.link import Link
from redod.session.options import BuildOptions, Terminal
from redod.session.progress import progress_of
from redod.session.screen import Screen
from redod.session.subscription import Subscription


class Caller:
    """One client's request to build. It is the engine's `Client`.

    `run`: the job whose script makes the call. `is_redirected`: the client's standard error is not that job's, so what
    the call builds is shown to the client itself, as a plain process tree would. `pool`: what a session without -j
    draws on, if not the shared one.
    """

    def __init__(
        self, engine: Engine, link: Link, setting: Setting, name: str, options: BuildOptions,
        *, run: Run | None, is_redirected: bool, terminal: Terminal, pool: Pool | None = None,
    ) -> None:  # fmt: skip
        self.setting = setting
        self._engine = engine
        self._link = link
        self._name = name
        self._options = options
        self._run = run
        self._call: Call | None = None
        self.preparing: asyncio.Task[None] | None = None
        """What goes on before the call can be made; cancelled when the client leaves."""
        self._status = 0
        self._signal = 0
        self._over = False
        parent = None if run is None else run.client
        self.session: Session = engine.scheduler.open_session(
            jobs=options.jobs, pool=pool, keep_going=options.keep_going
        ) if run is None else run.job.session  # fmt: skip
        self.session_id = b"%d.%d" % (os.getpid(), self.session.number) if parent is None else parent.session_id
        self.debug = bool(options.debug) or (parent is not None and parent.debug)
        self.debug_locks = options.debug_locks or (parent is not None and parent.debug_locks)
        self._terminal = terminal
        self._began = engine.loop.time()
        around = parent.wishes if parent is not None else Wishes()
        self.wishes = Wishes(options.background or around.background, options.timeout or around.timeout)
        self.nested_flags: Flags = parent.nested_flags if isinstance(parent, Caller) else PLAIN
        """What sh is to print of scripts that the call did not name itself."""
        if options.trace > 1 or options.verbose > 1:
            trace, verbose = self.nested_flags
            self.nested_flags = Flags(options.trace > 1 or trace, options.verbose > 1 or verbose)
        self._screen: Screen | None = None
        self._subscription = None if options.events is None else Subscription(engine.feed, link, self.session.number)
        if run is None or is_redirected:
            self.log = JobLog(setting.cwd)
            style = options.style(setting.cwd, terminal)
            is_watched = run is None and terminal.is_terminal
            style = style._replace(debug=self.debug or self.debug_locks, failures=is_watched and options.pretty)
            status = self._status_line if is_watched and options.status and not terminal.is_dumb else None
            self._screen = Screen(engine.loop, link, self.log, style, self._shown, status=status)
        else:
            self.log = run.log
        if run is None:
            engine.on_end(self.session, self._session_over)

    @property
    def client(self) -> int:
        return self._link.peer

    def flags(self, nested: bool) -> Flags:
        deeper = self.nested_flags
        if nested or not (self._options.trace or self._options.verbose):
            return deeper
        return Flags(self._options.trace > 0 or deeper.trace, self._options.verbose > 0 or deeper.verbose)

    def build(self, targets: list[bytes], *, force: bool) -> None:
        """Have these canonical paths built. Their workspaces are open."""
        engine, run = self._engine, self._run
        if self._over or self._signal:
            return
        if run is not None and (run.job.cancelled or run.job.state is JobState.DONE):
            self.refuse(RedodError("the target whose script asks for this is not being built any more"))
            return
        if self._options.shuffle:
            random.shuffle(targets)
        if run is not None and run.process is not None:
            # What the script has printed belongs before what it asks for.
            run.process.drain_stderr()
        if run is None:
            telling.session_started(
                engine.feed, self.session, self.session_id, self._name, self._link.peer, self.setting.cwd, targets
            )
        jobs = None if run is None else self._options.jobs
        if jobs is not None:
            self.complain(f"a -j{jobs} below another redo: it gets a pool of its own, beside the one around it")
        self._call = engine.scheduler.call(
            self.session, targets, force=force, job=None if run is None else run.job, jobs=jobs,
            cwd=self.setting.cwd, client=self,
        )  # fmt: skip
        if run is not None and run.limit is not None:
            run.limit.pause()
        engine.post(events.CallMade(self._call))

    def reply(self, status: int) -> None:
        self._status = status
        if self._run is None:
            # A container may be killed the moment its first process ends.
            self._engine.stores.commit()
            reach("reply.before")
        for notice in self._engine.stores.take_notices():
            self.complain(notice)
        self._end()
        if self._run is None:
            reach("reply.after")

    def complain(self, text: str) -> None:
        line = os.fsencode(f"{self._name}: {text}")
        if self._screen is not None:
            self.log.message(line)
        else:
            self._link.output(2, line + b"\n")

    def refuse(self, error: RedodError) -> None:
        """The call cannot be made."""
        self.complain(str(error))
        self._status = error.status
        self._end()
        if self._run is None:
            self._engine.post(events.SessionCancelled(self.session))
        elif self.session not in self._engine.scheduler.world.sessions:
            self._engine.stores.leave(self.session)

    def interrupt(self, number: int) -> None:
        """The client received a signal: everything ends, then it dies by it."""
        self._signal = number
        if self._screen is not None:
            self._screen.hide_status()
        if self._over:
            self._cut_short()
        else:
            self._leave()

    def resized(self, columns: int) -> None:
        """The client's terminal is so wide now."""
        self._terminal.columns = columns
        if self._screen is not None:
            self._screen.resized()

    def gone(self) -> None:
        """The client is gone."""
        self._unsubscribe()
        if self._screen is not None:
            self._screen.close()
        if not self._over:
            self._leave()

    def _leave(self) -> None:
        if self.preparing is not None:
            self.preparing.cancel()
        if self._run is None:
            self._engine.post(events.SessionCancelled(self.session))
            return
        if self._call is not None:
            self._engine.post(events.CallLeft(self._call))
        self._end()

    def _session_over(self) -> None:
        self._engine.stores.leave(self.session)
        if not self._over:
            self._status = 1
            if not self._signal:
                self.complain("the server was stopped, and with it this build")
            self._engine.stores.commit()
            self._end()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        if self._call is not None and self._run is not None and self._run.limit is not None:
            self._run.limit.resume()
        if self._screen is None:
            self._shown()
        else:
            self.log.give_up()
            self._screen.show()
            if self._signal:
                self._cut_short()

    def _cut_short(self) -> None:
        """The client does not wait for what is still to be shown."""
        if self._screen is not None:
            self._screen.close()
        self._shown()

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._subscription.close()

    def _status_line(self) -> bytes:
        seconds = self._engine.loop.time() - self._began
        is_preparing = self.preparing is not None and not self.preparing.done()
        progress = progress_of(self.session, self.setting.cwd, seconds, is_preparing)
        color = self._terminal.is_colored if self._options.color is None else self._options.color
        return status_line(progress, self._terminal.columns, color).encode()

    def _shown(self) -> None:
        if self._run is None:
            telling.session_ended(self._engine.feed, self.session, -self._signal or self._status)
        self._unsubscribe()
        if self._signal:
            self._link.die(self._signal)
        else:
            self._link.exit(self._status)
