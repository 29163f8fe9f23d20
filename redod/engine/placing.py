"""Putting in place what scripts made: looked at, staged, and committed with its intent.

What becomes of an output the core has decided; how files are replaced is for `redod.files.outputs`. Here the two meet
the workspace's store, and the watcher, which must have told of everything before a target is looked at.
"""

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable

from redod.core import events
from redod.core.model import Job
from redod.core.outcome import InstallStdout, InstallTemporary, LeaveTarget, Outcome, RemoveTarget
from redod.core.paths import directory_of
from redod.core.stamps import MISSING
from redod.engine.run import Run
from redod.engine.stores import Stores
from redod.engine.watching import Watching
from redod.files import outputs
from redod.files.observe import ObserveError, observe
from redod.files.outputs import OutputError
from redod.store import StoreError

_LARGE = 1 << 20
"""Bytes above which an output is read or copied in a thread."""


class Placing:
    """`hear`: takes in all that the watcher has to tell."""

    def __init__(self, loop: AbstractEventLoop, stores: Stores, watching: Watching, hear: Callable[[], None]) -> None:
        self._loop = loop
        self._stores = stores
        self._watching = watching
        self._hear = hear

    def examine(self, run: Run) -> events.Event:
        """What the script made."""
        job = run.job
        # What the script has done is known to whoever has waited for it.
        self._hear()
        try:
            produced = outputs.examine(job.node.path, run.temporary, run.stdout)
            run.made = produced.temporary
            return events.Examined(job, produced)
        except OutputError as error:
            return events.InstallFailed(job, str(error))

    def takes_long(self, run: Run, outcome: Outcome) -> bool:
        """A lot must be read or copied. A file that is only renamed is not."""
        if not isinstance(outcome, InstallStdout | InstallTemporary):
            return False
        if isinstance(outcome, InstallStdout):
            return outputs.size(run.stdout) > _LARGE
        try:
            return self._is_by_content(run.job) and os.lstat(run.temporary).st_size > _LARGE
        except OSError:
            # Gone meanwhile, as staging it will tell.
            return False

    def put_in_place(self, run: Run, outcome: Outcome) -> events.Event:
        """Carry out what the core decided about the output."""
        job, path = run.job, run.job.node.path
        try:
            match outcome:
                case InstallStdout() | InstallTemporary():
                    return self.commit(run, self.stage(run, outcome))
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

    def stage(self, run: Run, outcome: Outcome) -> outputs.Staged:
        """All before the rename. May be called in a thread. Raises OutputError."""
        path = run.job.node.path

        def is_given_up() -> bool:
            return run.job.cancelled

        if isinstance(outcome, InstallTemporary):
            outputs.refuse_loss(path, outcome.spared)
            held = run.process is not None and run.process.leaves_holders
            staged = outputs.stage_temporary(path, run.temporary, run.made, held, is_given_up)
        else:
            staged = outputs.stage_stdout(path, run.temporary, run.stdout, run.client.setting.umask, is_given_up)
        return outputs.with_content(staged) if self._is_by_content(run.job) else staged

    def _is_by_content(self, job: Job) -> bool:
        home = self._stores.of(job.node)
        return home is not None and home.root in self._stores.configs.by_content

    def commit(self, run: Run, staged: outputs.Staged) -> events.Event:
        """The intent first, then the rename: after a crash between them the file is known to be ours."""
        job, workspace = run.job, self._stores.of(run.job.node)
        assert workspace is not None
        workspace.store.intend(job.node.path, staged.stamp)
        is_watched = False

        def hear() -> None:
            nonlocal is_watched
            is_watched = self._hear_before_look(job.node.path)

        done = outputs.commit(staged, hear)
        if done.leftover:
            self._loop.run_in_executor(None, outputs.delete_tree, done.leftover)
        return events.Installed(job, done.stamp, is_watched, staged.content)

    def _hear_before_look(self, path: bytes) -> bool:
        """Before a target is looked at that we have put in place: take in the news of that, which are none; whether
        later news will tell of the target.
        """
        self._hear()
        return self._watching.covers(directory_of(path))
