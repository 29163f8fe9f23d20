"""The status line of one client: when it is drawn. What it says comes from `text`, and the client draws it."""

from asyncio import AbstractEventLoop
from collections.abc import Callable

from redod.session.link import Link

PACE = 0.1
"""Seconds between two drawings."""
_DELAY = 0.3
"""Seconds after which a build is worth a status line: a short one only flickers."""


class StatusLine:
    """`text` gives the line for the present moment. `midline`: the output has not come to the end of a line, so that
    nothing can be shown below it. `flush` sends output that waits: what is sent goes with the line, or that flickers.

    The client takes the line away when there is output; it is drawn again right behind that.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        link: Link,
        text: Callable[[], bytes],
        midline: Callable[[], bool],
        flush: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._link = link
        self._text = text
        self._midline = midline
        self._flush = flush
        self._shown: bytes | None = b""
        """None: not known."""
        self._is_due = False
        self._drawn = 0.0
        """When it was drawn last, by the loop's clock."""
        self._timer = loop.call_later(_DELAY, self._tick)

    @property
    def carries_output(self) -> bool:
        """Output that comes now is best sent with the next drawing, which is near."""
        return self._is_due and self._loop.time() < self._drawn + PACE

    def output_sent(self) -> None:
        """The client has taken the line away."""
        self._shown = b""
        if self._is_due:
            self._draw()
            self._rest()

    def redraw(self) -> None:
        """The client may have lost the line: draw it again soon."""
        self._shown = None

    def close(self) -> None:
        """Show it no more."""
        self._timer.cancel()
        self._is_due = False
        self._link.status(b"")

    def _tick(self) -> None:
        self._is_due = True
        self._rest()
        self._flush()
        if self._is_due and not self.carries_output:
            self._draw()

    def _rest(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(PACE, self._tick)

    def _draw(self) -> None:
        if self._link.is_full or self._midline():
            return
        text = self._text()
        if text != self._shown:
            self._link.status(text)
            self._shown = text
            self._drawn = self._loop.time()
