"""Callers: clients that have something built. A caller without a running job around it opens a session."""

import asyncio
import os
import random
from functools import partial

from redod.core import events
from redod.core.model import Call, Job, Session
from redod.core.paths import relative
from redod.core.states import JobState
from redod.core.tokens import Pool
from redod.engine import telling
from redod.engine.client import Direct, OnConsole, Setting, Starter, Wishes
from redod.engine.engine import Engine
from redod.engine.run import Run
from redod.errors import RedodError
from redod.failpoints import reach
from redod.jobs.command import PLAIN, Flags
from redod.jobs.process import NOWHERE, JobProcess, identity
from redod.logs.joblog import JobLog
from redod.progress.line import status_line
from redod.session.console import ClientJobs, Console
from redod.session.link import Link
from redod.session.options import BuildOptions, Terminal
from redod.session.progress import progress_of
from redod.session.screen import Screen
from redod.session.subscription import Subscription


class Caller:
    """One client's request to build. It is the engine's `Client`.

    `run`: the job whose script makes the call. `is_redirected`: the client's standard error is not that job's, so what
    the call builds is shown to the client itself, as a plain process tree would. `pool`: what a session without -j
    draws on, if not the shared one. `stderr`: our descriptor for the client's standard error, borrowed; -1:
    it has none.
    """

    def __init__(
        self, engine: Engine, link: Link, setting: Setting, name: str, options: BuildOptions,
        *, run: Run | None, is_redirected: bool, terminal: Terminal, pool: Pool | None = None, stderr: int = -1,
    ) -> None:  # fmt: skip
        self.setting = setting
        self._engine = engine
        self._link = link
        self._name = name
        self._options = options
        self._run = run
        self._call: Call | None = None
        self._undrained: JobProcess | None = None
        """The script that has made the call: what it has printed before belongs before what the call shows."""
        self.preparing: asyncio.Task[None] | None = None
        """What goes on before the call can be made; cancelled when the client leaves."""
        self._status = 0
        self._signal = 0
        self._is_answered = False
        """Its call is over; with what it did may still wait to be shown."""
        self._over = False
        parent = None if run is None else run.client
        self._first_session: Session = engine.scheduler.open_session(
            pool=pool, keep_going=options.keep_going, load_limit=options.load,
            background=options.background_priority or setting.nice > 0,
        ) if run is None else run.job.session  # fmt: skip
        self.session_id = b"%d.%d" % (os.getpid(), self.session.number) if parent is None else parent.session_id
        self.debug = bool(options.debug) or (parent is not None and parent.debug)
        self.debug_locks = options.debug_locks or (parent is not None and parent.debug_locks)
        self._parent = parent if isinstance(parent, Caller) else None
        self.is_unlogged: bool = not options.log or (self._parent is not None and self._parent.is_unlogged)
        self.console: Console = Console() if self._parent is None else self._parent.console
        self._client_jobs: ClientJobs | None = None
        if run is None or self.is_unlogged or terminal.is_terminal:
            self._client_jobs = ClientJobs(engine.readers, link, identity(stderr) if stderr >= 0 else NOWHERE)
        self._stderr = os.dup(stderr) if self.is_unlogged and stderr >= 0 else -1
        self._terminal = terminal
        self._began = engine.loop.time()
        around = parent.wishes if parent is not None else Wishes()
        if options.background is not None or options.timeout is not None:
            around = Wishes(options.background or around.background, options.timeout or around.timeout)
        self.wishes = around
        self.nested_flags: Flags = parent.nested_flags if isinstance(parent, Caller) else PLAIN
        """What sh is to print of scripts that the call did not name itself."""
        if options.trace > 1 or options.verbose > 1:
            trace, verbose = self.nested_flags
            self.nested_flags = Flags(options.trace > 1 or trace, options.verbose > 1 or verbose)
        self._screen: Screen | None = None
        self._subscription = None if options.events is None else Subscription(engine.feed, link, self.session.number)
        if run is None or is_redirected:
            self._log = JobLog(setting.cwd)
            style = options.style(setting.cwd, terminal)
            is_watched = run is None and terminal.is_terminal
            style = style._replace(
                debug=self.debug or self.debug_locks, failures=is_watched and options.pretty and not options.quiet
            )
            # What is printed past us would run into it.
            has_status = is_watched and options.status and options.log and not terminal.is_dumb
            status = self._status_line if has_status else None
            self._screen = Screen(engine.loop, link, self._log, style, self._shown, status=status)
        else:
            self._log = run.log
        if run is None:
            engine.on_end(self.session, self._session_over)

    @property
    def session(self) -> Session:
        """A script's call belongs to the session that has its job now, which may have taken it over."""
        return self._first_session if self._run is None else self._run.job.session

    @property
    def job(self) -> Job | None:
        """Whose script makes the call."""
        return None if self._run is None else self._run.job

    @property
    def log(self) -> JobLog:
        """Where what it asks for is shown. Most calls of scripts show nothing, and leave what these print for later."""
        if self._undrained is not None:
            self._undrained.drain_stderr()
            self._undrained = None
        return self._log

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
        if run is not None and self._screen is None:
            self._undrained = run.process
        engine.post(events.CallMade(self._call))
        if run is not None and isinstance(run.starter, OnConsole) and not self._is_answered:
            # The script waits, so others may have its terminal.
            run.starter.release(run)

    def starter(self, job: Job, root: bytes) -> Starter | None:
        """How to start this job; None: with its output in the log."""
        if self.is_unlogged and not job.pool.serial:
            return Direct(self._stderr, self._start_line) if self._stderr >= 0 else None
        if self.is_unlogged:
            return self._on_console(self)
        if self._wants_console(job, root):
            return self._on_console(self._beside_terminal())
        return None

    def _on_console(self, starting: "Caller") -> OnConsole:
        acquire = partial(self.console.acquire, starting._around_screen())
        assert starting._client_jobs is not None
        return OnConsole(acquire, self.console.release, starting._client_jobs.start)

    def _wants_console(self, job: Job, root: bytes) -> bool:
        if self._options.console and self._call in job.want.calls:
            return True
        config = self._engine.stores.configs.last(root)
        return bool(config.console) and config.has_console(os.fsdecode(relative(job.node.path, root)))

    def _beside_terminal(self) -> "Caller":
        """The nearest client around that has a terminal, else the outermost: only a process of its session can use
        that.
        """
        caller = self
        while caller._parent is not None and not caller._terminal.is_terminal:
            caller = caller._parent
        return caller

    def _around_screen(self) -> Screen | None:
        """What shows our jobs."""
        caller: Caller | None = self
        while caller is not None and caller._screen is None:
            caller = caller._parent
        return caller._screen if caller is not None else None

    def _start_line(self, run: Run) -> bytes:
        screen = self._around_screen()
        return screen.start_line(run.log, run.depth) if screen is not None else b""

    def reply(self, status: int) -> None:
        self._status, self._is_answered = status, True
        if self._run is None:
            # A container may be killed the moment its first process ends.
            self._engine.stores.committing.commit()
            reach("reply.before")
            if self._call is not None and not self._call.force:
                self._engine.goals.asked(self._call.targets)
        for notice in self._engine.stores.take_notices():
            self.complain(notice)
        run = self._run
        if run is not None and isinstance(run.starter, OnConsole) and run.job in self._engine.runs:
            # The script goes on when it has its terminal back.
            run.starter.acquire(run, self._end)
        else:
            self._end()
        if self._run is None:
            reach("reply.after")

    def complain(self, text: str) -> None:
        line = os.fsencode(f"{self._name}: {text}")
        if self._screen is not None:
            self._log.message(line)
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
        if self._client_jobs is not None:
            self._client_jobs.lost()
        self._close_stderr()
        if self._screen is not None:
            self._screen.close()
        if not self._over:
            self._leave()
        if self._parent is None:
            self._fail_stranded()

    def _fail_stranded(self) -> None:
        """What another session has taken over cannot have the terminal any more."""
        for run in self.console.stranded():
            if run.job in self._engine.runs and not run.job.cancelled:
                self._engine.post(
                    events.StartFailed(run.job, "the terminal that it was to have is gone; build it again")
                )

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
            self._engine.stores.committing.commit()
            self._end()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        if self._call is not None and self._run is not None and self._run.limit is not None:
            self._run.limit.resume()
        # It refers to us, and what refers to each other waits for the collector.
        self._call = None
        self._undrained = None
        if self._screen is None:
            self._shown()
        else:
            self._log.give_up()
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
        return status_line(progress, self._terminal.columns, self._options.has_color(self._terminal)).encode()

    def _close_stderr(self) -> None:
        if self._stderr >= 0:
            os.close(self._stderr)
            self._stderr = -1

    def _shown(self) -> None:
        if self._run is None:
            telling.session_ended(self._engine.feed, self.session, -self._signal or self._status)
        self._unsubscribe()
        self._close_stderr()
        if self._signal:
            self._link.die(self._signal)
        else:
            self._link.exit(self._status)
