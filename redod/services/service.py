"""One service: a target that is a running process, as the supervisor knows it.

It owns what is known of it, and when it may be started again. It does not act.
"""

import os
import time

from redod.core.graph import Node
from redod.engine.stores import OpenWorkspace
from redod.services.process import ServiceProcess
from redod.services.record import Record, Records

STEADY = 10.0
"""Seconds that a service has lived when its end is not taken for a failure to start."""
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
"""Seconds between the end of a service that died young and its next start; doubled each time."""
_LAST_LINES = 10
_TAIL = 8192


class Service:
    """A target that is a running process, or was one until it ended."""

    def __init__(self, node: Node, record: Record, workspace: OpenWorkspace) -> None:
        self.node = node
        self.record = record
        self.records = Records(workspace.directory)
        self.workspace = workspace.number
        self.process: ServiceProcess | None = None
        self.ended_at = 0.0
        """By the monotonic clock; 0 while it runs."""
        self.early_ends = 0
        """How often in a row it died young."""
        self.is_stopped = False
        """Its end was ordered."""

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.status is None

    @property
    def log_path(self) -> bytes:
        return self.records.log_path(self.record.name)

    @property
    def delay(self) -> float:
        """Seconds until it may be started again."""
        if not self.early_ends:
            return 0.0
        pause = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** (self.early_ends - 1))
        return max(0.0, self.ended_at + pause - time.monotonic())

    def note_end(self) -> None:
        """Its process has ended, right now."""
        self.ended_at = time.monotonic()
        is_young = time.time() - self.record.since < STEADY
        self.early_ends = self.early_ends + 1 if is_young and not self.is_stopped else 0

    def how_it_ended(self) -> str:
        """For a sentence that begins with its name."""
        status = self.process.status if self.process is not None else None
        if status is None or status > 255:
            return "ended"
        return f"ended (exit status {status})" if status >= 0 else f"was killed by signal {-status}"

    def last_lines(self) -> str:
        """What it printed last, each line on a line of its own."""
        try:
            with open(self.log_path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                lines = file.read().splitlines()[-_LAST_LINES:]
        except OSError:
            lines = []
        return "".join("\n    " + line.decode("utf-8", "backslashreplace") for line in lines) or " nothing"
