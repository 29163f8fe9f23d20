"""A terminal: a command runs in a pty, and a screen shows what a person would see."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import pyte

from tests.behaviour.project import PATIENCE, Project

Shown = Callable[[list[str]], bool]


def is_stopped(lines: list[str]) -> bool:
    """Ctrl-Z has worked, and the shell has its terminal back: what is typed before its prompt may be lost."""
    return lines[-1:] == ["$"] and any("Stopped" in line for line in lines)


class Terminal:
    """`argv` as the foreground of a terminal of its own. `raw` is all that was written to that so far."""

    def __init__(
        self,
        project: Project,
        *argv: str,
        columns: int = 80,
        rows: int = 24,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self._number, theirs = pty.openpty()
        self.resize(columns, rows)
        self.process = project.start(
            *argv, env={"TERM": "xterm-256color", "PS1": "$ ", **(env or {})},
            stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._number)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, without blank lines at the end of it and blanks at the end of lines."""
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def everything(self) -> list[str]:
        """Also what was scrolled off the screen."""
        above = [
            "".join(line[column].data for column in range(self.screen.columns)).rstrip()
            for line in self.screen.history.top
        ]
        return above + self.lines

    def wait(self, shown: Shown) -> None:
        """Return as soon as the screen is so."""
        while not shown(self.lines):
            assert self._read(), f"it ended with {self.lines}"

    def wait_for(self, text: str) -> None:
        """Return as soon as this stands on the screen."""
        self.wait(lambda lines: any(text in line for line in lines))

    def send(self, keys: str) -> None:
        os.write(self._number, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Of what stands on it nothing is moved, as in xterm."""
        fcntl.ioctl(self._number, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def finish(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        assert select.select([self._number], [], [], PATIENCE)[0], f"nothing comes after {self.lines}"
        try:
            data = os.read(self._number, 65536)
        except OSError:  # EIO: nobody has it open any more
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)
