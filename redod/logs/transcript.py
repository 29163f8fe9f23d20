"""Transcript: the lines that a user reads, whole and in redo's form.

It owns how names, starts and ends look, in which colours, and that a line of ours never begins in the middle
of a script's. It does not know where logs come from or what comes next (see `viewer` and `replay`).
"""

import re
import signal
import time
from collections.abc import Sequence
from typing import NamedTuple

from redod.core.paths import relative
from redod.logs.records import Done, Started

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_HIGH_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")
_RED, _GREEN, _YELLOW, _BOLD, _PLAIN = b"\x1b[31m", b"\x1b[32m", b"\x1b[33m", b"\x1b[1m", b"\x1b[m"


class Failure(NamedTuple):
    """What is said again of a failed target at the end. `last`: the last lines of its log."""

    path: bytes
    dofile: bytes
    status: int
    last: Sequence[bytes]


class Style(NamedTuple):
    """What one reader wants."""

    cwd: bytes
    """Names are shown relative to it."""
    depth: int = 0
    """How deep the root's children are indented."""
    terminal: bool = False
    """Escape bytes that are not UTF-8 in names; other readers get names as they are, but for control characters."""
    details: bool = True
    """Show what scripts print, not only which of them run."""
    debug: bool = False
    """Show notes."""
    color: bool = False
    pretty: bool = True
    """Otherwise starts and ends are `@@REDO:do:PID:TIME@@ NAME` and `@@REDO:done:PID:TIME@@ STATUS NAME`."""
    pids: bool = False
    """Show the pids of scripts."""
    times: bool = False
    """Show when scripts were started and ended, and how long they took."""
    quiet: bool = False
    """Show nothing of starts and ends."""
    failures: bool = False
    """Say again at the end what failed."""


def show_name(name: bytes, terminal: bool) -> bytes:
    """A name for one line: control characters as `\\xNN`, for a terminal also bytes that are not UTF-8."""
    if _CONTROL.search(name):
        name = _CONTROL.sub(_escaped, name)
    if terminal and not name.isascii():
        name = _HIGH_CONTROL.sub(_escaped, name.decode("utf-8", "backslashreplace").encode())
    return name


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in found[0])


def status_words(status: int) -> bytes:
    """`exit N`, or for a negative status the signal that ended the script."""
    if status >= 0:
        return b"exit %d" % status
    try:
        return b"signal " + signal.Signals(-status).name.encode()
    except ValueError:
        return b"signal %d" % -status


class Transcript:
    """Bytes to be shown, in order. They are taken in pieces; what has been taken is forgotten."""

    __slots__ = ("_midline", "_parts", "_speaker", "size", "style")

    def __init__(self, style: Style) -> None:
        self.style = style
        self._parts: list[bytes] = []
        self.size = 0
        """Bytes that wait to be taken."""
        self._midline = False
        self._speaker: object = None

    @property
    def is_midline(self) -> bool:
        """A script's words do not end with a newline so far."""
        return self._midline

    def text(self, speaker: object, data: bytes) -> None:
        """A script's own words. Another speaker's begin on a line of their own."""
        if not data or not self.style.details:
            return
        if self._midline and speaker is not self._speaker:
            self._put(b"\n")
        self._speaker = speaker
        self._midline = data[-1] != 10
        self._put(data)

    def line(self, line: bytes) -> None:
        """A line of ours, fit to be shown, without its newline."""
        if self._midline:
            self._put(b"\n")
            self._midline = False
        self._put(line + b"\n")

    def message(self, text: bytes, color: bytes = _YELLOW) -> None:
        for line in text.split(b"\n"):
            self.line(self._colored(color, show_name(line, self.style.terminal)))

    def note(self, text: bytes) -> None:
        if self.style.debug:
            self.message(text)

    @property
    def shows_pids(self) -> bool:
        """What says that a script was started tells its pid."""
        return self.style.pids or not self.style.pretty

    def started(self, path: bytes, depth: int, start: Started) -> None:
        if self.style.quiet:
            return
        if self.style.pretty:
            self._event(_GREEN, path, depth, start, start.when)
        else:
            self.line(b"@@REDO:do:%d:%.4f@@ %s" % (start.pid, start.when, self._name(path)))

    def ended(self, path: bytes, depth: int, start: Started, done: Done) -> None:
        """Says nothing of a success, unless times are wanted."""
        if self.style.quiet:
            return
        end = start.when + done.seconds
        if not self.style.pretty:
            self.line(b"@@REDO:done:%d:%.4f@@ %d %s" % (start.pid, end, done.status, self._name(path)))
        elif self.style.times:
            words = status_words(done.status) if done.status else b"done"
            self._event(_RED if done.status else _GREEN, path, depth, start, end, b"%s, %.3f s" % (words, done.seconds))
        elif done.status:
            self._event(_RED, path, depth, start, end, status_words(done.status))

    def failed(self, failures: Sequence[Failure], others: int) -> None:
        """Say again what failed: these, and so many `others`."""
        for path, dofile, status, last in failures:
            words = self._name(path), status_words(status), self._name(dofile)
            self.message(b"redo: failed: %s (%s), by %s" % words, _RED)
            for line in last:
                self.line(b"  " + line)
        if others:
            self.message(b"redo: failed: %d more" % others, _RED)

    def take(self, limit: int) -> bytes:
        """The next bytes, `limit` at most."""
        data = b"".join(self._parts)
        taken, rest = (data, b"") if len(data) <= limit else (data[:limit], data[limit:])
        self._parts = [rest] if rest else []
        self.size = len(rest)
        return taken

    def _event(self, color: bytes, path: bytes, depth: int, start: Started, when: float, words: bytes = b"") -> None:
        style = self.style
        first = time.strftime("%Y-%m-%d %H:%M:%S  ", time.localtime(when)).encode() if style.times else b""
        if style.pids:
            first += b"%-6d " % start.pid
        name = self._name(path) + (b" (%s)" % words if words else b"")
        indent = b"redo  " + b"  " * (style.depth + depth)
        self.line(first + self._colored(color, indent + (_BOLD if style.color else b"") + name))

    def _name(self, path: bytes) -> bytes:
        return show_name(relative(path, self.style.cwd), self.style.terminal)

    def _colored(self, color: bytes, text: bytes) -> bytes:
        return color + text + _PLAIN if self.style.color else text

    def _put(self, data: bytes) -> None:
        self._parts.append(data)
        self.size += len(data)
