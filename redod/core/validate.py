"""The invariants of the world between two steps. Tests run it after every step; a daemon has no need of it.

It knows what must hold, not why it came about. Everything here is checked against what it is derived from, in time
that grows with the world.
"""

from collections.abc import Iterator

from redod.core.graph import Graph, Kind, Node
from redod.core.model import Call, Job, Session, Want, World
from redod.core.paths import directory_of
from redod.core.search import Look, Search
from redod.core.states import JobState, WantState
from redod.core.suspects import dependents_of, is_sound

_OVER = frozenset({WantState.CLEAN, WantState.FAILED, WantState.DROPPED})


def validate(world: World) -> None:
    """Raise AssertionError, with what is wrong, where something does not hold after a step."""
    _queues_are_empty(world)
    calls = _open_calls(world)
    wants = {want for call in calls for want in call.pending} | {job.want for job in world.jobs.values()}
    for session in world.sessions:
        _session(session)
        wants.update(session.wants.values())
    for call in calls:
        _call(call)
    for want in wants:
        _want(world, want)
    for job in world.jobs.values():
        _job(world, job)
    _tokens(world, wants)
    _nodes(world)


def _check(holds: bool, *about: object) -> None:
    if not holds:
        raise AssertionError(" ".join(thing if isinstance(thing, str) else repr(thing) for thing in about))


def _queues_are_empty(world: World) -> None:
    for name in ("out", "to_begin", "to_advance"):
        _check(not getattr(world, name), f"world.{name} is not worked off")


def _open_calls(world: World) -> set[Call]:
    found = {call for session in world.sessions for call in session.calls}
    for job in world.jobs.values():
        found |= job.calls
    return found


def _session(session: Session) -> None:
    _check(bool(session.calls or session.dying), session, "has nothing left and did not end")
    for node, want in session.wants.items():
        _check(want.node is node and want.session is session, session, "has a wrong entry for", node)
        _check(want.state not in _OVER, want, "is over and still in its session's wants")
    for call in session.calls:
        _check(call.session is session, call, "is in the calls of", session)


def _call(call: Call) -> None:
    _check(not call.over, call, "is over and still open")
    _check(call in call.session.calls, call, "is not in its session's calls")
    _check(call.job is None or call in call.job.calls, call, "is not in its job's calls")
    _check(call.owner is None or call.owner.ahead is call, call, "is not what its owner waits for")
    _check(0 <= call.position <= len(call.targets), call, "is beyond its targets")
    has_begun = bool(call.position or call.newest or call.looked)
    waits = bool(call.pending or call.looking or call.resuming)
    _check(waits or not has_begun, call, "waits for nothing and was not answered")
    for want in call.pending:
        _check(want.calls.count(call) == 1, call, "waits for", want, "which does not know of it once")
        _check(want.state not in _OVER, call, "waits for", want, "which is over")
    if call.resuming:
        waits_in_line = call.job is None or call in call.job.pool.line(call.session).resuming
        _check(waits_in_line, call, "resumes but stands in no line")


def _want(world: World, want: Want) -> None:
    state, job = want.state, want.job
    _check(state not in (*_OVER, WantState.WANTED), want, "is left in this state after a step")
    for call in want.calls:
        _check(want in call.pending, want, "has a call that does not wait for it:", call)
    _check((state is WantState.AHEAD) == (want.ahead is not None), want, "and its call ahead do not agree")
    if state is WantState.RUNNING:
        _check(job is not None and world.jobs.get(want.node) is job and job.want is want, want, "has no running job")
    elif state is WantState.JOINED:
        joined = job is not None and world.jobs.get(want.node) is job and job.joined.count(want) == 1
        _check(joined, want, "is not joined to a running job")
    else:
        _check(job is None, want, "has a job:", job)
        _check(bool(want.calls), want, "is wanted by nobody")
    if state is WantState.CHECKING:
        _check(want.walk is not None, want, "checks nothing")
    if state is WantState.QUEUED:
        _check(not isinstance(want.walk, Look), want, "was queued without a search for its dofile")
        _check(want.dofile is not None and want.reason is not None, want, "was queued without dofile or reason")
        line = want.pool.lines.get(want.session)
        _check(line is not None and any(entry[2] is want for entry in line.wants), want, "stands in no line")
        _check(want.pool in world.pools, want, "stands in a pool that gets no tokens")
        _check(isinstance(want.walk, Search), want, "was queued by something else than a search")


def _job(world: World, job: Job) -> None:
    _check(world.jobs.get(job.node) is job, job, "is registered for another target")
    _check(job.state is not JobState.DONE, job, "is over and still registered")
    _check(job.want.state is WantState.RUNNING, job, "runs for", job.want)
    for want in job.joined:
        _check(want.job is job and want.state is WantState.JOINED, job, "was joined by", want)
    for call in job.calls:
        _check(call.job is job, job, "has a call of another job:", call)
        _check(call.session is job.session, job, "has a call of another session:", call)
    holds = job in job.pool.holders
    match job.state:
        case JobState.RUNNING:
            _check(holds, job, "runs without a token")
        case JobState.PARKED:
            _check(not holds, job, "is parked and keeps its token")
            _check(bool(job.calls) or job.cancelled, job, "is parked without an open call")
        case JobState.SETTLING:
            _check(job.exit_status is not None and not job.pipe_closed, job, "waits for its pipe without cause")
        case _:
            _check(job.exit_status is not None and job.pipe_closed, job, "was finished too early")
    if not job.want.calls and not job.joined:
        _check(job.cancelled, job, "runs for nobody and is not being ended")


def _holders(world: World) -> Iterator[Job]:
    for pool in world.pools | {job.pool for job in world.jobs.values()}:
        for job in pool.holders:
            _check(job.pool is pool, job, "holds a token of another pool")
            yield job


def _tokens(world: World, wants: set[Want]) -> None:
    running: dict[Session, int] = {}
    for job in _holders(world):
        _check(world.jobs.get(job.node) is job, job, "is over and holds a token")
        running[job.session] = running.get(job.session, 0) + 1
    sessions = world.sessions | {job.session for job in world.jobs.values()}
    for session in sessions:
        _check(session.running == running.get(session, 0), session, f"counts {session.running} running jobs wrongly")
        dying = sum(job.cancelled and job.session is session for job in world.jobs.values())
        _check(session.dying == dying, session, f"counts {session.dying} dying jobs wrongly")
    for want in wants:
        if want.state is WantState.QUEUED:
            free = len(want.pool.holders) < want.pool.tokens and want.pool.line(want.session).may_go
            _check(not free and want.session.running > 0, want, "could run")
    for pool in world.pools:
        _check(1 <= pool.tokens <= pool.size, f"a pool of {pool.size} has {pool.tokens} tokens")
        waits = any(line.may_go for line in pool.lines.values())
        _check(not waits or pool.asked or pool.tokens == pool.size, "somebody waits, and no token was asked for")
        for line in pool.lines.values():
            for call in line.resuming:
                stuck = not call.over and (len(pool.holders) < pool.tokens or line.session.running == 0)
                _check(not stuck, call, "could be answered")


def _nodes(world: World) -> None:
    for node in world.graph:
        _check(world.graph.find(node.path) is node, node, "is known by another path")
        if node.kind is Kind.TARGET:
            _check(node.stamp is not None and node.version > 0, node, "is a target without stamp or version")
            # Of one that a crash left behind nothing is known but that it is ours.
            _check(node.dofile is not None or node.status is None, node, "is a target without a dofile")
        if node.kind in (Kind.SOURCE, Kind.OVERRIDDEN):
            _check(node.stamp is not None and node.stamp.exists, node, "does not exist")
        _check(node.verified <= world.epoch and node.observed <= world.epoch, node, "is of a later epoch")
    for node in world.graph.ended_services:
        _check(node.doubts is None, node, "is a service that has ended, and is trusted")
    _watched(world.graph)
    for node in world.graph:
        _doubts(node)


def _watched(graph: Graph) -> None:
    listed = [node for nodes in graph.watched.values() for node in nodes]
    _check(len(listed) == len(set(listed)), "a node is listed as watched twice")
    _check(set(listed) == {node for node in graph if node.listed}, "nodes are listed wrongly")
    for node in graph:
        if node.watched:
            _check(node.listed and node in graph.watched[directory_of(node.path)], node, "is watched and not listed")
            _check(node.stamp is not None, node, "is watched without a stamp")


def _doubts(node: Node) -> None:
    """`doubts` has all that is not sound, and `dependents` is what follows from all doubts."""
    for dependent in dependents_of(node):
        depends = dependent.doubts is not None and any(dep.node is node for dep in dependent.deps)
        _check(depends, node, "has a wrong dependent", dependent)
    if node.doubts is None:
        return
    _check(node.kind is Kind.TARGET and node.status == 0 and not node.always, node, "cannot be trusted")
    _check(bool(node.doubts) == isinstance(node.doubts, set), node, "has doubts of a wrong type")
    below = {dep.node for dep in node.deps}
    _check(node.doubts <= below, node, "doubts what it does not depend on")
    for dep in node.deps:
        _check(node in dependents_of(dep.node), node, "is not told of", dep.node)
        _check(is_sound(dep) or dep.node in node.doubts, node, "does not doubt", dep.node)
