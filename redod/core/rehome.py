"""Moving a running job, with all that its script waits for, to another session that wants it.

The session that started it does not want it any more, so it must not be kept alive by it, and whoever wants it now
must be able to end it. The job keeps its pool, since a token is not taken twice; but not that of a make, which ends
with the session.
"""

from redod.core.instructions import SessionTookOver
from redod.core.model import Call, Job, Session, Want, World
from redod.core.tokens import Pool


def rehome(world: World, job: Job, subscriber: Want) -> None:
    """Give `job` to the session of `subscriber`, which has joined it. What other calls of the old one want stays."""
    old, new = job.session, subscriber.session
    if old is new:
        return
    world.tell(SessionTookOver(old, new))
    _move_want(world, job.want, old, new)
    todo = [job]
    while todo:
        here = todo.pop()
        _move_job(world, here, new)
        calls = list(here.calls)
        while calls:
            call = calls.pop()
            _move_call(world, call, old, new)
            for want in list(call.pending):
                if want.session is not old or any(waiting.session is old for waiting in want.calls):
                    continue
                _move_want(world, want, old, new)
                if want.ahead is not None:
                    calls.append(want.ahead)
                if want.job is not None and want.job.want is want:
                    todo.append(want.job)
    for pool in list(world.pools):
        pool.rehome(old, new, _pool(world, pool, new))


def _pool(world: World, pool: Pool, new: Session) -> Pool:
    """The pool for what is moved to the session `new`."""
    if not pool.borrowed:
        return pool
    world.pools.add(new.pool)
    return new.pool


def _move_job(world: World, job: Job, new: Session) -> None:
    holds = job in job.pool.holders
    job.pool.give_back(job)
    if job.cancelled:
        job.session.dying -= 1
        new.dying += 1
    job.session, job.pool = new, _pool(world, job.pool, new)
    if holds:
        job.pool.take(job)


def _move_call(world: World, call: Call, old: Session, new: Session) -> None:
    old.calls.discard(call)
    new.calls.add(call)
    call.session, call.pool = new, _pool(world, call.pool, new)


def _move_want(world: World, want: Want, old: Session, new: Session) -> None:
    if old.wants.get(want.node) is want:
        del old.wants[want.node]
        new.wants.setdefault(want.node, want)
    want.session, want.pool = new, _pool(world, want.pool, new)
