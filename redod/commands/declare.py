"""`redo-ifcreate`, `redo-always`, `redo-stamp`, `redo-recheck`: what a script says of itself."""

import hashlib

from redod.commands.context import Attendant, Context
from redod.core import events
from redod.core.paths import show
from redod.engine.run import Run
from redod.errors import RedodError, UsageError
from redod.files.observe import observe


class OutsideError(RedodError):
    """A command that only a script can call."""

    status = 100


def redo_ifcreate(context: Context) -> Attendant | None:
    """Depend on these names not existing."""
    _, names = context.options()
    run = run_of(context)
    paths = context.paths(names)
    existing = [name for name, path in zip(names, paths, strict=True) if observe(path).exists]
    if existing:
        raise RedodError(f"{show(existing[0])} exists already; use redo-ifchange to depend on its content")
    context.engine.post(events.Created(run.job, paths))
    context.link.exit(0)
    return None


def redo_always(context: Context) -> Attendant | None:
    """Build the target again in every session."""
    _no_names(context)
    context.engine.post(events.AlwaysDeclared(run_of(context).job))
    context.link.exit(0)
    return None


def redo_stamp(context: Context) -> Attendant | None:
    """Give the target a checksum: of the standard input."""
    _no_names(context)
    run = run_of(context)
    digest = hashlib.sha256()

    def take(data: bytes) -> None:
        digest.update(data)
        if not data:
            context.engine.post(events.ChecksumGiven(run.job, digest.digest()))
            context.link.exit(0)

    context.link.read_stdin(take)
    return None


def redo_recheck(context: Context) -> Attendant | None:
    """Have the session look at everything again."""
    _no_names(context)
    context.engine.post(events.Rechecked(run_of(context).job.session))
    context.link.exit(0)
    return None


def _no_names(context: Context) -> None:
    _, names = context.options()
    if names:
        raise UsageError(f"takes no names; see {context.name} --help")


def run_of(context: Context) -> Run:
    """The job whose script calls. Raises OutsideError."""
    if context.run is None:
        raise OutsideError("only a target's script (a dofile that redo runs) can call this")
    return context.run
