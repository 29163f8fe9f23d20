"""The hand-over of a workspace between two servers: the one that wants it asks the other's socket, like any client."""

import asyncio
import os
import struct
from typing import Protocol

from redod.core.paths import show
from redod.engine.client import Setting
from redod.engine.engine import Engine
from redod.errors import RedodError
from redod.protocol.frames import FrameType
from redod.protocol.invocation import encode_request
from redod.store.lock import WorkspaceBusy
from redod.store.workspaces import Workspace

PATIENCE = 1.0
"""Seconds before the user is told for what is waited."""


class Teller(Protocol):
    """Who is told that it takes long."""

    def complain(self, text: str) -> None: ...


async def open_stores(engine: Engine, teller: Teller, targets: list[bytes], setting: Setting) -> None:
    """Open the stores of these targets' workspaces, asking other servers for those that they own.

    Raises RedodError when one cannot be had.
    """
    for workspace in engine.stores.missing(targets, setting):
        await _open(engine, teller, workspace, setting)


async def _open(engine: Engine, teller: Teller, workspace: Workspace, setting: Setting) -> None:
    while True:
        try:
            engine.stores.open(workspace, setting.home)
        except WorkspaceBusy as busy:
            owner = busy.owner
            if owner is None:
                # It has the lock and is about to write its name.
                await asyncio.sleep(0.01)
                continue
            text = f"waiting for another redod (pid {owner.pid}), which is building in {show(workspace.root)}"
            told = asyncio.get_running_loop().call_later(PATIENCE, teller.complain, text)
            try:
                await _ask(owner.socket, busy)
            finally:
                told.cancel()
        else:
            return


async def _ask(socket: bytes, busy: WorkspaceBusy) -> None:
    """Return when the owner has released the store, or died."""
    try:
        reader, writer = await asyncio.open_unix_connection(os.fsdecode(socket))
    except (OSError, ValueError):
        raise busy from None
    try:
        payload = encode_request(b"redod", [b"release", busy.directory])
        writer.write(struct.pack(">IB", len(payload), FrameType.INVOKE) + payload)
        answer = await reader.read()
    except OSError:
        return
    finally:
        writer.close()
    if answer[4:5] == bytes([FrameType.REFUSED]):
        raise RedodError(answer[6:].decode("utf-8", "replace"))
