"""Leaving: a client goes away, and what nobody else waits for ends."""

from redod.core import instructions as do
from redod.core.model import Call, Job, Session, Want, World
from redod.core.moves import close, end_session_if_over, forget
from redod.core.rehome import rehome
from redod.core.states import JobState, WantState


def leave(world: World, call: Call) -> None:
    """The client of this call is gone, or does not want it any more."""
    todo = [call]
    sessions = {call.session: None}
    while todo:
        leaving = todo.pop()
        if leaving.over:
            continue
        sessions[leaving.session] = None
        job = leaving.job
        close(world, leaving)
        for want in list(leaving.pending):
            leaving.pending.discard(want)
            want.calls.remove(leaving)
            if not want.calls:
                todo.extend(_abandon(world, want))
        if job is not None:
            _unpark(job)
    for session in sessions:
        end_session_if_over(world, session)


def _unpark(job: Job) -> None:
    """A script whose last waiting call has gone runs again, so it counts at once, even where no token is free."""
    waits = any(call.pending or call.resuming for call in job.calls)
    if job.state is JobState.PARKED and not job.cancelled and not waits:
        job.pool.take(job)
        job.move(JobState.RUNNING)


def _abandon(world: World, want: Want) -> list[Call]:
    """Nobody waits for this want any more; the calls that end with it."""
    job = want.job
    if want.state is WantState.RUNNING:
        assert job is not None
        subscriber = _subscriber(job)
        if subscriber is None:
            return _kill(world, job)
        rehome(world, job, subscriber)
        return []
    if want.state in (WantState.CLEAN, WantState.FAILED, WantState.DROPPED):
        return []
    ahead = [want.ahead] if want.ahead is not None else []
    forget(world, want)
    if job is not None and not job.want.calls and _subscriber(job) is None:
        return [*ahead, *_kill(world, job)]
    return ahead


def _subscriber(job: Job) -> Want | None:
    """Somebody who has joined it for its result. `redo` has not: it waits until it can run the script itself."""
    return next((want for want in job.joined if not want.force), None)


def _kill(world: World, job: Job) -> list[Call]:
    if job.cancelled:
        return []
    job.cancelled = True
    job.session.dying += 1
    world.tell(do.KillJob(job))
    return list(job.calls)


def cancel_session(world: World, session: Session) -> None:
    """The user does not want the session any more: its clients' calls leave; it ends when its jobs are gone."""
    for call in list(session.calls):
        if call.job is None and call.owner is None:
            leave(world, call)
    end_session_if_over(world, session)
