"""`redod doctor` and `redod verify`: what keeps the server from knowing, and whether what it knows is so."""

import asyncio

from redod.commands.context import Attendant, Context, Errand
from redod.core.graph import Node
from redod.core.paths import relative, show
from redod.engine.watching import MOMENT

_PIECE = 256
"""Files that are looked at before others get a turn: some ms."""


def redod_doctor(context: Context) -> Attendant | None:
    """What does not work as well as it could, and what to do about it. Status 1: something does not."""
    watching = context.engine.watching
    verdict = "not as it could be: " if watching.is_degraded else "ok: "
    context.link.output(1, f"watching   {verdict}{watching.state()}\n".encode())
    context.link.exit(1 if watching.is_degraded else 0)
    return None


def redod_verify(context: Context) -> Attendant | None:
    """Look at every file that counts as unchanged because nothing was told of it. Status 1: one has changed."""
    return Errand(context, _verify, context)


async def _verify(context: Context) -> None:
    engine, link, cwd = context.engine, context.link, context.invocation.cwd
    nodes = [node for node in engine.graph if node.watched]
    differing: list[Node] = []
    for start in range(0, len(nodes), _PIECE):
        await engine.catch_up()
        differing += engine.watching.differing(nodes[start : start + _PIECE])
        await asyncio.sleep(0)
    if differing:
        await asyncio.sleep(MOMENT)
        await engine.catch_up()
    found = engine.watching.confirm(differing)
    for path, text in found:
        link.output(1, f"{show(relative(path, cwd))}: {text}\n".encode())
    verdict = f"{len(found)} of them have changed and nothing told of it" if found else "all are as they should be"
    link.output(2, f"redod: looked at {len(nodes)} files that are watched; {verdict}\n".encode())
    link.exit(1 if found else 0)
