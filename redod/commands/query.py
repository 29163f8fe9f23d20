"""`redo-whichdo`, `redo-targets`, `redo-sources`, `redo-ood`: what is known. They build nothing."""

import os
from collections.abc import Awaitable, Callable, Iterable

from redod.commands.answer import gently, open_around, send_names
from redod.commands.context import Attendant, Context, Errand
from redod.core.dofiles import candidates
from redod.core.graph import Kind, Node
from redod.core.paths import join, relative, show
from redod.core.verdicts import Clean, Source
from redod.core.walks import below
from redod.engine.stores import OpenWorkspace
from redod.errors import RedodError, UsageError


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
    return _list(context, _outdated)


_Select = Callable[[Context, list[Node]], Awaitable[Iterable[Node]]]


def _list(context: Context, select: _Select) -> Attendant:
    found, names = context.options("r0", ("recursive", "null"))
    chosen = {option for option, _ in found}
    end = b"\0" if chosen & {"-0", "--null"} else b"\n"
    paths = context.paths(names)

    async def answer() -> None:
        nodes = await under(context, paths, recursive=bool(chosen & {"-r", "--recursive"}))
        await send_names(context, await select(context, nodes), end)

    return Errand(context, answer)


async def under(context: Context, paths: list[bytes], *, recursive: bool) -> list[Node]:
    """The files of these paths and what they depend on; without any, all of the workspace around the client."""
    if not paths:
        return await _all(context)
    await open_around(context, paths)
    roots = [known(context, path) for path in paths]
    return [node async for node in gently(below(roots, recursive=recursive))]


def known(context: Context, path: bytes) -> Node:
    """A file that the graph knows, that exists, or that there is a script for. Raises RedodError for any other."""
    graph = context.engine.graph
    if graph.find(path) is None and not os.path.lexists(path) and script_of(path) is None:
        name = show(relative(path, context.invocation.cwd))
        raise RedodError(f"nothing is known of {name}: neither it nor a dofile for it exists")
    return graph.node(path)


def script_of(path: bytes) -> bytes | None:
    """The script that would make this target now."""
    return next((found.path for found in candidates(path) if os.path.isfile(found.path)), None)


async def _all(context: Context) -> list[Node]:
    """The targets of the workspace around the working directory and what they depend on; none if there is none."""
    workspace = await workspace_around(context)
    if workspace is None:
        return []
    targets = [node for node in context.engine.graph if node.workspace == workspace.number]
    nodes = [node async for node in gently(below(targets, recursive=False))]
    return [node for node in nodes if node.workspace in (0, workspace.number)]


async def workspace_around(context: Context) -> OpenWorkspace | None:
    """The workspace around the working directory, opened."""
    cwd = context.invocation.cwd
    await open_around(context, [join(cwd, b".")])
    return context.engine.stores.below(cwd)


async def _targets(_: Context, nodes: list[Node]) -> Iterable[Node]:
    return (node for node in nodes if node.kind is Kind.TARGET)


async def _sources(_: Context, nodes: list[Node]) -> Iterable[Node]:
    return (node for node in nodes if node.kind in (Kind.SOURCE, Kind.OVERRIDDEN))


async def _outdated(context: Context, nodes: list[Node]) -> Iterable[Node]:
    verdicts = await context.engine.judging.judge(
        [node for node in nodes if node.kind is Kind.TARGET or _is_to_be_made(node)]
    )
    return (node for node, verdict in verdicts.items() if not isinstance(verdict, Clean | Source))


def _is_to_be_made(node: Node) -> bool:
    """Whether it never was built with success and a build would try."""
    is_there = node.stamp is not None and node.stamp.exists
    return node.kind is Kind.UNKNOWN and not is_there and script_of(node.path) is not None
