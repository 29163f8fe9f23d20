"""What a command was asked to do, apart from the targets, and how it is to be shown."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from redod.config.model import Background
from redod.logs.transcript import Style


class DisplayOptions(BaseModel):
    """How logs are shown, by `redo` and `redo-log`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    details: bool = True
    """Show what scripts print."""
    status: bool = True
    """Show a status line, where there is a terminal."""
    pretty: bool = True
    color: bool | None = None
    """None: on a terminal."""
    quiet: bool = False
    """Show what scripts print, and not which of them run."""
    debug_locks: bool = False
    """Say when a build waits for another one's."""
    debug_pids: bool = False

    def has_color(self, terminal: "Terminal") -> bool:
        return terminal.is_colored if self.color is None else self.color

    def style(self, cwd: bytes, terminal: "Terminal") -> Style:
        color = self.has_color(terminal)
        return Style(
            cwd, terminal=terminal.is_terminal, details=self.details,
            color=color and self.pretty, pretty=self.pretty, pids=self.debug_pids, quiet=self.quiet,
        )  # fmt: skip


class BuildOptions(DisplayOptions):
    """The options of `redo`, validated. Other build commands have the defaults."""

    jobs: int | None = Field(default=None, ge=1, le=1000)
    """`-j N`: a pool of its own with N tokens; None: the shared pool, or the caller's."""
    load: float = Field(default=0, ge=0, allow_inf_nan=False)
    """`--load=N`: start no job beside another while N processes or more run on the machine; 0: no limit."""
    background_priority: bool = False
    """Others go first."""
    keep_going: bool = False
    trace: int = Field(default=0, ge=0)
    """`-x`: sh prints commands as it runs them; twice: in nested scripts, too."""
    verbose: int = Field(default=0, ge=0)
    """`-v`: sh prints scripts as it reads them; twice: nested ones, too."""
    debug: int = Field(default=0, ge=0)
    """`-d`: say why each target is built."""
    background: Background | None = None
    """`--background`: what becomes of processes that outlive their script; None: as `redod.toml` says."""
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """`--timeout`: seconds that a job may take; None: as `redod.toml` says."""
    shuffle: bool = False
    events: Literal["json"] | None = None
    """Tell what happens on standard output, a line of JSON for each event."""
    log: bool = True
    """Keep what scripts print; otherwise it goes straight to the caller's standard error."""
    daemon: bool = True
    """Its client's matter."""
    console: bool = False
    """Give the terminal to the scripts of the targets."""


class Terminal:
    """What one of the client's descriptors is connected to. `columns`: 0 where that is not known."""

    def __init__(self, is_terminal: bool, columns: int, variable: Mapping[bytes, bytes]) -> None:
        self.is_terminal = is_terminal
        self.columns = columns
        self.is_dumb = not is_terminal or variable.get(b"TERM", b"dumb") in (b"", b"dumb")
        """It cannot go back on its line."""
        # https://no-color.org: set, and not empty.
        self.is_colored = not self.is_dumb and not variable.get(b"NO_COLOR")
