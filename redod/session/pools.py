"""Which pool a session draws on: its own, that of the make around it, its workspace's, or the shared one."""

import os

from redod.core.tokens import Pool
from redod.engine.client import Setting
from redod.engine.engine import Engine
from redod.jobserver.makeflags import Named, named_jobserver
from redod.jobserver.pipe import DeadJobserverError, Pipe, borrow, borrow_fifo


def choose_pool(
    engine: Engine, target: bytes, setting: Setting, jobs: int | None, flags: bytes, ends: tuple[int, int] | None
) -> tuple[Pool, str]:
    """The pool of a session whose first target this is, and what to warn its user of.

    `jobs`: its -j. `flags`: MAKEFLAGS as a make around it has set it. `ends`: the descriptors named there, where they
    are what they seem. A jobserver that cannot be used means one job at a time, as in make. Raises ConfigError.
    """
    named = named_jobserver(flags)
    if jobs is not None:
        warning = f"a -j{jobs} below make: it gets a pool of its own, beside make's jobserver" if named else ""
        return Pool(jobs), warning
    if named is None:
        return engine.pools.of(target, setting), ""
    try:
        return engine.pools.borrow(_borrowed(named, setting.cwd, ends), named.jobs), ""
    except DeadJobserverError as error:
        return Pool(1), f"make's jobserver cannot be used, so this builds one target at a time: {error}"


def _borrowed(named: Named, cwd: bytes, ends: tuple[int, int] | None) -> Pipe:
    if named.fifo:
        return borrow_fifo(os.path.join(cwd, named.fifo))
    if ends is None:
        raise DeadJobserverError(
            f"{os.fsdecode(named.auth)} is not open here; put + before this line of the makefile, or give -j"
        )
    return borrow(*ends)
