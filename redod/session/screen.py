"""A screen: shows a tree of logs to one client, at the pace at which the client takes it."""

from asyncio import AbstractEventLoop, Handle
from collections.abc import Callable

from redod.logs.joblog import JobLog
from redod.logs.transcript import Style, Transcript
from redod.logs.viewer import Viewer
from redod.session.link import Link
from redod.session.statusline import StatusLine

_PIECE = 32 << 10
_PACE = 0.03
"""Seconds between two pieces: to wake the client for every line costs more than the line does."""


class Screen:
    """Shows `log` on the client's `descriptor`; `done` is called once it has ended and everything is on its way.

    `status`: gives the status line to be shown below it, on a terminal.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        link: Link,
        log: JobLog,
        style: Style,
        done: Callable[[], None],
        recursive: bool = True,
        descriptor: int = 2,
        status: Callable[[], bytes] | None = None,
    ) -> None:
        self._loop = loop
        self._link = link
        self._done: Callable[[], None] | None = done
        self._scheduled: Handle | None = None
        self._shown = 0.0
        """When something was last sent, by the loop's clock."""
        self._descriptor = descriptor
        self._viewer = Viewer(log, style, self._soon, recursive)
        self._style = style
        self._is_still = False
        self._line = None
        if status is not None:
            self._line = StatusLine(loop, link, status, lambda: self._is_still or self._viewer.is_midline, self.show)
        link.on_room(self.show)
        self.show()

    def show(self) -> None:
        """Send what there is, as long as the client takes it."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        if self._is_still:
            return
        before = self._shown
        while not self._link.is_full and (data := self._viewer.read(_PIECE)):
            self._link.output(self._descriptor, data)
            self._shown = self._loop.time()
        if self._viewer.finished and self._done is not None:
            done, self._done = self._done, None
            self.hide_status()
            self._viewer.close()
            done()
        elif self._line is not None and self._shown != before:
            self._line.output_sent()

    def close(self) -> None:
        """The client is gone."""
        self._done = None
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._viewer.close()
        self.hide_status()

    def resized(self) -> None:
        """The client's terminal has another size, or something else was written on it."""
        if self._line is not None:
            self._line.redraw()

    def hold_still(self, done: Callable[[], None], log: JobLog | None, depth: int) -> None:
        """Show what there is, then nothing, since a job gets the terminal; call `done` when it stands there.

        `log`: of a job that begins. Where its turn to be shown has not come, its start is shown out of turn.
        """
        self.show()
        if log is not None and not self._viewer.is_at(log):
            self._link.output(self._descriptor, self.start_line(log, depth))
        self._is_still = True
        if self._line is not None:
            self._link.status(b"")
        self._link.settle(done)

    def start_line(self, log: JobLog, depth: int) -> bytes:
        """What says that a target's script is started."""
        transcript = Transcript(self._style)
        transcript.started(log.path, depth, log.started)
        return transcript.take(transcript.size)

    def go_on(self) -> None:
        """Nobody else has the terminal any more."""
        self._is_still = False
        if self._line is not None:
            self._line.redraw()
        self.show()

    def hide_status(self) -> None:
        """Show no status line any more."""
        if self._line is not None:
            line, self._line = self._line, None
            line.close()
            # What was to be sent with it.
            self.show()

    def _soon(self) -> None:
        # From within the call that made a log grow: others may follow at once.
        if self._scheduled is None and not (self._line is not None and self._line.carries_output):
            wait = max(0.0, self._shown + _PACE - self._loop.time())
            self._scheduled = self._loop.call_later(wait, self.show) if wait else self._loop.call_soon(self.show)
