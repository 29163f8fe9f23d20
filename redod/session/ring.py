"""A ring of servers: builds that run and wait for each other's workspaces, each for the next one's, for ever.

Whoever waits looks for one: it asks the server that it waits for who there must go on first, and for whom these wait in
turn, and so on. Nobody keeps what others have said, so whatever ends a wait in the meantime is seen by the next look.
"""

import asyncio
from typing import NamedTuple

from redod.engine.claims import Wait
from redod.session.asking import ask

_PAUSE = 0.5
"""Seconds between two looks."""
_PATIENCE = 1.0
"""Seconds that a look may take: a server that is stopped does not answer."""
_FIELDS = 5
"""In an answer, for each wait."""


class _Seen(NamedTuple):
    """A wait at the server `at`. Its name is unique, and the names are in one order for all servers."""

    at: bytes
    number: int
    server: bytes
    lock: bytes
    phase: bytes
    is_blind: bool

    @property
    def name(self) -> tuple[bytes, int]:
        return self.at, self.number


def phase(is_building: bool) -> bytes:
    """The word for it between servers."""
    return b"building" if is_building else b"gathering"


def encode_waits(waits: list[Wait]) -> bytes:
    """The answer of `redod waits`."""
    return b"".join(
        b"%d\0%s\0%s\0%s\0%d\0" % (wait.number, wait.server, wait.lock, phase(wait.is_building), wait.is_blind)
        for wait in waits
    )


async def wait_for_ring(here: bytes, wait: Wait) -> None:
    """Return when this wait, of the server with the socket `here`, is the one of a ring that must be given up.

    Of all in a ring that one is who waits for the first by name, so there is just one.
    """
    while True:
        await asyncio.sleep(_PAUSE)
        ours = _Seen(here, wait.number, wait.server, wait.lock, phase(wait.is_building), wait.is_blind)
        # Looked at one after the other, waits may seem to be a ring that never were one at a time; not twice in a row.
        if await _is_before_first(ours) and await _is_before_first(ours):
            return


async def _is_before_first(ours: _Seen) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            for first in await _behind(ours):
                if first.name == ours.name or await _leads(first, ours):
                    return True
    except TimeoutError:
        pass
    return False


async def _leads(first: _Seen, ours: _Seen) -> bool:
    """Whether `first` waits for ours, over such only as come after it or are waited for by one that may not ask."""
    found, todo = {first}, [first]
    while todo:
        here = todo.pop()
        for wait in await _behind(here):
            if wait.name < first.name and not here.is_blind:
                continue
            if wait.name == ours.name:
                return True
            if wait not in found:
                found.add(wait)
                todo.append(wait)
    return False


async def _behind(wait: _Seen) -> list[_Seen]:
    """For what those wait who must go on first. A server that cannot say is taken to go on."""
    try:
        answer = await ask(wait.server, b"waits", wait.lock, wait.phase)
        words = iter(answer.output.split(b"\0")[:-1])
        return [
            _Seen(wait.server, int(number), server, lock, word, blind == b"1")
            for number, server, lock, word, blind in zip(*[words] * _FIELDS, strict=True)
        ]
    except (OSError, ValueError):
        return []
