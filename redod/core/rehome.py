"""Moving a running job, with all that its script waits for, to another session that wants it.

The session that started it does not want it any more, so it must not be kept alive by it, and whoever wants it now
must be able to end it. The job keeps its pool: a token is not taken twice.
"""

from redod.core.model import Call, Job, Session, Want, World


def rehome(world: World, job: Job, subscriber: Want) -> None:
    """Give `job` to the session of `subscriber`, which has joined it. What other calls of the old one want stays."""
    old, new = job.session, subscriber.session
    if old is new:
        return
    _move_want(job.want, old, new)
    todo = [job]
    while todo:
        here = todo.pop()
        _move_job(here, new)
        calls = list(here.calls)
        while calls:
            call = calls.pop()
            _move_call(call, old, new)
            for want in list(call.pending):
                if want.session is not old or any(waiting.session is old for waiting in want.calls):
                    continue
                _move_want(want, old, new)
                if want.ahead is not None:
                    calls.append(want.ahead)
                if want.job is not None and want.job.want is want:
                    todo.append(want.job)
    for pool in world.pools | {job.pool}:
        pool.rehome(old, new)


def _move_job(job: Job, new: Session) -> None:
    if job in job.pool.holders:
        job.session.running -= 1
        new.running += 1
    if job.cancelled:
        job.session.dying -= 1
        new.dying += 1
    job.session = new


def _move_call(call: Call, old: Session, new: Session) -> None:
    old.calls.discard(call)
    new.calls.add(call)
    call.session = new


def _move_want(want: Want, old: Session, new: Session) -> None:
    if old.wants.get(want.node) is want:
        del old.wants[want.node]
        new.wants.setdefault(want.node, want)
    want.session = new
