"""A screen: shows a tree of logs to one client, at the pace at which the client takes it."""

from asyncio import AbstractEventLoop
from collections.abc import Callable

from redod.logs.joblog import JobLog
from redod.logs.transcript import Style
from redod.logs.viewer import Viewer
from redod.session.link import Link

_PIECE = 32 << 10


class Screen:
    """Shows `log` on the client's `descriptor`; `done` is called once it has ended and everything is on its way."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        link: Link,
        log: JobLog,
        style: Style,
        done: Callable[[], None],
        recursive: bool = True,
        descriptor: int = 2,
    ) -> None:
        self._loop = loop
        self._link = link
        self._done: Callable[[], None] | None = done
        self._scheduled = False
        self._descriptor = descriptor
        self._viewer = Viewer(log, style, self._soon, recursive)
        link.on_room(self.show)
        self.show()

    def show(self) -> None:
        """Send what there is, as long as the client takes it."""
        self._scheduled = False
        while not self._link.is_full and (data := self._viewer.read(_PIECE)):
            self._link.output(self._descriptor, data)
        if self._viewer.finished and self._done is not None:
            done, self._done = self._done, None
            done()

    def close(self) -> None:
        """The client is gone."""
        self._done = None
        self._viewer.close()

    def _soon(self) -> None:
        # From within the call that made a log grow: others may follow at once.
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.show)
