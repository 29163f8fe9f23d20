"""The hand-over of a workspace between two servers: the one that wants it asks the other's socket, like any client."""

import asyncio
import os
import socket
import struct
from typing import Protocol

from redod.core.model import Session
from redod.core.paths import show
from redod.engine.client import Setting
from redod.engine.engine import Engine
from redod.errors import RedodError
from redod.protocol.frames import FrameType
from redod.protocol.invocation import encode_request
from redod.store.lock import Owner, WorkspaceBusy
from redod.store.workspaces import Workspace

PATIENCE = 1.0
"""Seconds before the user is told for what is waited."""
_NAMING = 0.01
"""Seconds in which a server that has just taken the lock has written its name."""
_SHORT_PATH = 107
"""Bytes of a path that fit a socket's address, unix(7)."""


class Teller(Protocol):
    """Who is told that it takes long."""

    def complain(self, text: str) -> None: ...


async def open_stores(
    engine: Engine, teller: Teller, targets: list[bytes], setting: Setting, session: Session | None = None
) -> None:
    """Open the stores of these targets' workspaces, asking other servers for those that they own.

    Raises RedodError when one cannot be had.
    """
    # One may be given up while the next is waited for, so they are counted anew each time.
    with engine.tasks.waiting():
        while missing := engine.stores.missing(targets, setting, session):
            await _open(engine, teller, missing[0], setting, session)
            await engine.wait_clean()


async def _open(
    engine: Engine, teller: Teller, workspace: Workspace, setting: Setting, session: Session | None
) -> None:
    told: asyncio.TimerHandle | None = None
    try:
        while True:
            try:
                engine.stores.open(workspace, setting.home)
            except WorkspaceBusy as busy:
                if busy.owner is None:
                    await asyncio.sleep(_NAMING)
                else:
                    if told is None:
                        text = f"waiting for another redod (pid {busy.owner.pid}), which is building in "
                        told = engine.loop.call_later(PATIENCE, teller.complain, text + show(workspace.root))
                    await _have_released(engine, busy, busy.owner, session)
            else:
                return
    finally:
        if told is not None:
            told.cancel()


async def _have_released(engine: Engine, busy: WorkspaceBusy, owner: Owner, session: Session | None) -> None:
    """Return when the owner has released the store, or ended.

    Raises WorkspaceBusy when it cannot be asked, RedodError when it refuses.
    """
    if owner.pid == os.getpid() and owner.socket == engine.socket:
        # Ours by another name: the workspace was moved, or is seen through another path.
        await engine.stores.release(busy.directory, session)
    elif owner.socket == engine.socket or not await _ask(owner.socket, busy):
        # Nobody reaches it there any more: its place was taken, by us or by nobody, so it is about to end.
        await _wait_end(owner, busy)


async def _ask(path: bytes, busy: WorkspaceBusy) -> bool:
    """Have the owner release the store; False when nobody listens there."""
    try:
        reader, writer = await _connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except (OSError, ValueError) as error:
        raise RedodError(
            f"cannot talk to another redod at {show(path)}, which owns {show(busy.directory)}: {error}"
        ) from error
    try:
        payload = encode_request(b"redod", [b"release", busy.directory])
        writer.write(struct.pack(">IB", len(payload), FrameType.INVOKE) + payload)
        answer = await reader.read()
    except OSError:
        return True
    finally:
        writer.close()
    if answer[4:5] == bytes([FrameType.REFUSED]):
        raise RedodError(answer[6:].decode("utf-8", "replace"))
    return True


async def _connect(path: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A long path is reached through its directory. Raises OSError."""
    if len(path) <= _SHORT_PATH:
        return await asyncio.open_unix_connection(os.fsdecode(path))
    directory, name = os.path.split(path)
    held = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{held}/{os.fsdecode(name)}")
    finally:
        os.close(held)


async def _wait_end(owner: Owner, busy: WorkspaceBusy) -> None:
    """Return when the owner's process has ended. Raises WorkspaceBusy when that cannot be seen from here."""
    if owner.host != socket.gethostname():
        raise busy
    try:
        pidfd = os.pidfd_open(owner.pid)
    except ProcessLookupError:
        await asyncio.sleep(_NAMING)
        return
    except OSError:
        raise busy from None
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
