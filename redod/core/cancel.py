"""Leaving: a client goes away, and what nobody else waits for ends."""

from redod.core import instructions as do
from redod.core.model import Call, Job, Session, Want, World
from redod.core.moves import close, end_session_if_over, forget
from redod.core.states import WantState


def leave(world: World, call: Call) -> None:
    """The client of this call is gone, or does not want it any more."""
    todo = [call]
    while todo:
        leaving = todo.pop()
        if leaving.over:
            continue
        close(world, leaving)
        for want in list(leaving.pending):
            leaving.pending.discard(want)
            want.calls.remove(leaving)
            if not want.calls:
                todo.extend(_abandon(world, want))
    end_session_if_over(world, call)


def _abandon(world: World, want: Want) -> list[Call]:
    """Nobody waits for this want any more; the calls that end with it."""
    job = want.job
    if want.state is WantState.RUNNING:
        assert job is not None
        return [] if job.joined else _kill(world, job)
    if want.state in (WantState.CLEAN, WantState.FAILED, WantState.DROPPED):
        return []
    ahead = [want.ahead] if want.ahead is not None else []
    forget(world, want)
    if job is not None and not job.joined and not job.want.calls:
        return [*ahead, *_kill(world, job)]
    return ahead


def _kill(world: World, job: Job) -> list[Call]:
    if job.cancelled:
        return []
    job.cancelled = True
    job.session.dying += 1
    world.tell(do.KillJob(job))
    return list(job.calls)


def cancel_session(world: World, session: Session) -> None:
    """The user does not want the session any more: its clients' calls leave; it ends when its jobs are gone."""
    session.cancelled = True
    for call in list(session.calls):
        if call.job is None and call.owner is None:
            leave(world, call)
