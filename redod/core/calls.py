"""Calls: a list of targets, gone through in order.

A call goes on to its next target as soon as the last one has begun to be built (or needs nothing), so that at most one
target of it
waits for a token; with a serial pool, only when the last one is over.
"""

from redod.core import instructions as do
from redod.core.graph import NO_DOUBTS, Kind, Node
from redod.core.model import Call, Want, World
from redod.core.moves import (
    clients_of,
    declare,
    declare_targets,
    forget,
    park,
    refuse_cycle,
    reply,
    show_job,
    show_unchanged,
    waits_elsewhere,
)
from redod.core.paths import relative, show
from redod.core.settle import settle
from redod.core.stamps import Moment, Stamp
from redod.core.states import JobState, WantState

_LARGEST_BATCH = 512
_BEGINNING = (WantState.WANTED, WantState.CHECKING, WantState.QUEUED)


def advance(world: World, call: Call) -> None:
    """Go on with a call as far as is possible without waiting."""
    if _is_stopped(call):
        _drop_beginning(world, call)
    while not call.over and not call.looking and not _must_wait(call):
        if call.position == len(call.targets) or _is_stopped(call):
            if not call.pending:
                _complete(world, call)
            return
        node = call.targets[call.position]
        if _is_up_to_date(world, call, node):
            _pass_over(world, call)
        elif not _may_be_source(call, node):
            call.position += 1
            _request(world, call, node)
        elif _is_known(node):
            call.position += 1
            warn_if_edited(world, call, node)
            declare(call, node)
        else:
            _look(world, call, node)
            return


def _is_stopped(call: Call) -> bool:
    """After a failure what runs may end, and nothing more is started."""
    return bool(call.status) and not call.session.keep_going


def _drop_beginning(world: World, call: Call) -> None:
    for want in [want for want in call.pending if want.state in _BEGINNING]:
        call.pending.discard(want)
        want.calls.remove(call)
        if call.newest is want:
            call.newest = None
        if not want.calls:
            forget(world, want)


def _must_wait(call: Call) -> bool:
    if call.pool.serial:
        return bool(call.pending)
    return call.newest is not None and call.newest.state in _BEGINNING


def _is_up_to_date(world: World, call: Call, node: Node) -> bool:
    """A target that nothing has been heard of, nor of what it is made from, since that was looked at."""
    return (
        node.doubts is NO_DOUBTS
        and node.watched
        and not call.force
        and node not in call.session.wants
        and node not in call.session.failed
        and node not in world.jobs
    )


def _pass_over(world: World, call: Call) -> None:
    """The next targets are up to date, as many as there are: that costs little, and most of a long list mostly is."""
    targets, epoch = call.targets, call.session.epoch
    end = call.position
    while end < len(targets) and _is_up_to_date(world, call, targets[end]):
        end += 1
    nodes = targets[call.position : end]
    call.position = end
    for node in nodes:
        if node.verified < epoch:
            node.verified = epoch
    declare_targets(call, nodes)
    show_unchanged(world, call, nodes)


def _may_be_source(call: Call, node: Node) -> bool:
    return (
        node.kind is not Kind.TARGET
        and not call.force
        and node not in call.session.wants
        and node not in call.session.failed
        and node not in call.looked
    )


def _is_known(node: Node) -> bool:
    """A file that is not ours to make, and is as it was when it was last looked at."""
    return node.watched and node.kind is not Kind.UNKNOWN and node.stamp is not None and not node.stamp.is_directory


def _look(world: World, call: Call, first: Node) -> None:
    """Look at this target, and with it at the next ones as long as they may all be sources."""
    call.looking.append(first)
    for node in call.targets[call.position + 1 : call.position + call.batch]:
        if not _may_be_source(call, node) or _is_known(node):
            break
        call.looking.append(node)
    call.asked = world.epoch
    world.tell(do.Observe(call, [node.path for node in call.looking]))


def looked(world: World, call: Call, stamps: list[Stamp], moment: Moment) -> None:
    """What the targets that were looked at are: sources are declared as they are now; the first that is none is
    wanted.
    """
    nodes, call.looking = call.looking, []
    if call.over:
        return
    call.batch = min(call.batch * 2, _LARGEST_BATCH)
    for node, stamp in zip(nodes, stamps, strict=True):
        if settle(world.graph, node, stamp, moment):
            world.tell(do.Record(node))
        if not stamp.exists or stamp.is_directory:
            # What comes after it is looked at again once it is built: its script may make those too.
            call.batch = 1
            call.looked = {node}
            break
        call.position += 1
        warn_if_edited(world, call, node)
        declare(call, node)
    world.to_advance.append(call)


def unseen(world: World, call: Call, text: str) -> None:
    """What is on the disk cannot be found out: the targets that were looked at fail."""
    call.position += len(call.looking)
    call.looking = []
    call.status = call.status or 1
    for client in clients_of(call):
        world.tell(do.Complain(client, text))
    world.to_advance.append(call)


def warn_if_edited(world: World, call: Call, node: Node) -> None:
    """Tell the user, once a session, that a target is kept because it was edited."""
    if node.kind is Kind.OVERRIDDEN and node not in call.session.warned:
        call.session.warned.add(node)
        for client in clients_of(call):
            world.tell(do.Complain(client, f"{show(relative(node.path, client.cwd))} - you modified it; skipping"))


def _request(world: World, call: Call, node: Node) -> None:
    session = call.session
    if node in session.failed and not call.force:
        call.status = call.status or 1
        declare(call, node)
        for client in clients_of(call):
            world.tell(do.ShowFailed(client))
        return
    want = session.wants.get(node)
    if want is None or (want.state is WantState.RUNNING and (call.force or _is_dying(want))):
        want = Want(session, node, force=call.force, order=(*call.order, call.position), pool=call.pool)
        session.wants[node] = want
        world.to_begin.append(want)
    want.force = want.force or call.force
    call.newest = want
    call.pending.add(want)
    want.calls.append(call)
    if refuse_cycle(world, call, want):
        return
    if want.state not in (WantState.WANTED, WantState.CHECKING):
        park(world, want)
    if want.job is not None:
        show_job(world, call, want.job)


def _is_dying(want: Want) -> bool:
    """Its job is being killed because nobody wanted it: who wants it now has to wait for that, and build it again."""
    return want.job is not None and want.job.cancelled


def _complete(world: World, call: Call) -> None:
    """All targets are over: answer, as soon as the caller's job has its token back."""
    if call.owner is not None:
        owner = call.owner
        call.over = True
        call.newest = None
        call.session.calls.discard(call)
        owner.ahead = None
        world.to_begin.append(owner)
    elif call.job is not None and call.job.state is JobState.PARKED and not waits_elsewhere(call.job, call):
        call.resuming = True
        call.job.pool.line(call.session).resuming.append(call)
        world.pools.add(call.job.pool)
        world.grants_due = True
    else:
        reply(world, call)
