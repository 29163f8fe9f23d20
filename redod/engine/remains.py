"""What a killed server has left in a workspace: scripts that still run, and their `$3` files.

It owns who waits for that to be gone. How processes and files are found is for `redod.jobs` and `redod.files`.
"""

import asyncio
import socket
from asyncio import to_thread

from redod.engine.litter import Litter
from redod.engine.tasks import Tasks
from redod.files.litter import remove_litter
from redod.jobs.leftovers import end_leftovers
from redod.store.lock import Owner


class Remains:
    """`litter`: the temporaries of our own jobs, which stay."""

    def __init__(self, tasks: Tasks, litter: Litter) -> None:
        self._tasks = tasks
        self._litter = litter
        self._cleaning: set[asyncio.Task[None]] = set()

    def clean_up(self, dead: Owner, root: bytes) -> None:
        """A workspace was opened whose owner had not given it up."""
        if dead.host == socket.gethostname():
            task = self._tasks.start(self._clean_up_after, dead, root)
            self._cleaning.add(task)
            task.add_done_callback(self._cleaning.discard)

    async def wait_clean(self) -> None:
        """Return when the scripts that a killed server has left in the opened workspaces are gone."""
        while self._cleaning:
            await asyncio.wait(self._cleaning)

    async def _clean_up_after(self, dead: Owner, root: bytes) -> None:
        await end_leftovers(dead.pid, dead.socket)
        # In a thread of its own: the build need not wait for a walk through the whole tree.
        self._tasks.start(to_thread, remove_litter, root, self._litter)
