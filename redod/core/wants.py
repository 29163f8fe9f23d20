"""Wants: from "somebody wants this target" to a verdict, and from there to the queue for a token."""

from redod.core import instructions as do
from redod.core.calls import warn_if_edited
from redod.core.check import Check
from redod.core.dofiles import Candidate
from redod.core.graph import Kind, Node
from redod.core.model import Call, Want, World
from redod.core.moves import CYCLE, clients_of, finish, join, wait
from redod.core.paths import relative, show
from redod.core.search import Look, NoDofile, Search
from redod.core.states import WantState
from redod.core.suspects import distrust, suspect
from redod.core.verdicts import FORCED, NEVER_BUILT, Clean, Dirty, Reason, Source, Undecided, Verdict

_NO_RULE = "no rule to make {name}: neither it nor a dofile for it exists (redo-whichdo lists the names)"
_NOT_OURS = "{name} exists and is not a target; not redoing it"


def begin(world: World, want: Want) -> None:
    """Judge a want, for the first time or again."""
    if want.state is WantState.DROPPED:
        return
    job = world.jobs.get(want.node)
    if job is not None:
        if want.state is not WantState.WANTED:
            want.move(WantState.CHECKING)
        join(world, want, job)
        return
    want.job = None
    want.move(WantState.CHECKING)
    want.walk = _judging(world, want)
    walk(world, want)


def _judging(world: World, want: Want) -> Check | Look:
    if want.force:
        return Look(world.graph, want.node)
    session = want.session
    hopeless = session.failed.keys() | want.stuck if want.stuck else session.failed.keys()
    return Check(world.graph, want.node, session.epoch, hopeless, None if want.stuck else session.outdated)


def walk(world: World, want: Want) -> None:
    """Go on with the check or the search of a want until it must be told something."""
    while want.state is WantState.CHECKING:
        assert want.walk is not None
        result = want.walk.run()
        if isinstance(result, list):
            want.asked = world.epoch
            world.tell(do.Observe(want, result, until_file=isinstance(want.walk, Search)))
            return
        for node in want.walk.changed:
            world.tell(do.Record(node))
        if isinstance(result, Candidate):
            _found(world, want, result)
        elif isinstance(result, NoDofile):
            _without_dofile(world, want)
        else:
            _judged(world, want, result)


def unseen(world: World, want: Want, text: str) -> None:
    """What is on the disk cannot be found out, so neither can a verdict."""
    for call in want.calls:
        _complain(world, call, want, f"{{name}}: {text}")
    finish(world, want, 1)


def _judged(world: World, want: Want, verdict: Verdict) -> None:
    match verdict:
        case Clean():
            if want.force:
                _search(world, want, FORCED)
            else:
                finish(world, want, 0)
        case Source():
            _is_source(world, want, verdict)
        case Dirty(reason):
            _search(world, want, reason)
        case Undecided(first):
            _build_ahead(world, want, list(first))


def _is_source(world: World, want: Want, verdict: Source) -> None:
    """A file that is not ours is left alone. A directory counts as a source only where no dofile matches."""
    node = want.node
    assert node.stamp is not None
    if node.stamp.is_directory:
        _search(world, want, FORCED if want.force else NEVER_BUILT)
        return
    for call in want.calls:
        if verdict.edited:
            warn_if_edited(world, call, node)
        elif want.force:
            _complain(world, call, want, _NOT_OURS)
    finish(world, want, 0)


def _search(world: World, want: Want, reason: Reason) -> None:
    want.reason = reason
    want.walk = Search(world.graph, want.node)


def _found(world: World, want: Want, dofile: Candidate) -> None:
    node, session = world.graph.node(dofile.path), want.session
    if node in session.failed:
        for call in want.calls:
            _complain(world, call, want, f"{{name}}: its script {show(dofile.path)} could not be rebuilt")
        finish(world, want, 1)
    elif node in want.stuck:
        for call in want.calls:
            _complain(
                world, call, want, f"{{name}}: its script {show(dofile.path)} is a target that waits for {{name}}"
            )
        finish(world, want, CYCLE)
    elif node.kind is Kind.TARGET and node.verified < session.epoch:
        _build_ahead(world, want, [node])
    else:
        want.dofile = dofile
        _enqueue(world, want)


def _enqueue(world: World, want: Want) -> None:
    assert want.reason is not None
    for call in want.calls:
        for client in clients_of(call):
            world.tell(do.Explain(client, want.node, want.reason))
    wait(world, want, WantState.QUEUED)
    want.pool.enqueue(want)
    world.pools.add(want.pool)
    world.grants_due = True


def _build_ahead(world: World, want: Want, nodes: list[Node]) -> None:
    """Build these first, then judge the want again."""
    session = want.session
    call = Call(session, nodes, force=False, order=want.order, pool=want.pool, owner=want)
    session.calls.add(call)
    want.ahead = call
    wait(world, want, WantState.AHEAD)
    world.to_advance.append(call)


def _without_dofile(world: World, want: Want) -> None:
    """No script: an existing file is a source from now on, a missing one cannot be made."""
    node = want.node
    if node.kind is Kind.TARGET:
        # Its stamp is the recorded one: look at what is there, as at any file that is not ours.
        distrust(node)
        suspect(node)
        node.kind, node.stamp, node.status, node.observed = Kind.UNKNOWN, None, None, 0
        node.deps, node.dofile, node.checksum, node.always, node.reason = (), None, b"", False, None
        world.tell(do.Record(node))
        want.walk = _judging(world, want)
        return
    if node.stamp is not None and node.stamp.exists:
        node.kind, node.status = Kind.SOURCE, None
        for call in want.calls if want.force else ():
            _complain(world, call, want, _NOT_OURS)
        finish(world, want, 0)
        return
    for call in want.calls:
        _complain(world, call, want, _NO_RULE)
    finish(world, want, 1)


def _complain(world: World, call: Call, want: Want, text: str) -> None:
    for client in clients_of(call):
        world.tell(do.Complain(client, text.replace("{name}", show(relative(want.node.path, client.cwd)))))
