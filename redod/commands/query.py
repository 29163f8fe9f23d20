"""`redo-whichdo`, `redo-targets`, `redo-sources`, `redo-ood`: what is known. They build nothing."""

import os
from collections.abc import Callable, Iterable

from redod.commands.context import Attendant, Context, Errand
from redod.core.dofiles import candidates
from redod.core.graph import DepKind, Kind, Node
from redod.core.paths import join, relative
from redod.core.verdicts import Clean, Source
from redod.engine.stores import OpenWorkspace
from redod.errors import UsageError
from redod.session.handover import open_stores

_PIECE = 1000


def redo_whichdo(context: Context) -> Attendant | None:
    """List the names where a script is looked for, up to the one that exists."""
    _, names = context.options()
    if len(names) != 1:
        raise UsageError("needs exactly one target; see redo-whichdo --help")
    found = False
    lines = []
    for candidate in candidates(context.paths(names)[0]):
        lines.append(relative(candidate.path, context.invocation.cwd))
        if os.path.exists(candidate.path) and not os.path.isdir(candidate.path):
            found = True
            break
    context.link.output(1, b"".join(line + b"\n" for line in lines))
    context.link.exit(0 if found else 1)
    return None


def redo_targets(context: Context) -> Attendant | None:
    """List the known targets."""
    return _list(context, _targets)


def redo_sources(context: Context) -> Attendant | None:
    """List the known sources."""
    return _list(context, _sources)


def redo_ood(context: Context) -> Attendant | None:
    """List the targets that are out of date."""
    _no_names(context)
    return Errand(context, _ood, context)


def _list(context: Context, select: Callable[[Context, OpenWorkspace], Iterable[Node]]) -> Attendant:
    _no_names(context)

    async def answer() -> None:
        workspace = await workspace_around(context)
        if workspace is not None:
            _print(context, select(context, workspace))

    return Errand(context, answer)


def _targets(context: Context, workspace: OpenWorkspace) -> Iterable[Node]:
    return (node for node in context.engine.graph if node.workspace == workspace.number and node.kind is Kind.TARGET)


def _sources(context: Context, workspace: OpenWorkspace) -> Iterable[Node]:
    named: dict[Node, None] = {}
    for node in context.engine.graph:
        if node.workspace == workspace.number:
            named.update((dep.node, None) for dep in node.deps if dep.kind is DepKind.IFCHANGE)
            named[node] = None
    return (node for node in named if node.kind in (Kind.SOURCE, Kind.OVERRIDDEN))


async def _ood(context: Context) -> None:
    workspace = await workspace_around(context)
    if workspace is None:
        return
    verdicts = await context.engine.judge(list(_targets(context, workspace)))
    _print(context, (node for node, verdict in verdicts.items() if not isinstance(verdict, Clean | Source)))


async def workspace_around(context: Context) -> OpenWorkspace | None:
    """The workspace around the working directory, opened; None after the client was answered: there is none."""
    engine, setting = context.engine, context.setting()
    # A name that exists, so that no store is made where there is none.
    inside = [join(setting.cwd, b".")]
    engine.stores.look_again()
    await open_stores(engine, context, inside, setting)
    workspace = engine.stores.below(setting.cwd)
    if workspace is None:
        _print(context, ())
    return workspace


def _print(context: Context, nodes: Iterable[Node]) -> None:
    cwd = context.invocation.cwd
    names = sorted(relative(node.path, cwd) for node in nodes)
    for start in range(0, len(names), _PIECE):
        context.link.output(1, b"".join(name + b"\n" for name in names[start : start + _PIECE]))
    context.link.exit(0)


def _no_names(context: Context) -> None:
    _, names = context.options()
    if names:
        raise UsageError(f"takes no names; see {context.name} --help")
