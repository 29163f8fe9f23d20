"""The wait-for graph: who would wait for whom. It is derived from calls, wants and jobs, never kept."""

from collections.abc import Iterable

from redod.core.model import Call, Job, Session, Want
from redod.core.states import WantState


def waits_for(want: Want) -> list[Want]:
    """The wants that must be over before this one can be."""
    if want.state is WantState.AHEAD and want.ahead is not None:
        return list(want.ahead.pending)
    if want.job is not None and want.state in (WantState.RUNNING, WantState.JOINED):
        return [pending for call in want.job.calls for pending in call.pending]
    return []


def jobs_awaited(sessions: Iterable[Session]) -> set[Job]:
    """The jobs, also of others, that must be over before these sessions can be."""
    todo = [want for session in sessions for want in session.wants.values()]
    found = set(todo)
    while todo:
        following = set(waits_for(todo.pop())) - found
        found |= following
        todo += following
    return {job for want in found if (job := _job_of(want)) is not None}


def find_cycle(call: Call, want: Want) -> list[Want]:
    """The way from `want` back to whoever waits in `call`, if `call` waited for it; else the empty list.

    It works across sessions: jobs are shared, so an edge into another session's job is followed like any other.
    """
    before: dict[Want, Want | None] = {want: None}
    todo = [want]
    while todo:
        here = todo.pop()
        if _is_waiting_in(here, call):
            return _path(before, here)
        for following in waits_for(here):
            if following not in before:
                before[following] = here
                todo.append(following)
    return []


def _is_waiting_in(want: Want, call: Call) -> bool:
    if call.owner is not None:
        return want is call.owner
    return call.job is not None and _job_of(want) is call.job


def _job_of(want: Want) -> Job | None:
    return want.job if want.state in (WantState.RUNNING, WantState.JOINED) else None


def _path(before: dict[Want, Want | None], last: Want) -> list[Want]:
    path: list[Want] = []
    here: Want | None = last
    while here is not None:
        path.append(here)
        here = before[here]
    return path[::-1]
