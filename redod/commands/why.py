"""`redo-why`: why targets would be, or were last, built. It tells what checks decided; it decides nothing itself."""

from collections.abc import Iterator
from heapq import nsmallest

from redod.commands.affected import find_dependents
from redod.commands.answer import open_around, send
from redod.commands.context import Attendant, Context, Errand
from redod.commands.query import known, script_of
from redod.core.graph import DepKind, Kind, Node
from redod.core.paths import relative, show
from redod.core.verdicts import Clean, Dirty, Reason, Source, Undecided, Verdict, Why
from redod.core.walks import Dependents
from redod.errors import UsageError

_FEW = 5
"""Names of dependents that are told; more are counted."""


def redo_why(context: Context) -> Attendant | None:
    """Tell why targets are out of date, or why they were last built."""
    _, names = context.options()
    if not names:
        raise UsageError("needs a target; see redo-why --help")
    return Errand(context, _answer, context, context.paths(names))


async def _answer(context: Context, paths: list[bytes]) -> None:
    await open_around(context, paths)
    nodes = list(dict.fromkeys(known(context, path) for path in paths))
    outdated: dict[Node, tuple[int, Reason]] = {}
    verdicts = await context.engine.judging.judge(nodes, outdated)
    telling = _Telling(context, outdated, await find_dependents(context))
    lines = (line for node in nodes for line in telling.about(node, verdicts[node]))
    await send(context, (line.encode() + b"\n" for line in lines))


class _Telling:
    """`outdated`: the reasons that the judging found, also those of targets further down."""

    def __init__(self, context: Context, outdated: dict[Node, tuple[int, Reason]], dependents: Dependents) -> None:
        self._cwd = context.invocation.cwd
        self._graph = context.engine.graph
        self._outdated = outdated
        self._dependents = dependents

    def about(self, node: Node, verdict: Verdict) -> Iterator[str]:
        name = self._name(node)
        match verdict:
            case Clean():
                yield f"{name} is up to date"
                yield from self._last_build(node)
            case Source(edited):
                yield f"{name} is a target that was edited by hand" if edited else f"{name} is a source"
                yield from self._wanted(node)
            case Undecided(first):
                yield f"{name} is out of date if these, which have checksums, turn out to have changed:"
                for other in first:
                    yield from self._origin(Reason(Why.DEPENDENCY, other.path))
            case Dirty() if node.kind is not Kind.TARGET and script_of(node.path) is None:
                yield f"{name} does not exist, and there is no script for it"
                yield from self._wanted(node)
            case Dirty(reason):
                yield f"{name} is out of date: {(Reason(Why.FAILED) if node.status else reason).text(self._cwd)}"
                yield from self._origin(reason)
                yield from self._last_build(node)

    def _origin(self, reason: Reason) -> Iterator[str]:
        """From a reason on to where it began."""
        seen: set[Node] = set()
        while reason.about and (node := self._graph.find(reason.about)) is not None and node not in seen:
            seen.add(node)
            if reason.why in (Why.ABSENT, Why.GONE):
                yield from self._wanted(node)
            if reason.why is not Why.DEPENDENCY or node not in self._outdated:
                return
            reason = self._outdated[node][1]
            yield f"  {self._name(node)} is out of date: {reason.text(self._cwd)}"

    def _last_build(self, node: Node) -> Iterator[str]:
        if node.reason is not None:
            yield f"  reason of its last build: {node.reason.text(self._cwd)}"
        if not node.status:
            return
        yield f"  its last build {_ending(node.status)}"
        for dep in node.deps:
            other = dep.node
            if other.status:
                yield f"  it had asked for {self._name(other)}, whose last build {_ending(other.status)}"
            elif dep.kind is DepKind.IFCHANGE and _is_missing(other):
                yield f"  it had asked for {self._name(other)}, which did not exist"

    def _wanted(self, node: Node) -> Iterator[str]:
        wanted = self._dependents.of(node)
        if wanted:
            first = [self._name(target) for target in nsmallest(_FEW, wanted, key=lambda target: target.path)]
            more = f" and {len(wanted) - _FEW} more" if len(wanted) > _FEW else ""
            yield f"  {self._name(node)} is wanted by {', '.join(first)}{more}"

    def _name(self, node: Node) -> str:
        return show(relative(node.path, self._cwd))


def _ending(status: int) -> str:
    return f"was ended by signal {-status}" if status < 0 else f"failed with status {status}"


def _is_missing(node: Node) -> bool:
    return node.kind is Kind.UNKNOWN and (node.stamp is None or not node.stamp.exists)
