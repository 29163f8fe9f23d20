"""Descriptors that are waited for, by the thousand: one epoll of our own, of which the loop sees a single descriptor.

It owns who is called for which descriptor. The loops' own `add_reader` is made for few long-lived ones: uvloop's takes
seven system calls for each that comes and goes, and both make a handle for every call.
"""

import select
from asyncio import AbstractEventLoop
from collections.abc import Callable

_AT_ONCE = 256
"""Descriptors that are asked for in one system call."""


class Readers:
    """Calls back, on the loop's thread, while there is something to read (also the end) from a descriptor.

    A callback may be called once too often, when descriptors are closed and opened by others of the same turn: whoever
    is waited for here must be non-blocking.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], object]] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def add(self, descriptor: int, callback: Callable[[], object]) -> None:
        """Wait for this descriptor; the callback takes the place of an earlier one."""
        if descriptor not in self._callbacks:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = callback

    def drop(self, descriptor: int) -> None:
        """Wait for it no more. The caller closes it at once, and with its last copy the kernel forgets it too."""
        self._callbacks.pop(descriptor, None)

    def _ready(self) -> None:
        callbacks = self._callbacks
        for descriptor, _ in self._epoll.poll(0, _AT_ONCE):
            callback = callbacks.get(descriptor)
            if callback is not None:
                callback()
