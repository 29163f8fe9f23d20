"""Long answers from the graph: gathered and sent in pieces, so that nobody else has to wait for them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from heapq import merge
from itertools import islice
from typing import TypeVar

from redod.commands.context import Context
from redod.core.graph import Node
from redod.core.paths import directory_of, join, relative
from redod.engine.tasks import SLICE
from redod.session.handover import open_stores

_PIECE = 1000
"""Lines that are sorted, or sent, at a time."""
_Item = TypeVar("_Item")


async def gently(items: Iterable[_Item]) -> AsyncIterator[_Item]:
    """The items, and now and then a turn for the others. What changes meanwhile must not be what is iterated over."""
    deadline = time.monotonic() + SLICE
    for item in items:
        yield item
        if time.monotonic() > deadline:
            await asyncio.sleep(0)
            deadline = time.monotonic() + SLICE


async def send(context: Context, lines: Iterable[bytes]) -> None:
    """Send these to the client's standard output, as fast as it takes them, and end it."""
    link, room = context.link, asyncio.Event()
    link.on_room(room.set)
    rest = iter(lines)
    while piece := b"".join(islice(rest, _PIECE)):
        link.output(1, piece)
        await asyncio.sleep(0)
        while link.is_full:
            room.clear()
            await room.wait()
    link.exit(0)


async def send_names(context: Context, nodes: Iterable[Node], end: bytes) -> None:
    """Send the files' names, relative to the client's directory and sorted."""
    await send(context, await in_order(context, nodes, end))


async def in_order(context: Context, nodes: Iterable[Node], end: bytes) -> Iterator[bytes]:
    """The files' names, relative to the client's directory and sorted."""
    cwd = context.invocation.cwd
    runs: list[list[bytes]] = [[]]
    async for node in gently(nodes):
        if len(runs[-1]) == _PIECE:
            runs[-1].sort()
            runs.append([])
        runs[-1].append(relative(node.path, cwd) + end)
    runs[-1].sort()
    return merge(*runs)


async def open_around(context: Context, paths: list[bytes]) -> None:
    """Open the workspaces of these files. Where there is no store none is made. Raises RedodError."""
    engine = context.engine
    engine.stores.look_again()
    # A name that exists in each directory: only for one that does not exist would a store be made.
    inside = list(dict.fromkeys(join(_existing(path), b".") for path in paths))
    await open_stores(engine, context, inside, context.setting())


def _existing(path: bytes) -> bytes:
    """The nearest directory above that there is."""
    directory = directory_of(path)
    while not os.path.isdir(directory):
        directory = directory_of(directory)
    return directory
