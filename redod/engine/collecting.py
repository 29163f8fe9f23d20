"""Collecting: the logs of a workspace are written anew, without those that nobody can want any more.

It owns which those are, and the order that keeps the others safe whatever happens: copied, recorded, then the old
segments deleted. It does not know segments' insides (`redod.logs.segments`).
"""

import asyncio
import os
import time
from typing import NamedTuple

from redod.core.graph import Graph, Kind, LogPlace, Node
from redod.core.paths import relative
from redod.engine.stores import OpenWorkspace, Stores
from redod.engine.tasks import SLICE
from redod.logs.kept import SILENT
from redod.logs.segments import NotKept
from redod.store import StoreError


class Collected(NamedTuple):
    """`dropped` and `kept` logs; bytes in all segments `before` and `after`."""

    dropped: int
    kept: int
    before: int
    after: int


async def collect(stores: Stores, graph: Graph, workspace: OpenWorkspace) -> Collected:
    """Builds may go on meanwhile: what ends then is appended behind the old segments. Raises StoreError."""
    segments = workspace.segments
    before = segments.size
    try:
        old = segments.begin_anew()
    except OSError as error:
        raise StoreError(
            f"the logs cannot be written anew: {error.strerror}; those that were there are kept"
        ) from error
    dropped = kept = 0
    deadline = time.monotonic() + SLICE
    try:
        for node in [node for node in graph if node.workspace == workspace.number and node.log]:
            segment = LogPlace.unpacked(node.log).segment if node.log else None
            if segment is None or (segment != SILENT and segment not in old):
                continue
            is_gone = _is_gone(node)
            if is_gone:
                node.log = b""
            elif segment != SILENT:
                _copy(workspace, node)
            dropped += is_gone
            kept += not is_gone
            stores.record(node)
            if time.monotonic() > deadline:
                await asyncio.sleep(0)
                deadline = time.monotonic() + SLICE
        workspace.store.commit()
        segments.delete(old)
    finally:
        segments.end_anew()
    return Collected(dropped, kept, before, segments.size)


def _copy(workspace: OpenWorkspace, node: Node) -> None:
    name = relative(node.path, workspace.root)
    data = workspace.segments.read(LogPlace.unpacked(node.log), name)
    if data is None:
        # Torn, or deleted for want of room.
        node.log = b""
        return
    place = workspace.segments.append(name, data)
    if isinstance(place, NotKept):
        raise StoreError(f"the logs cannot be written anew: {place.reason}; those that were there are kept")
    node.log = place.packed()


def _is_gone(node: Node) -> bool:
    """It is no target any more, or there is neither it nor its script."""
    if node.kind is Kind.SOURCE or node.dofile is None:
        return True
    return not os.path.lexists(node.path) and not os.path.lexists(node.dofile.path)
