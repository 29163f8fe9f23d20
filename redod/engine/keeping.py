"""Keeping logs: what a job printed goes to the segments of its target's workspace, and is found there again.

How logs look, and how segments are read and written, is for `redod.logs`.
"""

import os
from collections.abc import Iterable
from contextlib import suppress

from redod.core.graph import LogPlace, Node
from redod.core.paths import relative
from redod.engine.stores import OpenWorkspace, Stores
from redod.logs.joblog import JobLog
from redod.logs.kept import SILENT, Kept, silent_place
from redod.logs.records import Entry
from redod.logs.segments import NotKept
from redod.store import StoreError


def keep_log(node: Node, log: JobLog, stores: Stores) -> None:
    """Store a finished log; the build goes on without one that cannot be."""
    workspace = stores.of(node)
    if workspace is None:
        return
    data = log.encode(workspace.root)
    if not data and log.done is not None:
        node.log, segment = silent_place(log.started, log.done), None
    else:
        node.log = b""
        place = _append(node, data, workspace)
        if isinstance(place, NotKept):
            stores.notices.append(f"the log of {os.fsdecode(node.path)} could not be kept: {place.reason}")
            return
        node.log, segment = place.packed(), workspace.segments.find(place.segment)
    log.settle(workspace.root, node.log, segment)


def _append(node: Node, data: bytes, workspace: OpenWorkspace) -> LogPlace | NotKept:
    """`.redo` may have been removed meanwhile: then it is made again."""
    name = relative(node.path, workspace.root)
    place = workspace.segments.append(name, data)
    if isinstance(place, NotKept):
        with suppress(StoreError):
            workspace.store.renew()
            place = workspace.segments.append(name, data)
    return place


def log_of(node: Node, stores: Stores) -> Iterable[Entry] | None:
    """The entries of a target's last log."""
    workspace = stores.of(node)
    if workspace is None or not node.log:
        return None
    segment, number = None, LogPlace.unpacked(node.log).segment
    if number != SILENT:
        segment = workspace.segments.find(number)
        if segment is None:
            return None
    return Kept(node.path, workspace.root, node.log, segment).entries()
