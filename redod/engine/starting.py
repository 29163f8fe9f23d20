"""Starting scripts: the conditions under which one runs, its environment and arguments, and its process.

Which job is to start the core has decided. What becomes of it is told to its `Run`.
"""

import errno
import os
import time

from redod.core import events
from redod.core.model import Job
from redod.core.paths import name_of, relative
from redod.engine.client import Client, Direct, OnConsole, Wishes
from redod.engine.environment import Environments, Identity
from redod.engine.run import Run
from redod.engine.stores import OpenWorkspace, Stores
from redod.errors import RedodError
from redod.files.captures import Capture, Captures
from redod.files.observe import ObserveError, observe
from redod.jobs.command import SAY_FIRST, CommandError, dofile_command
from redod.jobs.spawner import Order, Spawner, SpawnError
from redod.jobserver.jobservers import Jobservers
from redod.jobserver.makeflags import with_jobserver
from redod.store import StoreError


class Starting:
    """What it uses is the engine's."""

    def __init__(
        self, stores: Stores, spawner: Spawner, captures: Captures, jobservers: Jobservers, environments: Environments
    ) -> None:
        self._stores = stores
        self._spawner = spawner
        self._captures = captures
        self._jobservers = jobservers
        self._environments = environments

    def begin(self, run: Run, home: OpenWorkspace) -> events.Event:
        """Start the script."""
        job = run.job
        try:
            before = observe(job.node.path)
            # Not the coarse clock: newer kernels give files finer times, which would seem later than the start.
            started = time.time_ns()
            self._spawn(run, home)
        except (SpawnError, CommandError, ObserveError, StoreError) as error:
            return events.StartFailed(job, str(error))
        except OSError as error:
            is_lack = error.errno in (errno.EMFILE, errno.ENFILE)
            remedy = "; raise the limit (ulimit -n of the server)" if is_lack else ""
            text = f"cannot make a file for its output in {os.fsdecode(home.directory)}: {error.strerror}{remedy}"
            return events.StartFailed(job, text)
        if run.pid:
            run.started()
        return events.JobStarted(job, before, started)

    def set_conditions(self, run: Run, wishes: Wishes, home: OpenWorkspace) -> None:
        """What the session says counts; where it says nothing, its target's workspace does."""
        config = self._stores.configs.last(home.root)
        run.background = wishes.background or config.background
        if wishes.timeout is not None:
            run.set_limit(wishes.timeout, "--timeout")
        elif config.timeout:
            seconds = config.timeout_of(os.fsdecode(relative(run.job.node.path, home.root)))
            if seconds is not None:
                run.set_limit(seconds, "redod.toml, timeout")

    def home_of(self, job: Job, caller: Client) -> tuple[OpenWorkspace | None, str]:
        """The workspace in which the job's target will be recorded; None, and why there is none."""
        try:
            home = self._stores.home_of(job.node, caller.setting, job.session)
        except RedodError as error:
            return None, str(error)
        if not job.node.workspace:
            home.store.begin(job.node)
            home.targets += 1
        home.jobs += 1
        return home, ""

    def _spawn(self, run: Run, home: OpenWorkspace) -> None:
        capture = run.capture = self._capture(home)
        try:
            by_fifo = self._stores.configs.last(home.root).jobserver == "fifo"
            # The client has no descriptors of ours to give to a job that it starts.
            is_ours = not isinstance(run.starter, OnConsole)
            jobserver = self._jobservers.show(run.job.pool, by_fifo) if is_ours else b""
            order = self._order(run, run.client, capture.script, jobserver)
            match run.starter:
                case None:
                    run.process = self._spawner.start(order, run)
                case Direct(stderr, line):
                    argv = (*SAY_FIRST, line(run), *order.argv)
                    run.process = self._spawner.start(order._replace(argv=argv, stderr_fd=stderr), run)
                case OnConsole(_, _, start):
                    # The client's child, and as nice as that.
                    run.process = start(order, run)
        finally:
            os.close(capture.script)

    def _capture(self, home: OpenWorkspace) -> Capture:
        """A file for the output. `.redo` may have been removed since the session began: then it is made again."""
        try:
            return self._captures.take(home.directory)
        except FileNotFoundError:
            home.store.renew()
            return self._captures.take(home.directory)

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
        return Order(
            argv,
            dofile.directory,
            environment,
            setting.umask,
            stdout,
            setting.limits,
            nice=setting.nice,
            inherited=self._jobservers.shown,
        )
