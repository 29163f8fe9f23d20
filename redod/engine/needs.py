"""Which workspaces a call needs: those that its targets belong to, and those that these depend on.

It owns that question, which each nested call asks anew, and the memory of answers. It opens nothing (`Stores`).
"""

import os
from collections.abc import Iterable

from redod.core.dofiles import candidates
from redod.core.model import Session
from redod.core.paths import directory_of
from redod.engine.client import Setting
from redod.engine.stores import Stores
from redod.store.workspaces import Workspace


class Needs:
    """What it uses is the engine's."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._ready: set[tuple[Session, bytes, bytes, bytes]] = set()
        """Directories (with the caller's, and the home directory) of whose targets a session uses all workspaces."""
        stores.on_change = self._ready.clear

    def missing(
        self, targets: Iterable[bytes], setting: Setting, session: Session | None = None, *, make: bool = False
    ) -> list[Workspace]:
        """The workspaces of these targets that are not open yet, and of those that they depend on.

        A file that exists where no store is may be a mere source (a system header, say), and one that does not and has
        no dofile may be a mistyped name: its directory gets none before something is built there (see
        `Stores.home_of`). `session` uses them all, from when none is missing until it
        leaves. `make`: its directory gets one all the same.
        Raises StoreError where one can have no store, ConfigError where its settings are wrong.
        """
        known: dict[bytes, Workspace | None] = {}
        existing, find = self._stores.workspaces.existing, self._stores.workspaces.find
        for target in targets:
            directory = directory_of(target)
            if session is not None and (session, directory, setting.cwd, setting.home) in self._ready:
                continue
            if directory not in known:
                known[directory] = existing(target, setting.cwd, setting.home)
            if known[directory] is None and (make or _is_made(target)):
                known[directory] = find(target, setting.cwd, setting.home)
        if not known:
            return []
        found = self._with_needed([workspace for workspace in known.values() if workspace is not None], setting.home)
        are_open = {root for root in found if self._stores.at(root) is not None}
        if session is None:
            self._stores.resting.used(are_open)
        else:
            self._claim(session, found, are_open)
            if len(are_open) == len(found):
                whole = [directory for directory, workspace in known.items() if workspace is not None]
                self._ready.update((session, directory, setting.cwd, setting.home) for directory in whole)
        return [workspace for root, workspace in sorted(found.items()) if root not in are_open]

    def _with_needed(self, workspaces: list[Workspace], home: bytes) -> dict[bytes, Workspace]:
        """These and, as far as that is known, all that they need; by root."""
        found = {workspace.root: workspace for workspace in workspaces}
        todo = list(found)
        while todo:
            here = self._stores.at(todo.pop())
            for root in here.needs if here is not None else ():
                if root in found:
                    continue
                other = self._stores.at(root)
                if other is not None:
                    found[root] = other.store.workspace
                    todo.append(root)
                elif os.path.isdir(root):
                    found[root] = self._stores.workspaces.prepare(root, home)
        return found

    def _claim(self, session: Session, needed: Iterable[bytes], are_open: Iterable[bytes]) -> None:
        claims = self._stores.claims
        for root in needed:
            if not claims.uses(session, root):
                self._stores.configs.read(root)
        claims.claim(session, needed, are_open)


def _is_made(target: bytes) -> bool:
    """Nothing stands there, and there is a dofile for it."""
    return not os.path.lexists(target) and any(os.path.isfile(dofile.path) for dofile in candidates(target))
