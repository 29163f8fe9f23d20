"""The hand-over of a workspace between two servers: the one that wants it asks the other's socket, like any client."""

import asyncio
import os
import socket
from collections.abc import Coroutine
from typing import Protocol

from redod.core.model import Job, Session
from redod.core.paths import directory_of, relative, show
from redod.engine.claims import Request, Wait
from redod.engine.client import Setting
from redod.engine.engine import Engine
from redod.errors import RedodError
from redod.files.unrecorded import Match, matches
from redod.session.asking import ask
from redod.session.ring import phase, wait_for_ring
from redod.store import StoreError
from redod.store.lock import Owner, WorkspaceBusy
from redod.store.workspaces import Workspace

PATIENCE = 1.0
"""Seconds before the user is told for what is waited."""
_NAMING = 0.01
"""Seconds in which a server that has just taken the lock has written its name."""
_LOOK_AGAIN = 0.1
"""Seconds between two looks whether a server that cannot be asked has released a store."""


class Teller(Protocol):
    """Who is told that it takes long."""

    @property
    def client(self) -> int:
        """The pid of whose client it is."""

    @property
    def session(self) -> Session | None:
        """For which the stores are opened; another may take it over meanwhile."""

    @property
    def job(self) -> Job | None:
        """Whose script asks for them."""

    def complain(self, text: str) -> None: ...


async def open_stores(
    engine: Engine, teller: Teller, targets: list[bytes], setting: Setting, *, make: bool = False
) -> None:
    """Open the stores of these targets' workspaces, asking other servers for those that they own.

    Raises RedodError when one cannot be had.
    """
    # One may be given up while the next is waited for, so they are counted anew each time.
    with engine.tasks.waiting(), engine.stores.resting.errand():
        while missing := engine.needs.missing(targets, setting, teller.session, make=make):
            await _open(engine, teller, missing[0], setting)
            await engine.remains.wait_clean()
            if not make:
                await _offer_adoption(engine, teller, missing[0].root)


async def _offer_adoption(engine: Engine, teller: Teller, root: bytes) -> None:
    """Where nothing is known every built file looks like a source, and would stay as it is for ever."""
    here = engine.stores.at(root)
    if here is None or not here.store.loaded.knows_nothing:
        return
    _offer(teller, root, await asyncio.to_thread(list, matches(root)))


def offer_adoption(engine: Engine, teller: Teller, targets: list[bytes], setting: Setting) -> None:
    """Where there is no store nothing is known either, and none is made for targets that exist, as all of these do."""
    places = {directory_of(target): target for target in targets}
    outside = {directory for directory, target in places.items() if engine.stores.is_outside(target, setting)}
    matching: dict[bytes, list[Match]] = {}
    for target in targets if outside else ():
        if directory_of(target) in outside and not os.path.isdir(target):
            matching.setdefault(engine.stores.root(target, setting), []).extend(matches(target))
    for root, found in matching.items():
        _offer(teller, root, found)


def _offer(teller: Teller, root: bytes, matching: list[Match]) -> None:
    found = sorted(match.path for match in matching if match.is_certain)
    if found:
        teller.complain(
            f"nothing is known of earlier builds in {show(root)}, but dofiles match {len(found)} of the files there"
            f" ({show(relative(found[0], root))}{', ...' if found[1:] else ''}): what is not known counts as a source"
            " and stays as it is. If redo has built it: redo --adopt"
        )


async def _open(engine: Engine, teller: Teller, workspace: Workspace, setting: Setting) -> None:
    told: asyncio.TimerHandle | None = None
    with engine.stores.claims.waiting(teller.session, teller.job) as wait:
        try:
            while (busy := await _try_open(engine, workspace, setting)) is not None:
                if busy.owner is None:
                    await asyncio.sleep(_NAMING)
                    continue
                who = f"another build server (redod, pid {busy.owner.pid}), which is building in {show(workspace.root)}"
                if told is None:
                    told = engine.loop.call_later(PATIENCE, teller.complain, f"waiting for {who}")
                wait.server, wait.lock = busy.owner.socket, busy.identity
                if not await _unless_in_ring(engine, wait, _have_released(engine, busy, busy.owner, wait, teller)):
                    raise RedodError(
                        f"{who}, waits for this build in turn, maybe by way of others, so none would ever end; run it"
                        " again when that has ended, or let one server build all of it"
                    )
        finally:
            if told is not None:
                told.cancel()


async def _try_open(engine: Engine, workspace: Workspace, setting: Setting) -> WorkspaceBusy | None:
    try:
        await engine.stores.open(workspace, setting.home)
    except WorkspaceBusy as busy:
        return busy
    return None


async def _unless_in_ring(engine: Engine, wait: Wait, release: Coroutine[None, None, None]) -> bool:
    """Do this for as long as it may ever be done; whether it was."""
    released = asyncio.ensure_future(release)
    ring = asyncio.ensure_future(wait_for_ring(engine.socket, wait))
    try:
        await asyncio.wait((released, ring), return_when=asyncio.FIRST_COMPLETED)
        (released if released.done() else ring).result()
        return released.done()
    finally:
        released.cancel()
        ring.cancel()


async def _have_released(engine: Engine, busy: WorkspaceBusy, owner: Owner, wait: Wait, teller: Teller) -> None:
    """Return when the owner has released the store, or ended.

    Raises WorkspaceBusy when it cannot be asked, RedodError when it refuses.
    """
    request = Request(teller.client, wait.is_building)
    if owner.host != socket.gethostname():
        raise busy
    if owner.pid == os.getpid() and owner.socket == engine.socket:
        await _release_our_own(engine, busy, request, teller.session)
    elif owner.socket == engine.socket:
        # Nobody reaches it there any more: its place was taken by us, so it is about to end.
        await _wait_end(owner, busy)
    else:
        await _ask(engine, owner, busy, request, wait)


async def _release_our_own(engine: Engine, busy: WorkspaceBusy, request: Request, session: Session | None) -> None:
    """Ours by another name: the workspace was moved, or is seen through another path."""
    here = engine.stores.find(busy.identity)
    if here is None and engine.stores.is_opening(busy.identity):
        await asyncio.sleep(_NAMING)
        return
    if here is None:
        raise busy
    if session is not None and engine.stores.claims.uses(session, here.root):
        raise StoreError(
            f"{show(busy.directory)} belongs to {show(here.root)}, in which this very build uses it; call its"
            " targets by the same directory everywhere"
        )
    await engine.stores.release(here, request)


async def _ask(engine: Engine, owner: Owner, busy: WorkspaceBusy, request: Request, wait: Wait) -> None:
    """Have another server release the store; return when it has, or when it is worth trying again."""
    words = (busy.identity, engine.socket, b"%d" % request.client, phase(request.is_building))
    try:
        answer = await ask(owner.socket, b"release", *words)
    except (FileNotFoundError, ConnectionRefusedError):
        # It has lost its place, or is just stopping.
        await _wait_end(owner, busy)
    except PermissionError:
        wait.is_blind = True
        await _wait_for_stranger(owner, busy)
    except (OSError, ValueError) as error:
        raise RedodError(
            f"cannot talk to another build server (redod) at {show(owner.socket)}, which owns"
            f" {show(busy.directory)}: {error}"
        ) from error
    else:
        if answer.refusal:
            raise RedodError(answer.refusal)
        # Else it is gone, or has never had this store: it must not be asked again and again without a pause.
        await asyncio.sleep(_NAMING)


async def _wait_for_stranger(owner: Owner, busy: WorkspaceBusy) -> None:
    """Root's server has the workspace of a user, who cannot ask it: it gives it up by itself when its build is over.

    Raises WorkspaceBusy for any other user's, which keeps what it has.
    """
    try:
        user = os.stat(b"/proc/%d" % owner.pid).st_uid
    except FileNotFoundError:
        user = 0
    if user == os.stat(busy.directory).st_uid:
        raise busy
    await asyncio.sleep(_LOOK_AGAIN)


async def _wait_end(owner: Owner, busy: WorkspaceBusy) -> None:
    """Return when the owner's process has ended, or in a while: in another pid namespace it is somebody else.

    Raises WorkspaceBusy when that cannot be seen from here.
    """
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
        await asyncio.wait_for(ended.wait(), PATIENCE)
    except TimeoutError:
        return
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
