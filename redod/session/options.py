"""What a build command was asked to do, apart from the targets."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class BuildOptions(BaseModel):
    """The options of `redo`, validated. Other build commands have the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: int | None = Field(default=None, ge=1, le=1000)
    """`-j N`: a pool of its own with N tokens; None: the shared pool, or the caller's."""
    keep_going: bool = False
    trace: int = Field(default=0, ge=0)
    """`-x`: sh prints commands as it runs them; twice: in nested scripts, too."""
    verbose: int = Field(default=0, ge=0)
    """`-v`: sh prints scripts as it reads them; twice: nested ones, too."""
    debug: int = Field(default=0, ge=0)
    """`-d`: say why each target is built."""
    shuffle: bool = False
    details: bool = True
    """Show what scripts print."""
    events: Literal["json"] | None = None
    """Tell what happens on standard output, a line of JSON for each event."""
    color: bool | None = None
    log: bool = True
    status: bool | None = None
    pretty: bool | None = None
    debug_locks: bool = False
    debug_pids: bool = False
