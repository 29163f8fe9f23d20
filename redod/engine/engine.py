"""The engine: hands events to the scheduler and carries out what it orders.

It is the only place that moves the core. Events are taken in one at a time; everything that is not instant (scripts,
large copies, looking for holders) ends in another event. A long check is cut into slices, so that a status request is
answered meanwhile.
"""

import asyncio
import logging
import os
import signal
import time
from asyncio import AbstractEventLoop, TimerHandle, to_thread
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import assert_never

from redod.core import events
from redod.core import instructions as do
from redod.core.graph import Graph
from redod.core.model import Call, Job, Session
from redod.core.moves import clients_of
from redod.core.outcome import Outcome
from redod.core.paths import relative
from redod.core.scheduler import Scheduler
from redod.core.states import JobState
from redod.core.tokens import Pool
from redod.core.verdicts import Reason
from redod.engine import telling
from redod.engine.client import Client, Direct, OnConsole
from redod.engine.environment import Environments
from redod.engine.goals import Goals
from redod.engine.judging import Judging
from redod.engine.keeping import keep_log
from redod.engine.load import LoadWatch
from redod.engine.looking import Looking
from redod.engine.needs import Needs
from redod.engine.placing import Placing
from redod.engine.pools import Pools
from redod.engine.remains import Remains
from redod.engine.run import Run
from redod.engine.starting import Starting
from redod.engine.stores import OpenWorkspace, Stores
from redod.engine.tasks import SLICE, Tasks
from redod.engine.watching import Watching
from redod.files import outputs
from redod.files.captures import Captures
from redod.files.observe import ObserveError
from redod.files.outputs import OutputError
from redod.files.temporaries import temporary_name
from redod.jobs.ending import Marks, end
from redod.jobs.holders import read_process
from redod.jobs.scan import Scan
from redod.jobs.spawner import Spawner
from redod.jobserver.jobservers import Jobservers
from redod.readers import Readers
from redod.store import StoreError
from redod.store.lock import Owner
from redod.trace.feed import Feed

_log = logging.getLogger(__name__)

_KEEP = 1.0
"""Seconds after the last job in which its capture file and its cgroup may be used again."""
_LARGE = 1 << 20
"""Bytes above which a captured stdout is copied in a thread."""


class Engine:
    """`jobs`: the size of the shared pool. `owner`: who we are. `commands`: a directory of redo commands only."""

    def __init__(self, loop: AbstractEventLoop, *, jobs: int, owner: Owner, commands: bytes) -> None:
        self.graph = Graph(time.time_ns() // 1000)
        self.scheduler = Scheduler(self.graph, jobs)
        self.stores = Stores(loop, self.graph, owner)
        self.needs = Needs(self.stores)
        self.goals = Goals(self.graph, self.stores)
        self.tasks = Tasks()
        self.remains = Remains(self.tasks, self.stores.litter)
        self.stores.on_crash = self.remains.clean_up
        self.runs: dict[Job, Run] = {}
        self.jobs_run = 0
        """Since the start."""
        self.is_broken = False
        """It met an error of its own and does nothing any more."""
        self.on_failure: Callable[[], None] = loop.stop
        """Called then."""
        self.feed = Feed()
        """Programs that are told what happens."""
        self.on_job_end: Callable[[Job, int], None] = lambda job, status: None
        """Called when a job is over; what it printed can still be added to."""
        self.loop = loop
        self.socket = owner.socket
        self._tokens: dict[bytes, Run] = {}
        self.jobservers = Jobservers(loop, owner.socket.removesuffix(b".sock") + b".jobs")
        self.pools = Pools(self.scheduler.world, self.stores, self.jobservers)
        self._loads = LoadWatch(loop, lambda session: self.post(events.LoadFell(session)), _tell_of_load)
        self.readers = Readers(loop)
        self.spawner = Spawner(self.readers, commands + b"/redod")
        self._scan = Scan()
        self._captures = Captures()
        self._events: deque[events.Event] = deque()
        self._busy = False
        self.watching = Watching(
            loop, self.graph, self.post, is_idle=lambda: not self._busy, has_jobs=lambda: bool(self.runs)
        )
        self._looking = Looking(self.graph, self.stores, self.watching)
        self.judging = Judging(self.scheduler, self.stores, self._looking, self.catch_up)
        self.stores.on_left = self.watching.leave
        self.stores.resting.keepers.append(self.goals.workspaces)
        self._placing = Placing(loop, self.stores, self.watching, self._hear)
        environments = Environments(commands, owner.socket, self.spawner.cgroup)
        self._starting = Starting(self.stores, self.spawner, self._captures, self.jobservers, environments)
        self._on_end: dict[Session, Callable[[], None]] = {}
        self._letting_go: TimerHandle | None = None

    def on_end(self, session: Session, callback: Callable[[], None]) -> None:
        """Call back when nothing of the session is left."""
        self._on_end[session] = callback

    def run_of_token(self, token: bytes) -> Run | None:
        """The running job that a nested call names."""
        run = self._tokens.get(token)
        if run is not None and not run.pid:
            # What is told of its start comes before what is told of its calls.
            self.spawner.settle()
        return run

    def run_around(self, pid: int) -> Run | None:
        """The running job that a process descends from: how a call that has lost its token (`env -i`) is known."""
        # Once a script has been reaped its pid may be anybody's, and what it left behind descends from it no more.
        self.spawner.settle()
        runs = {run.process.pid: run for run in self.runs.values() if run.process and run.process.status is None}
        while runs and pid > 1:
            if pid in runs:
                return runs[pid]
            process = read_process(pid)
            pid = process.parent if process is not None else 0
        return None

    def post(self, event: events.Event) -> None:
        """Tell the core; at once, unless it is being told something else."""
        if self.is_broken:
            return
        if isinstance(event, events.CallMade):
            # Whatever was done before the call was made is known before it is answered.
            self._events.extend(self.watching.news())
        self._events.append(event)
        if not self._busy:
            self._pump()

    async def catch_up(self) -> None:
        """Return when the core knows all that has happened until the call."""
        for event in self.watching.news():
            self.post(event)
        while self._busy and not self.is_broken:  # noqa: ASYNC110  (it is for the loop's next turn, not for an event)
            await asyncio.sleep(0)

    def _pump(self) -> None:
        self._busy = True
        deadline = time.monotonic() + SLICE
        try:
            while self._events:
                for instruction in self.scheduler.step(self._events.popleft()):
                    self._obey(instruction)
                if self._events and time.monotonic() > deadline:
                    self.loop.call_soon(self._pump)
                    return
            for instruction in self.scheduler.rest():
                self._obey(instruction)
        except Exception:
            _log.exception("internal error; the server ends")
            self._fail()
            return
        self._busy = False

    async def _carry_out(self, order: Callable[..., Coroutine[object, object, None]], *arguments: object) -> None:
        """An order that takes long. The core waits for its event, so it must not just fail."""
        try:
            await order(*arguments)
        except Exception:
            _log.exception("internal error; the server ends")
            self._fail()

    def _fail(self) -> None:
        """An order was carried out in part, so nothing here can be trusted: end. What was recorded is in the stores."""
        self.is_broken = True
        self._events.clear()
        self.spawner.settle()
        for run in self.runs.values():
            if run.process is not None:
                run.process.signal_group(signal.SIGTERM)
                run.process.let_go()
        self.on_failure()

    def _obey(self, instruction: do.Instruction) -> None:
        match instruction:
            case do.Observe():
                self._events.append(self._looking.observe(instruction))
            case do.Reply(call, status):
                client(call).reply(status)
            case do.StartJob(job, _):
                self._start(job)
            case do.Examine(job):
                self._events.append(self._placing.examine(self.runs[job]))
            case do.Install(job, outcome):
                self._install(job, outcome)
            case do.Record(node):
                self.stores.record(node)
            case do.JobEnded(job, status):
                self._end(job, status)
            case do.ShowJob(call, job):
                self._show_job(call, job)
            case do.ShowUnchanged(call, nodes):
                client(call).log.unchanged([node.path for node in nodes])
                if self.feed.wanted:
                    for node in nodes:
                        telling.judged(self.feed, call, node, None)
            case do.ShowFailed(call):
                client(call).log.blames_another = True
            case do.Explain(call, node, reason):
                self._explain(client(call), node.path, reason)
                telling.judged(self.feed, call, node, reason)
            case do.Complain(call, text):
                client(call).complain(text)
            case do.Remark(job, text):
                self.runs[job].log.message(b"redo: " + os.fsencode(f"{os.fsdecode(self.runs[job].name)}: {text}"))
            case do.Discard(job):
                outputs.discard(self.runs[job].temporary)
            case do.KillJob(job):
                self._kill(job)
            case do.AskToken(pool):
                self._ask(pool)
            case do.ReturnTokens(pool, number):
                self.jobservers.put(pool, number)
            case do.AwaitLowLoad(session):
                if self._loads.is_low(session):
                    self._events.append(events.LoadFell(session))
            case do.RestPool(pool):
                self.jobservers.rest(pool)
            case do.SessionTookOver(old, new):
                self.stores.claims.take_over(old, new)
            case do.EndSession(session):
                self._loads.forget(session)
                if session.pool.borrowed:
                    self.jobservers.close(session.pool)
                self._on_end.pop(session)()
                self.watching.sample_soon()
            case _:
                assert_never(instruction)

    def _ask(self, pool: Pool) -> None:
        if self.jobservers.take(pool, lambda: self.post(events.TokenOffered(pool))):
            self._events.append(events.TokenGranted(pool))

    def _start(self, job: Job) -> None:
        asking = clients_of(job.want.calls[0])[0]
        caller = client(asking)
        depth = self.runs[asking.job].depth + 1 if asking.job in self.runs else 0
        home, trouble = self._starting.home_of(job, caller)
        run = Run(job, caller, depth, home.directory if home is not None else None, self)
        self.runs[job] = run
        self._tokens[run.token] = run
        self.jobs_run += 1
        run.temporary = temporary_name(job.node.path)
        self.stores.litter.add(run.temporary)
        run.starter = caller.starter(job, home.root) if home is not None else None
        run.log.start(time.time(), is_shown=not isinstance(run.starter, Direct))
        if home is None:
            self._events.append(events.StartFailed(job, trouble))
            return
        self._starting.set_conditions(run, caller.wishes, home)
        if isinstance(run.starter, OnConsole):
            # Where its output belongs is told after this order.
            self.loop.call_soon(run.starter.acquire, run, partial(self._begin_on_console, run, home))
        else:
            self._events.append(self._starting.begin(run, home))

    def _begin_on_console(self, run: Run, home: OpenWorkspace) -> None:
        if run.job in self.runs and not run.job.cancelled:
            self.post(self._starting.begin(run, home))
        elif isinstance(run.starter, OnConsole):
            run.starter.release(run)

    def _hear(self) -> None:
        """What scripts have done is known to whoever has waited for them."""
        self._events.extend(self.watching.news())

    def _install(self, job: Job, outcome: Outcome) -> None:
        run = self.runs[job]
        if self._placing.takes_long(run, outcome):
            self.tasks.start(self._carry_out, self._install_large, run, outcome)
        else:
            self._events.append(self._placing.put_in_place(run, outcome))

    async def _install_large(self, run: Run, outcome: Outcome) -> None:
        try:
            staged = await to_thread(self._placing.stage, run, outcome)
            self.post(self._placing.commit(run, staged))
        except (OutputError, StoreError, ObserveError) as error:
            self.post(events.InstallFailed(run.job, str(error)))

    def _end(self, job: Job, status: int) -> None:
        self.on_job_end(job, status)
        run = self.runs.pop(job)
        del self._tokens[run.token]
        run.close()
        if run.process is not None:
            self.spawner.give_back(run.process)
        if run.capture is not None:
            self._captures.give_back(run.capture)
        if not self.runs and self._letting_go is None:
            self._letting_go = self.loop.call_later(_KEEP, self._let_go)
        if job.cancelled:
            # Nobody waits for it any more, and the target's last whole log stays.
            run.log.give_up()
        else:
            run.log.finish(status, time.monotonic() - run.began)
            keep_log(job.node, run.log, self.stores)
        telling.job_ended(self.feed, job, run, status, time.monotonic() - run.began, self.stores)
        home = self.stores.of(job.node)
        if home is not None:
            home.jobs -= 1
        self.stores.committing.sweep_later(run.temporary)
        if isinstance(run.starter, OnConsole):
            # Not before its log has ended: what is shown next comes after it.
            run.starter.release(run)

    def _let_go(self) -> None:
        self._letting_go = None
        if not self.runs:
            self.spawner.rest()
            # An open file would keep its file system from being unmounted.
            self._captures.close_all()

    def _show_job(self, call: Call, job: Job) -> None:
        caller = client(call)
        if caller.debug_locks and job.session is not call.session:
            name = relative(job.node.path, caller.setting.cwd)
            caller.log.note(b"redo: %s is being built by session %d: waiting" % (name, job.session.number))
        caller.log.child(self.runs[job].log)

    def _explain(self, caller: Client, path: bytes, reason: Reason) -> None:
        if caller.debug:
            cwd = caller.setting.cwd
            name = os.fsdecode(relative(path, cwd))
            caller.log.note(os.fsencode(f"redo: {name} is out of date: {reason.text(cwd)}"))

    def _kill(self, job: Job) -> None:
        self.tasks.start(self._carry_out, self._kill_run, self.runs[job])

    async def _kill_run(self, run: Run) -> None:
        process = run.process
        if process is None:
            if isinstance(run.starter, OnConsole) and run.job.state is JobState.RUNNING:
                run.starter.release(run)
                self.post(events.StartFailed(run.job, "given up before it had the terminal"))
            return
        self.spawner.settle()
        run.search_begins()
        try:
            marks = Marks(run.token, process.completion_id.inode, process.spared, run.since, process.cgroup)
            await end(process, marks, scan=self._scan)
        except OSError as error:
            # Without descriptors to look at /proc with, its process group is all that can be reached.
            _log.error("cannot look for the processes of %s: %s", os.fsdecode(run.name), error.strerror)
            process.signal_group(signal.SIGKILL)
        run.search_ends()
        if not process.is_over:
            # It hangs in the kernel, or belongs to somebody else: the session must not hang with it.
            process.let_go()
            if process.status is None:
                self.post(events.JobExited(run.job, -9))
            if not run.job.pipe_closed:
                self.post(events.PipeClosed(run.job))

    async def close(self) -> None:
        """End all jobs and give everything back."""
        for session in list(self.scheduler.world.sessions):
            self.post(events.SessionCancelled(session))
        await self.tasks.wait_empty(cut_short=self.is_broken)
        self.stores.close_all()
        self._captures.close_all()
        self.jobservers.close_all()
        self.spawner.close()
        self.watching.close()


def _tell_of_load(session: Session, load: int) -> None:
    for call in session.calls:
        if call.job is None and call.owner is None:
            client(call).complain(
                f"starts no more beside what runs: the load is {load}, and --load={session.load_limit:g}"
            )


def client(call: Call) -> Client:
    """Who made a call."""
    return call.client  # type: ignore[return-value]  # the core keeps it without knowing what it is
