"""Jobs: from a token granted to a target recorded."""

from redod.core import instructions as do
from redod.core.graph import Graph, Kind, Node
from redod.core.model import Job, Want, World
from redod.core.moves import end_session_if_over, finish, forget, join, reply, show_job, waits_elsewhere
from redod.core.outcome import NOT_INSTALLED, TIMED_OUT, Failed, InstallTemporary, Produced, decide
from redod.core.paths import is_below
from redod.core.search import Search
from redod.core.stamps import MISSING, Stamp, difference
from redod.core.states import JobState, WantState
from redod.core.suspects import distrust, doubt, is_watchable, replace_deps, suspect, watch
from redod.core.tokens import Line, Pool

NOT_STARTED = 127
"""The status of a target whose script could not be started, as sh(1) has it for a command that is not found."""


def grant(world: World) -> bool:
    """Give free tokens to those who wait: to parked jobs first, then in the order of a serial build. Whether any was
    given.
    """
    given = world.grants_due = False
    for pool in list(world.pools):
        while (line := pool.next_line()) is not None:
            given = True
            if line.resuming:
                _resume(world, pool, line)
            else:
                want = line.pop()
                if want.state is WantState.QUEUED:
                    _start(world, want)
        for session in pool.held_by_load():
            session.load_asked = True
            world.tell(do.AwaitLowLoad(session))
        if pool.wants_more:
            pool.asked = True
            world.tell(do.AskToken(pool))
        elif pool.borrowed and (number := pool.take_surplus()):
            # Before anything else: a make looks for its tokens as soon as its recipe, our client, is answered.
            world.out.insert(0, do.ReturnTokens(pool, number))
    return given


def give_up_tokens(world: World) -> None:
    """Return the tokens that nobody waits for. Not after each step: mostly the next event wants them again."""
    for pool in list(world.pools):
        if number := pool.take_surplus():
            world.tell(do.ReturnTokens(pool, number))
        if not pool.lines and not pool.holders and all(job.pool is not pool for job in world.jobs.values()):
            pool.asked = False
            world.pools.discard(pool)
            world.tell(do.RestPool(pool))


def _resume(world: World, pool: Pool, line: Line) -> None:
    call = line.resuming.popleft()
    job = call.job
    if call.over:
        return
    if job is not None and job.state is JobState.PARKED and not waits_elsewhere(job, call):
        pool.take(job)
        job.move(JobState.RUNNING)
        # It runs again: its other calls that are over must not wait for a token that it holds now.
        for other in [other for other in job.calls if other.resuming and other is not call]:
            line.resuming.remove(other)
            reply(world, other)
    reply(world, call)


def _start(world: World, want: Want) -> None:
    node = want.node
    running = world.jobs.get(node)
    if running is not None:
        join(world, want, running)
        return
    if not want.force and node.verified >= want.session.epoch and node.kind is Kind.TARGET:
        # Somebody else has built it while it waited.
        finish(world, want, 0)
        return
    assert want.dofile is not None
    assert want.reason is not None
    world.job_count += 1
    job = Job(world.job_count, want, want.dofile, world.graph.node(want.dofile.path), world.epoch, world.graph.version)
    if isinstance(want.walk, Search) and want.walk.is_watched:
        job.arrivals = want.walk.arrivals
    world.jobs[node] = job
    want.job = job
    want.move(WantState.RUNNING)
    want.pool.take(job)
    world.to_advance.extend(want.calls)
    world.tell(do.StartJob(job, want.reason))
    for call in want.calls:
        show_job(world, call, job)


def started(job: Job, before: Stamp, started_ns: int) -> None:
    job.before, job.started_ns = before, started_ns


def start_failed(world: World, job: Job, text: str) -> None:
    world.tell(do.Remark(job, text))
    world.tell(do.Discard(job))
    job.move(JobState.FINISHING)
    _record_failure(world, job, NOT_STARTED)
    _end(world, job, NOT_STARTED)


def exited(world: World, job: Job, status: int, is_alone: bool) -> None:
    job.exit_status = status
    job.pipe_closed = job.pipe_closed or is_alone
    _settle(world, job)


def pipe_closed(world: World, job: Job) -> None:
    job.pipe_closed = True
    _settle(world, job)


def _settle(world: World, job: Job) -> None:
    """A job is over when its script has ended *and* its completion pipe is closed."""
    if job.exit_status is None:
        return
    if not job.pipe_closed:
        job.move(JobState.SETTLING)
        return
    job.move(JobState.FINISHING)
    world.tell(do.Examine(job))
    if not job.pool.serial:
        # The script has ended: another may run while this one's output is put in place.
        job.pool.give_back(job)
        world.grants_due = True


def timed_out(world: World, job: Job, text: str) -> None:
    """It is ended as a cancelled job is, but it has failed: nobody has to have it built again."""
    if job.cancelled or job.state in (JobState.FINISHING, JobState.DONE):
        return
    job.timed_out = True
    world.tell(do.Remark(job, text))
    world.tell(do.KillJob(job))


def examined(world: World, job: Job, produced: Produced) -> None:
    assert job.exit_status is not None
    if job.cancelled:
        world.tell(do.Discard(job))
        if difference(job.before, produced.after):
            _record_failure(world, job, job.exit_status or 1, produced.after)
        _end(world, job, job.exit_status or 1)
        return
    outcome = Failed(TIMED_OUT) if job.timed_out else decide(job.exit_status, produced, job.before)
    if isinstance(outcome, Failed):
        for line in outcome.messages:
            world.tell(do.Remark(job, line))
        world.tell(do.Discard(job))
        changed = produced.after if difference(job.before, produced.after) else None
        _record_failure(world, job, outcome.status, changed)
        _end(world, job, outcome.status)
    else:
        if isinstance(outcome, InstallTemporary) and produced.after.is_directory:
            outcome = InstallTemporary(spared=_known_below(world.graph, job.node))
        world.tell(do.Install(job, outcome))


def _known_below(graph: Graph, directory: Node) -> tuple[bytes, ...]:
    """The files in an old directory that are not its script's work, as far as the graph can tell.

    In a directory that the script has made, a source is what it unpacked there for others; anywhere else, the user's.
    """
    ours = directory.is_target and directory.stamp is not None and directory.stamp.is_directory
    kinds = (Kind.TARGET, Kind.OVERRIDDEN) if ours else (Kind.TARGET, Kind.OVERRIDDEN, Kind.SOURCE)
    return tuple(node.path for node in graph if node.kind in kinds and is_below(node.path, directory.path))


def installed(world: World, job: Job, stamp: Stamp, is_watched: bool, content: bytes) -> None:
    """`is_watched`: what happens to the target from now on will be told."""
    node, checksum = job.node, job.checksum or content
    node.stamp, node.observed, node.verified = stamp, world.epoch, job.epoch
    node.watched = False
    if is_watched and is_watchable(stamp):
        watch(world.graph, node)
    if stamp.nlink > 1:
        _suspect_links(job, stamp)
    if not (checksum and checksum == node.checksum):
        # Without a checksum, identical bytes count as changed: scripts have side effects.
        node.version = world.graph.fresh_version()
        doubt(node)
    node.kind, node.status = Kind.TARGET, 0
    node.checksum, node.always = checksum, job.always
    node.dofile, node.reason = job.dofile_node, job.want.reason
    is_settled = not job.always and node not in world.graph.ended_services
    is_trusted = node.watched and is_settled and job.arrivals == world.graph.arrivals
    replace_deps(node, tuple(job.deps.values()), trusted=is_trusted)
    job.session.failed.pop(node, None)
    job.session.outdated.pop(node, None)
    world.tell(do.Record(node))
    _end(world, job, 0)


def _suspect_links(job: Job, stamp: Stamp) -> None:
    """The target is a link to one of the files that it was made from, perhaps: what is written through its name is not
    told of that file, which has to be looked at from now on.
    """
    for dep in job.deps.values():
        if dep.node.stamp is not None and dep.node.stamp.inode == stamp.inode:
            suspect(dep.node)


def install_failed(world: World, job: Job, text: str) -> None:
    if not job.cancelled:
        world.tell(do.Remark(job, text))
        _record_failure(world, job, NOT_INSTALLED)
    world.tell(do.Discard(job))
    _end(world, job, NOT_INSTALLED)


def _record_failure(world: World, job: Job, status: int, changed: Stamp | None = None) -> None:
    """A failed build keeps the old dependencies as well as the new ones.

    `changed`: the script altered the target itself. It is not what a build should leave, but neither is it an edit by
    the user.
    """
    node = job.node
    distrust(node)
    suspect(node)
    merged = {(dep.kind, dep.node): dep for dep in (*node.deps, *job.deps.values())}
    node.deps, node.dofile, node.status = tuple(merged.values()), job.dofile_node, status
    node.reason = job.want.reason
    node.always = node.always or job.always
    if changed is not None:
        node.kind, node.stamp, node.version = Kind.TARGET, changed, world.graph.fresh_version()
    elif node.stamp is None:
        node.stamp = MISSING
    if not node.stamp.exists:
        # Who tolerates the failure sees no file, so the same checksum later must count as a change.
        node.checksum = b""
    world.tell(do.Record(node))


def _end(world: World, job: Job, status: int) -> None:
    job.move(JobState.DONE)
    del world.jobs[job.node]
    job.session.ended += 1
    job.pool.give_back(job)
    world.grants_due = True
    for call in list(job.calls):
        # Its client outlived the script: the call goes on for itself.
        call.job = None
    job.calls.clear()
    world.tell(do.JobEnded(job, status))
    if job.want.state is WantState.RUNNING:
        if job.cancelled and not job.want.calls:
            forget(world, job.want)
        else:
            finish(world, job.want, status)
        # They refer to each other, and what does waits for the collector.
        job.want.job = None
    for want in list(job.joined):
        _rejudge(world, job, want, status)
    job.joined.clear()
    if job.cancelled:
        job.session.dying -= 1
        end_session_if_over(world, job.session)


def _rejudge(world: World, job: Job, want: Want, status: int) -> None:
    """Whoever joined shares a failure; otherwise looks again, since an input may have changed after the job had read
    it.
    """
    want.job = None
    if status and not job.cancelled and not want.force:
        want.job = job
        finish(world, want, status)
    else:
        world.to_begin.append(want)


def holders_reported(job: Job) -> None:
    """A job that waits for somebody's background process keeps no token from others."""
    if job.state is JobState.SETTLING:
        job.pool.give_back(job)
