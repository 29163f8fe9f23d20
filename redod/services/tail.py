"""What a service has printed, sent to a client, and what it goes on to print.

The service writes to its log by itself, so nothing tells of a new line: a followed log is looked at now and then.
"""

import asyncio
import os
from collections.abc import Callable

from redod.services.service import Service
from redod.session.link import Link

_PAUSE = 0.1
"""Seconds between two looks."""
_PIECE = 64 << 10


class Tail:
    """Sends the log of `service` to descriptor 1 of `link`; `over` is called when that is done.

    `follow`: not before the service has ended.
    """

    def __init__(self, service: Service, link: Link, follow: bool, over: Callable[[], None]) -> None:
        self._service = service
        self._link = link
        self._follow = follow
        self._over = over
        self._offset = 0
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._file = os.open(service.log_path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1

    def send(self) -> None:
        """Send what there is, as long as the client takes it."""
        self._stop_timer()
        self._link.on_room(self.send)
        # Asked before the look: what it printed before its end is there.
        is_running = self._service.is_running
        while not self._link.is_full:
            data = self._read()
            if not data:
                if self._follow and is_running and self._file >= 0:
                    self._timer = asyncio.get_running_loop().call_later(_PAUSE, self.send)
                else:
                    self.close()
                    self._over()
                return
            self._link.output(1, data)

    def close(self) -> None:
        self._stop_timer()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> bytes:
        if self._file < 0:
            return b""
        if os.fstat(self._file).st_size < self._offset:
            # It was cut down because it had grown too long.
            self._offset = 0
        data = os.pread(self._file, _PIECE, self._offset)
        self._offset += len(data)
        return data

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
