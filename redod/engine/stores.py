"""The open stores: which workspace a target belongs to, its store, and who uses it.

It does not decide what is recorded (the core does), nor how (`redod.store`).
"""

import logging
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from functools import partial

from redod.config.reading import Configs
from redod.core.graph import Graph, Node
from redod.core.leaving import Leaving
from redod.core.model import Session
from redod.core.paths import is_below, join, show
from redod.core.stamps import Stamp
from redod.engine.claims import Claims, Request
from redod.engine.client import Setting
from redod.engine.committing import Committing
from redod.engine.litter import Litter
from redod.engine.opening import Departure, Opening
from redod.engine.resting import Resting
from redod.failpoints import reach
from redod.files.observe import ObserveError, observe
from redod.logs.segments import Segments
from redod.store import StoreError
from redod.store.database import Store
from redod.store.lock import Owner
from redod.store.workspaces import Workspace, Workspaces, state_directory

_log = logging.getLogger(__name__)


class OpenWorkspace:
    """A workspace whose store we own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.root = store.workspace.root
        self.directory = store.workspace.directory
        self.number = store.number
        self.targets = store.loaded.targets
        """How many targets it knows."""
        self.segments = Segments(self.directory + b"/log")
        self.jobs = 0
        """How many of its targets are being built."""
        self.is_guest = _owner_of(self.directory) != os.geteuid()
        """It is another user's, who cannot ask root's server for it: it is ours only while we build there."""
        self.needs: set[bytes] = set()
        """The roots of other workspaces: targets of this one depend on targets there."""


class Stores:
    """`owner`: what other daemons are told about us."""

    def __init__(self, loop: AbstractEventLoop, graph: Graph, owner: Owner) -> None:
        self._loop = loop
        self._graph = graph
        self._owner = owner
        state = os.environb.get(b"XDG_STATE_HOME", b"")
        self.workspaces = Workspaces(state_directory(os.path.expanduser(b"~"), state))
        self._open: dict[bytes, OpenWorkspace] = {}
        """By root."""
        self._numbers: dict[int, OpenWorkspace] = {}
        self._openings: dict[bytes, Opening] = {}
        """By root, those whose stores are being read."""
        self._leaving: dict[int, Departure] = {}
        """By number, those that are closed and whose files leave the graph."""
        self.resting = Resting(loop, self._unused, self.close)
        self._count = 0
        self.claims = Claims()
        self.configs = Configs()
        self.on_open: Callable[[OpenWorkspace], None] = lambda workspace: None
        self.on_close: Callable[[OpenWorkspace], None] = lambda workspace: None
        """Called right before nothing of it is known any more."""
        self.on_renew: list[Callable[[OpenWorkspace], None]] = []
        """Called when the `.redo` of one was removed and is made anew."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when what a call needs, or what there is of it, may have changed."""
        self.on_left: Callable[[list[bytes]], None] = lambda directories: None
        """Called with directories of closed workspaces in which nothing is watched for its own sake any more."""
        self.on_crash: Callable[[Owner, bytes], None] = lambda owner, root: None
        """Called when a workspace is opened whose last owner was killed."""
        self.notices: list[str] = []
        """What happened to stores, for the next user who calls."""
        self.litter = Litter(loop)
        self.committing = Committing(loop, lambda: (here.store for here in self), self.litter, self.notices)

    def __iter__(self) -> Iterator[OpenWorkspace]:
        return iter(self._open.values())

    def __len__(self) -> int:
        return len(self._open)

    def look_again(self) -> None:
        """`.redo` directories, and whole workspaces, may have come or gone since the last session."""
        for root in self._unused():
            if os.path.isdir(root) and not self._open[root].store.is_replaced:
                self._renew(self._open[root])
                continue
            self.close(root)
            # Something else may be there soon.
            self._finish_leaving()
        self.workspaces.forget(self._open)
        self.on_change()

    def _renew(self, workspace: OpenWorkspace) -> None:
        """Nothing may be recorded in this session, and what was recorded would be lost with us."""
        try:
            workspace.store.renew()
        except StoreError as error:
            self.notices.append(str(error))
        if workspace.store.pending:
            self.committing.soon()

    def is_outside(self, target: bytes, setting: Setting) -> bool:
        """Whether there is no store yet where this target would be recorded."""
        return self.workspaces.existing(target, setting.cwd, setting.home) is None

    def root(self, target: bytes, setting: Setting) -> bytes:
        """The root of the workspace in which this target is, or would be."""
        return self.workspaces.root(target, setting.cwd, setting.home)

    @property
    def opening(self) -> list[bytes]:
        """The roots of those that are being opened."""
        return list(self._openings)

    @property
    def leaving(self) -> int:
        """How many are closed, and their files just leave the graph."""
        return len(self._leaving)

    def is_opening(self, lock: bytes) -> bool:
        """Whether one is being opened whose lock file has this identity."""
        return any(opening.store.lock_identity == lock for opening in self._openings.values())

    async def open(self, workspace: Workspace, home: bytes) -> None:
        """Open a store and read it, and the stores of the other workspaces that its targets depend on.

        Raises WorkspaceBusy, StoreError.
        """
        todo = [workspace]
        while todo:
            here = todo.pop()
            while leaving := next(iter(self._leaving.values()), None):
                await leaving.wait()
            if here.root not in self._open:
                await self._begin(here, home).wait()
                todo += self._neighbours(here, home)

    def open_now(self, workspace: Workspace, home: bytes) -> OpenWorkspace:
        """`open`, while everybody waits."""
        self._finish_leaving()
        todo = [workspace]
        while todo:
            here = todo.pop()
            if here.root not in self._open:
                self._begin(here, home).finish()
                todo += self._neighbours(here, home)
        return self._open[workspace.root]

    def _begin(self, workspace: Workspace, home: bytes) -> Opening:
        opening = self._openings.get(workspace.root)
        if opening is None:
            self._count += 1
            store = Store(workspace, self._count, self._graph, self._owner, _look)

            def root_of(directory: bytes) -> bytes:
                return self.workspaces.root(join(directory, b"x"), workspace.root, home)

            opening = self._openings[workspace.root] = Opening(self._loop, store, root_of, self._opened)
        return opening

    def _opened(self, opening: Opening, error: Exception | None) -> None:
        store = opening.store
        workspace = store.workspace
        del self._openings[workspace.root]
        if error is not None:
            return
        here = self._open[workspace.root] = self._numbers[store.number] = OpenWorkspace(store)
        # By its root: what refers to each other waits for the collector, which looks at little (`redod.collector`).
        store.on_renew = partial(self._renewed, workspace.root)
        others = opening.roots.difference([workspace.root])
        here.needs.update(root for root in others if os.path.isdir(join(root, b".redo")))
        self.on_change()
        self.resting.used([workspace.root])
        if store.loaded.notice:
            self.notices.append(store.loaded.notice)
        _log.info("workspace %s: %d targets", os.fsdecode(workspace.root), store.loaded.targets)
        self.on_open(self._open[workspace.root])
        if store.predecessor is not None:
            self.on_crash(store.predecessor, workspace.root)
        if store.pending:
            self.committing.soon()

    def _renewed(self, root: bytes) -> None:
        for renew in self.on_renew:
            renew(self._open[root])

    def _neighbours(self, workspace: Workspace, home: bytes) -> list[Workspace]:
        """The workspaces that this one needs, if it is still open, and that are not."""
        here = self._open.get(workspace.root)
        needs = here.needs if here is not None else ()
        return [self.workspaces.prepare(root, home) for root in needs if root not in self._open]

    def leave(self, session: Session) -> None:
        """The session is over: workspaces that others asked for, or would ask for in vain, are given up."""
        self.on_change()
        used = self.claims.leave(session)
        self.resting.used(used)
        for root in {*used, *self.claims.wanted}:
            here = self._open.get(root)
            if here is not None and (here.is_guest or root in self.claims.wanted) and not self._is_used(root):
                self.close(root)

    def at(self, root: bytes) -> OpenWorkspace | None:
        """The open workspace with this top."""
        return self._open.get(root)

    def find(self, lock: bytes) -> OpenWorkspace | None:
        """The open workspace whose lock file has this identity."""
        return next((workspace for workspace in self._open.values() if workspace.store.lock_identity == lock), None)

    async def release(self, workspace: OpenWorkspace, request: Request) -> None:
        """Give a workspace up as soon as no session uses it."""
        if self._is_used(workspace.root, request):
            await self.claims.wait_given(workspace.root)
        else:
            self.close(workspace.root)

    def _is_used(self, root: bytes, request: Request | None = None) -> bool:
        return self._open[root].jobs > 0 or self.claims.is_used(root, request)

    def _unused(self) -> list[bytes]:
        return [root for root in self._open if not self._is_used(root)]

    def of(self, node: Node) -> OpenWorkspace | None:
        """The workspace of a recorded target."""
        return self._numbers.get(node.workspace)

    def home_of(self, node: Node, setting: Setting, session: Session) -> OpenWorkspace:
        """The workspace in which a target is, or will be, recorded: open (see `Needs.missing`), or opened now.

        Raises StoreError, ConfigError.
        """
        if node.workspace in self._leaving:
            self._finish_leaving()
        if node.workspace:
            return self._numbers[node.workspace]
        workspace = self.workspaces.find(node.path, setting.cwd, setting.home)
        if workspace.root not in self._open:
            self.configs.read(workspace.root)
            self.open_now(workspace, setting.home)
            self.claims.add(session, workspace.root)
        return self._open[workspace.root]

    def below(self, directory: bytes) -> OpenWorkspace | None:
        """The open workspace that holds this directory."""
        roots = [root for root in self._open if root == directory or is_below(directory, root)]
        return self._open[max(roots, key=len)] if roots else None

    def is_by_content(self, directory: bytes) -> bool:
        """Whether the sources in it are compared by their content."""
        if not self.configs.by_content:
            return False
        workspace = self.below(directory)
        return workspace is not None and workspace.root in self.configs.by_content

    def record(self, node: Node) -> None:
        """Store what the node says, soon."""
        reach("record.before")
        workspace = self._numbers.get(node.workspace)
        if workspace is not None:
            workspace.store.put(node)
            reach("record.after")
            for dep in node.deps:
                if dep.node.workspace not in (0, node.workspace):
                    workspace.needs.add(self._numbers[dep.node.workspace].root)
                    self.on_change()
            self.committing.soon()

    def take_notices(self) -> list[str]:
        notices = self.notices.copy()
        self.notices.clear()
        return notices

    def forget(self, workspace: OpenWorkspace) -> int:
        """Start over: see `Store.forget`. Raises StoreError, also while something is built there."""
        self._refuse_if_used(workspace)
        self.on_close(workspace)
        workspace.segments.clear()
        recovered = workspace.store.forget()
        workspace.targets = recovered
        self.on_open(workspace)
        return recovered

    def adopt(self, workspace: OpenWorkspace, paths: list[bytes]) -> list[bytes]:
        """See `Store.adopt`; the paths of those that were. Raises StoreError, also while something is built there."""
        self._refuse_if_used(workspace)
        adopted = workspace.store.adopt(paths)
        workspace.targets += len(adopted)
        self.committing.commit()
        return [node.path for node in adopted]

    def _refuse_if_used(self, workspace: OpenWorkspace) -> None:
        if self._is_used(workspace.root):
            raise StoreError(f"something is being built in {show(workspace.root)}; run this again when that has ended")

    def close(self, root: bytes) -> None:
        """Give a workspace up. Somebody else may build there now, so nothing of it is remembered."""
        workspace = self._close(root)
        leaving = Leaving(self._graph, workspace.number, workspace.store.paths())
        self._leaving[workspace.number] = Departure(self._loop, leaving, self._left)

    def _close(self, root: bytes) -> OpenWorkspace:
        self.on_close(self._open[root])
        self.claims.give(root)
        workspace = self._open.pop(root)
        del self._numbers[workspace.number]
        self.on_change()
        try:
            workspace.store.close()
        except StoreError as error:
            _log.error("%s", error)
        workspace.segments.close()
        return workspace

    def _left(self, departure: Departure) -> None:
        del self._leaving[departure.leaving.workspace]
        self.on_left(departure.leaving.directories)

    def _finish_leaving(self) -> None:
        for leaving in list(self._leaving.values()):
            leaving.finish()

    def close_all(self) -> None:
        self.resting.stop()
        for slices in [*self._openings.values(), *self._leaving.values()]:
            slices.give_up()
        self.committing.commit()
        self.litter.sweep_all()
        for root in list(self._open):
            self._close(root)


def _owner_of(directory: bytes) -> int:
    try:
        return os.stat(directory).st_uid
    except FileNotFoundError:
        # Removed while it was read; it will be written anew.
        return os.geteuid()


def _look(path: bytes) -> Stamp:
    """`observe` as stores want it: they know OSError only."""
    try:
        return observe(path)
    except ObserveError as error:
        raise OSError(str(error)) from error
