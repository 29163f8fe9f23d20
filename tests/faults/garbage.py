"""Loaded into a server by a .pth file: counts what only Python's collector would free, and logs.

SIGUSR1: from now on keep such objects; one is made at once. SIGUSR2: write how many there are, and of which types, to
`$HOME/garbage`, and how many logs there are to `$HOME/logs`.
"""

import collections
import gc
import os
import signal

from redod.logs.joblog import JobLog


def begin(_number: int, _frame: object) -> None:
    gc.unfreeze()
    gc.collect()
    gc.set_threshold(0)
    gc.set_debug(gc.DEBUG_SAVEALL)
    # One piece, so that a report of that shows that garbage would be found.
    ring: list[object] = []
    ring.append(ring)


def report(_number: int, _frame: object) -> None:
    # Reading a store has kept all that there was from the collector, and so for ever.
    gc.unfreeze()
    gc.collect()
    found = collections.Counter(type(each).__name__ for each in gc.garbage)
    gc.garbage.clear()
    write("garbage", "".join(f"{count} {name}\n" for name, count in found.most_common()))
    write("logs", str(sum(isinstance(each, JobLog) for each in gc.get_objects())))


def write(name: str, text: str) -> None:
    path = os.path.expanduser(f"~/{name}")
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


signal.signal(signal.SIGUSR1, begin)
signal.signal(signal.SIGUSR2, report)
