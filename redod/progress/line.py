"""The status line: what a session is doing, in one line.

It owns the words and which of them go when there is little room. It does not know where the state comes from, when the
line is drawn, or what else is on the screen.
"""

from typing import NamedTuple

from redod.progress.cells import fit, width

USUAL_COLUMNS = 80
"""For a terminal that does not say how wide it is."""
_GREEN, _PLAIN = "\x1b[32m", "\x1b[m"


class Progress(NamedTuple):
    """A session at one moment. `done` and `known`: targets built, and those that are known to be built in all.

    `seconds` since it began; `running`: names to be shown, the oldest first; `waits`: what keeps it from going on.
    """

    done: int
    known: int
    seconds: float
    running: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()


def status_line(progress: Progress, columns: int, color: bool = False) -> str:
    """The line without its newline, in fewer cells than `columns`: the last column stays free, since a terminal may
    begin a new line after it. 0 columns: unknown.

    What does not fit goes in this order: further names, the time, what it waits for, all names, everything.
    """
    room = (columns or USUAL_COLUMNS) - 1
    count = f"[{progress.done}/{max(progress.known, progress.done)}]"
    if len(count) > room:
        return ""
    head = f"{count} {duration(progress.seconds)}"
    if len(head) + _LEAST > room:
        head = count
    words = [head]
    rest = room - len(head) - 2
    if waits := fit((f"({wait})" for wait in progress.waits), rest if not progress.running else rest - _LEAST):
        words.append(waits)
        rest -= width(waits) + 2
    if names := fit(progress.running, rest):
        words.insert(1, names)
    line = "  ".join(words)
    return f"{_GREEN}{count}{_PLAIN}{line[len(count) :]}" if color else line


_LEAST = 12
"""Cells below which nothing useful can be said of what runs."""


def duration(seconds: float) -> str:
    """`7s`, `3m05s`, `2h03m`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole // 60 % 60:02}m"
