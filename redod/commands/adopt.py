"""`redo --adopt`: take files for redo's own that it may have built, when nothing tells any more which those are."""

import asyncio
import os

from redod.commands.context import Attendant, Context, Errand
from redod.core.paths import join, relative, show
from redod.errors import RedodError
from redod.files.unrecorded import Match, matches
from redod.session.handover import open_stores

_SHOWN = 20
"""Names of files that were left alone."""


def adopt(context: Context, names: list[bytes]) -> Attendant:
    """Make the files that a dofile matches targets, out of date: those named, and all below the directories named."""
    return Errand(context, _adopt, context, context.paths(names or [b"."]))


async def _adopt(context: Context, places: list[bytes]) -> None:
    adopted: list[bytes] = []
    unsure: list[bytes] = []
    for place in places:
        inside, found = await asyncio.to_thread(_look, place)
        certain = [match.path for match in found if match.is_certain or match.path == place]
        adopted += await _take(context, inside, certain)
        unsure += [match.path for match in found if match.path not in certain]
    _tell(context, adopted, [path for path in unsure if not _is_known(context, path)])


def _look(place: bytes) -> tuple[bytes, list[Match]]:
    """A name in the workspace that this place belongs to, and the files there that a dofile matches."""
    found = list(matches(place))
    if os.path.isdir(place):
        return join(place, b"."), found
    if not found:
        raise RedodError(f"{show(place)} does not exist, or no dofile matches it (see redo-whichdo)")
    return place, found


async def _take(context: Context, inside: bytes, paths: list[bytes]) -> list[bytes]:
    engine, setting = context.engine, context.setting()
    engine.stores.look_again()
    await open_stores(engine, context, [inside], setting, make=bool(paths))
    workspace = engine.stores.at(engine.stores.root(inside, setting))
    return engine.stores.adopt(workspace, paths) if workspace is not None else []


def _is_known(context: Context, path: bytes) -> bool:
    node = context.engine.graph.find(path)
    return node is not None and bool(node.workspace)


def _tell(context: Context, adopted: list[bytes], unsure: list[bytes]) -> None:
    cwd = context.invocation.cwd
    lines = [b"adopted  " + relative(path, cwd) for path in sorted(adopted)]
    if unsure:
        shown = b" ".join(relative(path, cwd) for path in sorted(unsure)[:_SHOWN])
        more = b" ..." if len(unsure) > _SHOWN else b""
        lines.append(b"%d files match only default.do, as sources do, and are left alone:" % len(unsure))
        lines.append(b"  " + shown + more)
        lines.append(b"  To adopt one of them, name it.")
    lines.append(b"%d files are redo's now, and out of date: the next build makes them again." % len(adopted))
    context.link.output(1, b"\n".join(lines) + b"\n")
    context.link.exit(0)
