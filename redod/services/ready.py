"""When a service is ready: four ways to find out, as its script asks for one.

It knows descriptors, ports and lines of a log. It does not know why somebody waits, nor that the process may end.
"""

import asyncio
import os
import re
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator
from typing import NamedTuple

from redod.services.ports import listening_ports
from redod.services.process import ServiceError, ServiceProcess

SETTLING = 0.2
"""Seconds that a service has to live where nothing else tells that it is ready: a wrong option ends it before."""
_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.1
"""Seconds between two looks. Nothing tells when a process begins to listen, or a file of another's grows by a line."""
_LONGEST_LINE = 64 << 10


class Condition(NamedTuple):
    """At most one of them is given; none: it has run for a moment."""

    descriptor: int | None = None
    """It writes a line to this descriptor."""
    port: int | None = None
    """It listens on this TCP port."""
    line: "re.Pattern[bytes] | None" = None
    """It prints a line in which this is found."""


class ReadyPipe:
    """The pipe whose write end a service gets as `--ready-fd`."""

    def __init__(self) -> None:
        self.own, self.theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.own, False)

    def close_theirs(self) -> None:
        """The service has its copy."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    def close(self) -> None:
        self.close_theirs()
        os.close(self.own)


async def wait_line_on(loop: AbstractEventLoop, pipe: ReadyPipe) -> None:
    """Return when a whole line has come. Raises ServiceError when the last writer closes before."""
    came: asyncio.Future[bool] = loop.create_future()

    def look() -> None:
        try:
            data = os.read(pipe.own, 4096)
        except BlockingIOError:
            return
        if (b"\n" in data or not data) and not came.done():
            came.set_result(bool(data))
            loop.remove_reader(pipe.own)

    loop.add_reader(pipe.own, look)
    try:
        if not await came:
            raise ServiceError("it closed its ready descriptor without having written a line to it")
    finally:
        loop.remove_reader(pipe.own)


async def wait_port(process: ServiceProcess, port: int) -> None:
    """Return when the service, and nobody else, listens on the port."""
    async for _ in _looks():
        if port in await asyncio.to_thread(lambda: listening_ports(process.members())):
            return


async def wait_printed(log: bytes, pattern: "re.Pattern[bytes]") -> None:
    """Return when the service has printed such a line. `log`: the path of its log."""
    rest = b""
    number = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    try:
        async for _ in _looks():
            while data := os.read(number, _LONGEST_LINE):
                *lines, rest = (rest + data).split(b"\n")
                if any(pattern.search(line) for line in lines):
                    return
                rest = rest[-_LONGEST_LINE:]
    finally:
        os.close(number)


async def _looks() -> AsyncIterator[None]:
    """Endless moments to look at something, closer together at first."""
    pause = _FIRST_LOOK
    while True:
        yield
        await asyncio.sleep(pause)
        pause = min(_LONGEST_LOOK, pause * 2)
