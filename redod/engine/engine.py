"""The engine: hands events to the scheduler and carries out what it orders.

It is the only place that moves the core. Events are taken in one at a time; everything that is not instant (scripts,
large copies, looking for holders) ends in another event. A long check is cut into slices, so that a status request is
answered meanwhile.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
import time
from asyncio import AbstractEventLoop, TimerHandle, to_thread
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import assert_never

from redod.core import events
from redod.core import instructions as do
from redod.core.check import Check
from redod.core.graph import Graph, Kind, Node
from redod.core.model import Call, Job, Session
from redod.core.moves import clients_of
from redod.core.outcome import InstallStdout, InstallTemporary, LeaveTarget, Outcome, RemoveTarget
from redod.core.paths import directory_of, name_of, relative
from redod.core.scheduler import Scheduler
from redod.core.stamps import MISSING, Moment, Stamp
from redod.core.states import JobState
from redod.core.tokens import Pool
from redod.core.verdicts import Reason, Verdict
from redod.engine import telling
from redod.engine.client import Client, Direct, OnConsole, Setting, Wishes
from redod.engine.environment import Environments, Identity
from redod.engine.goals import Goals
from redod.engine.load import LoadWatch
from redod.engine.run import Run
from redod.engine.stores import OpenWorkspace, Stores
from redod.engine.tasks import Tasks
from redod.engine.watching import Watching
from redod.errors import RedodError
from redod.files import outputs
from redod.files.captures import Captures
from redod.files.observe import ObserveError, observe, observe_source
from redod.files.outputs import OutputError
from redod.jobs.command import SAY_FIRST, CommandError, dofile_command
from redod.jobs.ending import Marks, end
from redod.jobs.holders import read_process
from redod.jobs.leftovers import end_leftovers
from redod.jobs.process import Order, Spawner, SpawnError
from redod.jobs.scan import Scan
from redod.jobserver.jobservers import Jobservers
from redod.jobserver.makeflags import with_jobserver
from redod.jobserver.pipe import Pipe
from redod.readers import Readers
from redod.store import StoreError
from redod.store.lock import Owner
from redod.trace.feed import Feed

_log = logging.getLogger(__name__)

SLICE = 0.005
"""Seconds of work after which others get a turn."""
_KEEP_CAPTURES = 1.0
"""Seconds after the last job in which its capture file may be used again."""
_LARGE = 1 << 20
"""Bytes above which a captured stdout is copied in a thread."""


class Engine:
    """`jobs`: the size of the shared pool. `owner`: who we are. `commands`: a directory of redo commands only."""

    def __init__(self, loop: AbstractEventLoop, *, jobs: int, owner: Owner, commands: bytes) -> None:
        self.graph = Graph(time.time_ns() // 1000)
        self.scheduler = Scheduler(self.graph, jobs)
        self.stores = Stores(loop, self.graph, owner)
        self.stores.on_crash = self._clean_up
        self.goals = Goals(self.graph, self.stores)
        self.tasks = Tasks()
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
        self._environments = Environments(commands, owner.socket)
        self._tokens: dict[bytes, Run] = {}
        self.jobservers = Jobservers(loop, owner.socket.removesuffix(b".sock") + b".jobs")
        self.jobservers.keep(self.scheduler.world.shared)
        self._pools: dict[bytes, Pool] = {}
        """By root, of the workspaces whose `redod.toml` says how many jobs."""
        self._loads = LoadWatch(loop, lambda session: self.post(events.LoadFell(session)), _tell_of_load)
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)
        self.readers = Readers(loop)
        self.spawner = Spawner(self.readers)
        self._scan = Scan()
        self._captures = Captures()
        self._events: deque[events.Event] = deque()
        self._busy = False
        self.watching = Watching(loop, self.graph, self.post, lambda: not self._busy)
        self._on_end: dict[Session, Callable[[], None]] = {}
        self._letting_go: TimerHandle | None = None
        self._cleaning: set[asyncio.Task[None]] = set()

    def on_end(self, session: Session, callback: Callable[[], None]) -> None:
        """Call back when nothing of the session is left."""
        self._on_end[session] = callback

    def pool_of(self, target: bytes, setting: Setting) -> Pool:
        """What a session without -j draws on whose first target this is: its workspace's pool, else the shared one.

        Raises ConfigError.
        """
        root = self.stores.root(target, setting)
        jobs = self.stores.configs.read(root).jobs
        if jobs is None:
            return self.scheduler.world.shared
        pool = self._pools.get(root)
        if pool is None or pool.size != jobs:
            if pool is not None:
                self._give_up(pool)
            pool = self._pools[root] = Pool(jobs)
            self.jobservers.keep(pool)
        return pool

    def _give_up(self, pool: Pool) -> None:
        """Sessions that run go on with it."""
        self.jobservers.let_go(pool)
        if pool not in self.scheduler.world.pools:
            self.jobservers.rest(pool)

    def borrow(self, jobserver: Pipe, jobs: int) -> Pool:
        """A pool for one session: what the make around it has, which runs `jobs` at a time."""
        pool = Pool(jobs, borrowed=True)
        self.jobservers.lend(pool, jobserver)
        return pool

    def run_of_token(self, token: bytes) -> Run | None:
        """The running job that a nested call names."""
        return self._tokens.get(token)

    def run_around(self, pid: int) -> Run | None:
        """The running job that a process descends from: how a call that has lost its token (`env -i`) is known."""
        # Once a script has been reaped its pid may be anybody's, and what it left behind descends from it no more.
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

    async def judge(
        self, nodes: list[Node], outdated: dict[Node, tuple[int, Reason]] | None = None
    ) -> dict[Node, Verdict]:
        """Check targets as a new session would; nothing is built. `outdated`: gets what was found to be so (`Check`).

        Raises ObserveError.
        """
        outdated = {} if outdated is None else outdated
        epoch = self.scheduler.world.next_epoch()
        verdicts: dict[Node, Verdict] = {}
        await self.catch_up()
        deadline = time.monotonic() + SLICE
        for node in nodes:
            check = Check(self.graph, node, epoch, outdated=outdated)
            while isinstance(result := check.run(), list):
                now = time.time_ns()
                stamps, watched = self._look(result, now)
                check.observed(stamps, Moment(epoch, now, watched))
                deadline = await self._let_others(deadline)
            for changed in check.changed:
                self.stores.record(changed)
            verdicts[node] = result
            deadline = await self._let_others(deadline)
        return verdicts

    async def _let_others(self, deadline: float) -> float:
        """Give others a turn after the deadline; the next one."""
        if time.monotonic() < deadline:
            return deadline
        await asyncio.sleep(0)
        await self.catch_up()
        return time.monotonic() + SLICE

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
        for run in self.runs.values():
            if run.process is not None:
                run.process.signal_group(signal.SIGTERM)
                run.process.let_go()
        self.on_failure()

    def _obey(self, instruction: do.Instruction) -> None:
        match instruction:
            case do.Observe():
                self._events.append(self._observe(instruction))
            case do.Reply(call, status):
                client(call).reply(status)
            case do.StartJob(job, _):
                self._start(job)
            case do.Examine(job):
                self._events.append(self._examine(job))
            case do.Install(job, outcome):
                self._install(job, outcome)
            case do.Record(node):
                self.stores.record(node)
            case do.JobEnded(job, status):
                self._end(job, status)
            case do.ShowJob(call, job):
                self._show_job(call, job)
            case do.ShowUnchanged(call, node):
                client(call).log.unchanged(node.path)
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

    def _observe(self, order: do.Observe) -> events.Event:
        now = time.time_ns()
        try:
            stamps, watched = self._look(order.paths, now, order.until_file)
            return events.Observed(order.subject, stamps, now, watched)
        except ObserveError as error:
            return events.ObserveFailed(order.subject, str(error))

    def _look(self, paths: list[bytes], now: int, until_file: bool = False) -> tuple[list[Stamp], set[bytes]]:
        """What is there, and those of the directories that were watched before."""
        find, covers = self.graph.find, self.watching.covers
        stamps: list[Stamp] = []
        covered: dict[bytes, bool] = {}
        by_content: dict[bytes, bool] = {}
        for path in paths:
            directory = directory_of(path)
            if directory not in covered:
                covered[directory] = covers(directory)
            node = find(path)
            if node is None or node.kind is Kind.TARGET:
                stamps.append(observe(path))
            else:
                if directory not in by_content:
                    by_content[directory] = self.stores.is_by_content(directory)
                stamps.append(observe_source(path, now, node.stamp, by_content[directory]))
            if until_file and stamps[-1].leads_to_file:
                break
        return stamps, {directory for directory, is_covered in covered.items() if is_covered}

    def _start(self, job: Job) -> None:
        asking = clients_of(job.want.calls[0])[0]
        caller = client(asking)
        depth = self.runs[asking.job].depth + 1 if asking.job in self.runs else 0
        home, trouble = self._home(job, caller)
        run = Run(job, caller, depth, home.directory if home is not None else None, self)
        self.runs[job] = run
        self._tokens[run.token] = run
        self.jobs_run += 1
        run.temporary = outputs.temporary_name(job.node.path)
        self.stores.litter.add(run.temporary)
        run.starter = caller.starter(job, home.root) if home is not None else None
        run.log.start(time.time(), is_shown=not isinstance(run.starter, Direct))
        if home is None:
            self._events.append(events.StartFailed(job, trouble))
            return
        self._set_conditions(run, caller.wishes, home)
        if isinstance(run.starter, OnConsole):
            # Where its output belongs is told after this order.
            self.loop.call_soon(run.starter.acquire, run, partial(self._begin_on_console, run, home))
        else:
            self._events.append(self._begin(run, home))

    def _begin_on_console(self, run: Run, home: OpenWorkspace) -> None:
        if run.job in self.runs and not run.job.cancelled:
            self.post(self._begin(run, home))
        elif isinstance(run.starter, OnConsole):
            run.starter.release(run)

    def _begin(self, run: Run, home: OpenWorkspace) -> events.Event:
        job = run.job
        try:
            before = observe(job.node.path)
            # Not the coarse clock: newer kernels give files finer times, which would seem later than the start.
            started = time.time_ns()
            self._spawn(run, home)
        except (SpawnError, CommandError, ObserveError) as error:
            return events.StartFailed(job, str(error))
        except OSError as error:
            is_lack = error.errno in (errno.EMFILE, errno.ENFILE)
            remedy = "; raise the limit (ulimit -n of the server)" if is_lack else ""
            text = f"cannot make a file for its output in {os.fsdecode(home.directory)}: {error.strerror}{remedy}"
            return events.StartFailed(job, text)
        telling.job_started(self.feed, job, run)
        return events.JobStarted(job, before, started)

    def _set_conditions(self, run: Run, wishes: Wishes, home: OpenWorkspace) -> None:
        """What the session says counts; where it says nothing, its target's workspace does."""
        config = self.stores.configs.last(home.root)
        run.background = wishes.background or config.background
        if wishes.timeout is not None:
            run.set_limit(wishes.timeout, "--timeout")
        elif config.timeout:
            seconds = config.timeout_of(os.fsdecode(relative(run.job.node.path, home.root)))
            if seconds is not None:
                run.set_limit(seconds, "redod.toml, timeout")

    def _home(self, job: Job, caller: Client) -> tuple[OpenWorkspace | None, str]:
        """The workspace in which the job's target will be recorded; None, and why there is none."""
        try:
            home = self.stores.home_of(job.node, caller.setting, job.session)
        except RedodError as error:
            return None, str(error)
        if not job.node.workspace:
            job.node.workspace = home.number
            home.targets += 1
        home.jobs += 1
        return home, ""

    def _spawn(self, run: Run, home: OpenWorkspace) -> None:
        capture = run.capture = self._captures.take(home.directory)
        try:
            by_fifo = self.stores.configs.last(home.root).jobserver == "fifo"
            # The client has no descriptors of ours to give to a job that it starts.
            is_ours = not isinstance(run.starter, OnConsole)
            jobserver = self.jobservers.show(run.job.pool, by_fifo) if is_ours else b""
            order = self._order(run, run.client, capture.script, jobserver)
            match run.starter:
                case None:
                    run.process = self.spawner.start(order, run)
                    run.log.pid = run.process.pid
                case Direct(stderr, line):
                    argv = (*SAY_FIRST, line(run), *order.argv)
                    run.process = self.spawner.start(replace(order, argv=argv, stderr_fd=stderr), run)
                    run.log.pid = run.process.pid
                case OnConsole(_, _, start):
                    # The client's child, and as nice as that.
                    run.process = start(order, run)
                    return
            nice = run.client.setting.nice
            if nice != self._nice:
                # Less nice than we are it can only be made by root.
                with suppress(PermissionError, ProcessLookupError):
                    os.setpriority(os.PRIO_PGRP, run.process.pid, nice)
        finally:
            os.close(capture.script)

    def _order(self, run: Run, caller: Client, stdout: int, jobserver: bytes) -> Order:
        job, dofile, setting = run.job, run.job.dofile, caller.setting
        directory = dofile.target[: len(dofile.target) - len(name_of(b"/" + dofile.target))]
        arguments = (dofile.target, dofile.stem, directory + name_of(run.temporary))
        nested = job.want.calls[0].owner is not None or run.depth > 0
        argv = dofile_command(dofile.directory, name_of(dofile.path), arguments, caller.flags(nested))
        identity = Identity(run.token, caller.session_id, dofile.target, run.depth + 1, dofile.directory)
        environment = self._environments.make(setting.environment(), identity)
        if jobserver or b"MAKEFLAGS" in environment:
            flags = environment.get(b"MAKEFLAGS", b"")
            environment[b"MAKEFLAGS"] = with_jobserver(flags, job.pool.size, jobserver)
        if run.starter is not None:
            environment[b"REDO_LOG"] = b"0"
        return Order(argv, dofile.directory, environment, setting.umask, stdout, setting.limits)

    def _examine(self, job: Job) -> events.Event:
        run = self.runs[job]
        # What the script has done is known to whoever has waited for it.
        self._events.extend(self.watching.news())
        try:
            produced = outputs.examine(job.node.path, run.temporary, run.stdout)
            run.made = produced.temporary
            return events.Examined(job, produced)
        except OutputError as error:
            return events.InstallFailed(job, str(error))

    def _install(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, InstallStdout | InstallTemporary) and self._takes_long(job, outcome):
            self.tasks.start(self._carry_out, self._install_large, job, outcome)
            return
        self._events.append(self._put_in_place(job, outcome))

    def _takes_long(self, job: Job, outcome: InstallStdout | InstallTemporary) -> bool:
        """A lot must be read or copied. A file that is only renamed is not."""
        run = self.runs[job]
        if isinstance(outcome, InstallStdout):
            return os.fstat(run.stdout).st_size > _LARGE
        try:
            return self._is_by_content(job) and os.lstat(run.temporary).st_size > _LARGE
        except OSError:
            # Gone meanwhile, as staging it will tell.
            return False

    async def _install_large(self, job: Job, outcome: InstallStdout | InstallTemporary) -> None:
        try:
            staged = await to_thread(self._stage, job, outcome)
            self.post(self._commit(job, staged))
        except (OutputError, StoreError, ObserveError) as error:
            self.post(events.InstallFailed(job, str(error)))

    def _put_in_place(self, job: Job, outcome: Outcome) -> events.Event:
        path = job.node.path
        try:
            match outcome:
                case InstallStdout() | InstallTemporary():
                    return self._commit(job, self._stage(job, outcome))
                case RemoveTarget():
                    # Not looked at afterwards: what another makes there meanwhile must still be told.
                    is_watched = self._hear_before_look(path)
                    outputs.remove_target(path)
                    return events.Installed(job, MISSING, is_watched)
                case LeaveTarget():
                    is_watched = self._hear_before_look(path)
                    return events.Installed(job, observe(path), is_watched)
                case _:
                    raise AssertionError(f"{outcome!r} is nothing to install")
        except (OutputError, StoreError, ObserveError) as error:
            return events.InstallFailed(job, str(error))

    def _stage(self, job: Job, outcome: InstallStdout | InstallTemporary) -> outputs.Staged:
        """May be called in a thread. Raises OutputError."""
        run, path = self.runs[job], job.node.path
        if isinstance(outcome, InstallTemporary):
            outputs.refuse_loss(path, outcome.spared)
            held = run.process is not None and run.process.leaves_holders
            staged = outputs.stage_temporary(path, run.temporary, run.made, held)
        else:
            staged = outputs.stage_stdout(path, run.temporary, run.stdout, run.client.setting.umask)
        return outputs.with_content(staged) if self._is_by_content(job) else staged

    def _is_by_content(self, job: Job) -> bool:
        home = self.stores.of(job.node)
        return home is not None and self.stores.configs.last(home.root).content

    def _commit(self, job: Job, staged: outputs.Staged) -> events.Event:
        """The intent first, then the rename: after a crash between them the file is known to be ours."""
        workspace = self.stores.of(job.node)
        assert workspace is not None
        workspace.store.intend(job.node.path, staged.stamp)
        is_watched = False

        def hear() -> None:
            nonlocal is_watched
            is_watched = self._hear_before_look(job.node.path)

        done = outputs.commit(staged, hear)
        if done.leftover:
            self.loop.run_in_executor(None, outputs.delete_tree, done.leftover)
        return events.Installed(job, done.stamp, is_watched, staged.content)

    def _hear_before_look(self, path: bytes) -> bool:
        """Before a target is looked at that we have put in place: take in the news of that, which are none; whether
        later news will tell of the target.
        """
        self._events.extend(self.watching.news())
        return self.watching.covers(directory_of(path))

    def _end(self, job: Job, status: int) -> None:
        self.on_job_end(job, status)
        run = self.runs.pop(job)
        del self._tokens[run.token]
        run.close()
        if run.capture is not None:
            self._captures.give_back(run.capture)
        if not self.runs and self._letting_go is None:
            self._letting_go = self.loop.call_later(_KEEP_CAPTURES, self._let_go_of_captures)
        if job.cancelled:
            # Nobody waits for it any more, and the target's last whole log stays.
            run.log.give_up()
        else:
            run.log.finish(status, time.monotonic() - run.began)
            self.stores.keep_log(job.node, run.log)
        telling.job_ended(self.feed, job, run, status, time.monotonic() - run.began, self.stores)
        home = self.stores.of(job.node)
        if home is not None:
            home.jobs -= 1
        self.stores.sweep_later(run.temporary)
        if isinstance(run.starter, OnConsole):
            # Not before its log has ended: what is shown next comes after it.
            run.starter.release(run)

    def _let_go_of_captures(self) -> None:
        self._letting_go = None
        if not self.runs:
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
        run.search_begins()
        try:
            marks = Marks(run.token, process.completion_id.inode, process.spared, run.since)
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

    def _clean_up(self, dead: Owner, root: bytes) -> None:
        if dead.host == socket.gethostname():
            task = self.tasks.start(self._clean_up_after, dead, root)
            self._cleaning.add(task)
            task.add_done_callback(self._cleaning.discard)

    async def _clean_up_after(self, dead: Owner, root: bytes) -> None:
        await end_leftovers(dead.pid, dead.socket)
        # In a thread of its own: the build need not wait for a walk through the whole tree.
        self.tasks.start(to_thread, outputs.remove_litter, root, self.stores.litter)

    async def wait_clean(self) -> None:
        """Return when the scripts that a killed server has left in the opened workspaces are gone."""
        while self._cleaning:
            await asyncio.wait(self._cleaning)

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
