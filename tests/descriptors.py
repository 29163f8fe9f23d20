"""What the tests' own process and others have open."""

import gc
import os
import time
from contextlib import suppress

PATIENCE = 60.0
"""Seconds after which a wait counts as a hang."""


def own_descriptors() -> int:
    """How many are open here, without those that other tests have left for Python's collector, which comes any time."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def descriptors_of(pid: int) -> dict[str, str]:
    """What the descriptors of a program that has just been executed lead to, once it has the standard ones alone: at
    first it opens its libraries.
    """
    deadline = time.monotonic() + PATIENCE
    while sorted(found := _links(f"/proc/{pid}/fd")) != ["0", "1", "2"]:
        assert time.monotonic() < deadline, found
    return found


def _links(directory: str) -> dict[str, str]:
    found = {}
    for number in os.listdir(directory):
        with suppress(FileNotFoundError):
            found[number] = os.readlink(f"{directory}/{number}")
    return found
