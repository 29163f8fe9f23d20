"""Jobs on the client's terminal: who has it, and the client that starts them.

It does not know why a job wants the terminal (see `caller`), nor how a process is started (the client does that).
"""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from redod.engine.run import Run
from redod.jobs.client_process import ClientProcess, order_file
from redod.jobs.process import NOT_STARTED, PipeId
from redod.jobs.spawner import Order, SpawnError
from redod.protocol.frames import encode_start_job
from redod.readers import Readers
from redod.session.link import Link
from redod.session.screen import Screen


class Console:
    """The terminal of a session. One job has it at a time, and the screen on it holds still meanwhile; a job that waits
    for what it asked for lends it.
    """

    def __init__(self) -> None:
        self._screen: Screen | None = None
        self._owner: Run | None = None
        self._waiting: deque[tuple[Screen | None, Run, Callable[[], None]]] = deque()

    def acquire(self, screen: Screen | None, run: Run, granted: Callable[[], None]) -> None:
        """Call `granted` when the job has the terminal, and what `screen` had to show before stands there."""
        if self._owner is not None and self._owner is not run:
            self._waiting.append((screen, run, granted))
            return
        is_new = run.process is None
        self._owner, self._screen = run, screen
        if screen is None:
            granted()
        else:
            screen.hold_still(granted, run.log if is_new else None, run.depth)

    def release(self, run: Run) -> None:
        """The job does not use the terminal now, or waits for it no more."""
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not run)
        if self._owner is not run:
            return
        self._owner = None
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.go_on()
        if self._waiting:
            self.acquire(*self._waiting.popleft())

    def stranded(self) -> list[Run]:
        """The jobs that wait for it, and will for ever when the client is gone."""
        waiting = [run for _, run, _ in self._waiting]
        return [run for run in (self._owner, *waiting) if run is not None and run.process is None]


class ClientJobs:
    """The jobs that one client starts."""

    def __init__(self, readers: Readers, link: Link, stderr_id: PipeId) -> None:
        self._readers = readers
        self._link = link
        self._stderr_id = stderr_id
        self._asked: deque[ClientProcess] = deque()
        self._running: dict[int, ClientProcess] = {}

    def start(self, order: Order, run: Run) -> ClientProcess:
        """Have the client start a job. Raises SpawnError."""
        process = ClientProcess(self._readers, run, self._stderr_id)
        beside = [process.held]
        try:
            beside.append(os.dup(order.stdout_fd))
            beside.append(order_file(order))
        except OSError as problem:
            for number in beside:
                os.close(number)
            process.let_go()
            raise SpawnError(f"cannot pass it to the client: {problem.strerror}") from problem
        self._asked.append(process)
        self._link.start_job(encode_start_job(order.umask, len(order.argv), len(order.env)), beside, self)
        return process

    def job_started(self, pid: int, error: int) -> None:
        if not self._asked:
            return
        process = self._asked.popleft()
        if error:
            process.printed(f"redo: cannot start it: {os.strerror(error)}\n".encode())
            process.ended(NOT_STARTED)
        else:
            process.started(pid)
            self._running[pid] = process

    def job_ended(self, pid: int, status: int) -> None:
        process = self._running.pop(pid, None)
        if process is not None:
            with suppress(ValueError):  # it was only stopped: no client says that
                process.ended(os.waitstatus_to_exitcode(status))

    def lost(self) -> None:
        """The client is gone."""
        for process in (*self._asked, *self._running.values()):
            process.lost()
        self._asked.clear()
        self._running.clear()
