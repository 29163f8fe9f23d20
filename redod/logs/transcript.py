"""Transcript: the lines that a user reads, whole and in redo's form.

It owns how names, starts and failures look, and that a line of ours never begins in the middle of a script's. It does
not know where logs come from or what comes next (see `viewer` and `replay`).
"""

import re
import signal
from typing import NamedTuple

from redod.core.paths import relative

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_HIGH_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")


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

    __slots__ = ("_midline", "_parts", "_size", "_speaker", "style")

    def __init__(self, style: Style) -> None:
        self.style = style
        self._parts: list[bytes] = []
        self._size = 0
        self._midline = False
        self._speaker: object = None

    @property
    def size(self) -> int:
        """Bytes that wait to be taken."""
        return self._size

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
        """A line of ours, without its newline."""
        if self._midline:
            self._put(b"\n")
            self._midline = False
        self._put(show_name(line, self.style.terminal) + b"\n")

    def message(self, text: bytes) -> None:
        for line in text.split(b"\n"):
            self.line(line)

    def note(self, text: bytes) -> None:
        if self.style.debug:
            self.message(text)

    def started(self, path: bytes, depth: int) -> None:
        self.line(self._target(path, depth))

    def ended(self, path: bytes, depth: int, status: int) -> None:
        """Says nothing of a success."""
        if status:
            self.line(b"%s (%s)" % (self._target(path, depth), status_words(status)))

    def take(self, limit: int) -> bytes:
        """The next bytes, `limit` at most."""
        data = b"".join(self._parts)
        taken, rest = (data, b"") if len(data) <= limit else (data[:limit], data[limit:])
        self._parts = [rest] if rest else []
        self._size = len(rest)
        return taken

    def _target(self, path: bytes, depth: int) -> bytes:
        return b"redo  " + b"  " * (self.style.depth + depth) + relative(path, self.style.cwd)

    def _put(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
