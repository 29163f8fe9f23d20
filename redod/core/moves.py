"""The moves that several deciding modules make: waiting, being answered, and being over."""

from collections.abc import Iterable

from redod.core import instructions as do
from redod.core.graph import DepKind, Kind, Node
from redod.core.model import Call, Job, Session, Want, World
from redod.core.paths import directory_of, relative, show
from redod.core.stamps import changed_ns
from redod.core.states import JobState, WantState
from redod.core.waits import find_cycle

CYCLE = 208
"""The status of a target that would have to wait for itself."""


def clients_of(call: Call) -> list[Call]:
    """The calls of clients that wait for this call: itself, or those that want what an internal call is made for."""
    found: list[Call] = []
    todo = [call]
    while todo:
        here = todo.pop()
        if here.owner is None:
            found.append(here)
        else:
            todo.extend(here.owner.calls)
    return found


def park(world: World, want: Want) -> None:
    """Lend the tokens of the jobs that wait for this want."""
    for waiting in want.calls:
        for call in clients_of(waiting):
            job = call.job
            if job is not None and job.state is JobState.RUNNING:
                job.move(JobState.PARKED)
            if job is not None and job.state in (JobState.PARKED, JobState.SETTLING):
                job.pool.give_back(job)
                world.grants_due = True


def waits_elsewhere(job: Job, call: Call) -> bool:
    """Whether another open call of this job waits. Then it must not take its token back: with `-j1` that other call
    would wait for a token that its own job holds.
    """
    return any(other is not call and other.pending for other in job.calls)


def wait(world: World, want: Want, state: WantState) -> None:
    """Enter a state in which the callers wait for others, so that they can go on with their next target."""
    want.move(state)
    park(world, want)
    world.to_advance.extend(want.calls)


def join(world: World, want: Want, job: Job) -> None:
    """Wait for a job that is under way."""
    want.job = job
    job.joined.append(want)
    wait(world, want, WantState.JOINED)
    for call in list(want.calls):
        refuse_cycle(world, call, want)
    for call in want.calls:
        show_job(world, call, job)


def show_job(world: World, call: Call, job: Job) -> None:
    for client in clients_of(call):
        world.tell(do.ShowJob(client, job))


def show_unchanged(world: World, call: Call, nodes: list[Node]) -> None:
    for client in clients_of(call):
        world.tell(do.ShowUnchanged(client, nodes))


def refuse_cycle(world: World, call: Call, want: Want) -> bool:
    """If `call` must not wait for `want`, because that waits for the call: tell its user, and take the call off the
    want.
    """
    cycle = find_cycle(call, want)
    if not cycle:
        return False
    call.status = CYCLE
    call.pending.discard(want)
    if call in want.calls:
        want.calls.remove(call)
    if call.owner is not None:
        # Not an error yet: the owner's script may not ask for it any more. Where it does, that call is refused.
        call.owner.stuck.add(want.node)
    else:
        world.tell(do.Complain(call, _describe(cycle)))
    world.to_advance.append(call)
    if not want.calls and want.state is not WantState.RUNNING:
        forget(world, want)
    return True


def _describe(cycle: list[Want]) -> str:
    names = [want.node.path for want in cycle]
    base = directory_of(names[0])
    text = " -> ".join(show(relative(name, base)) for name in [*names[-1:], *names])
    return f"{text}: these targets wait for each other; one of their scripts must not ask for the next"


def forget(world: World, want: Want) -> None:
    """Drop a want that nobody waits for and that has no job of its own."""
    if want.state is WantState.JOINED and want.job is not None:
        want.job.joined.remove(want)
    want.move(WantState.DROPPED)
    if want.session.wants.get(want.node) is want:
        del want.session.wants[want.node]


def declare(call: Call, node: Node) -> None:
    """The call's job depends on this file as it is now. `redo` in a script declares nothing, as in classic redo."""
    job = call.job
    if job is None or call.force or job.state is JobState.DONE:
        return
    job.dep(DepKind.IFCHANGE, node, late=_is_late(job, node))


def declare_targets(call: Call, nodes: Iterable[Node]) -> None:
    """`declare` for many, all of them targets."""
    job = call.job
    if job is None or call.force or job.state is JobState.DONE:
        return
    note = job.deps.setdefault
    for node in nodes:
        note(node, node.now)


def _is_late(job: Job, node: Node) -> bool:
    """Whether a source changed after the job had started: its script may have read the older bytes.

    Where it was looked at before the start, versions tell. Where it never was, times do: a change within the clock tick
    of the start counts as an earlier one, since a build right after a file was written is common, and a script that
    has read it within that tick is not. Never twice in a row for the same file: some scripts write files that they then
    declare. So what is no change must not use that once up.
    """
    stamp = node.stamp
    if node.kind is Kind.TARGET or stamp is None or not job.started_ns:
        return False
    if node.version <= job.first_version or changed_ns(stamp) <= job.started_ns:
        return False
    return not any(dep.node is node and dep.late for dep in job.node.deps)


def finish(world: World, want: Want, status: int) -> None:
    """A want is over. Status 0: the target is up to date."""
    want.move(WantState.FAILED if status else WantState.CLEAN)
    session, node = want.session, want.node
    if session.wants.get(node) is want:
        del session.wants[node]
    if status:
        session.failed[node] = status
    for call in want.calls:
        call.pending.discard(want)
        declare(call, node)
        if status:
            call.status = call.status or 1
        elif want.job is None and node.kind is Kind.TARGET:
            show_unchanged(world, call, [node])
    world.to_advance.extend(want.calls)


def reply(world: World, call: Call) -> None:
    """Answer a client. The last answer of a session ends it."""
    close(world, call)
    world.tell(do.Reply(call, call.status))
    end_session_if_over(world, call.session)


def close(world: World, call: Call) -> None:
    call.over = True
    call.newest = None
    call.session.calls.discard(call)
    if call.job is not None:
        call.job.calls.discard(call)


def end_session_if_over(world: World, session: Session) -> None:
    if session in world.sessions and not session.calls and not session.dying:
        world.sessions.remove(session)
        world.tell(do.EndSession(session))
