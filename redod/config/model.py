"""What `redod.toml` may say. It knows neither where the file is nor who carries a setting out.

docs/configuration.md describes each setting; a wrong type is an error, never converted.
"""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Names = tuple[Annotated[str, Field(min_length=1)], ...]


Background = Literal["wait", "release", "kill"]
"""What becomes of processes that outlive their script and hold its target: see docs/configuration.md."""


class Config(BaseModel):
    """One workspace's settings; the defaults hold where there is no file."""

    # Not strict for the lists alone: TOML's arrays are lists, and a frozen model has tuples.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    jobs: Annotated[int, Field(ge=1, le=1000)] | None = None
    background: Background = "wait"
    timeout: dict[str, Seconds] = Field(default={})
    console: Annotated[Names, Field(strict=False)] = ()
    goals: Annotated[Names, Field(strict=False)] = ()
    content: bool = False
    jobserver: Literal["descriptors", "fifo"] = "descriptors"

    def has_console(self, name: str) -> bool:
        """Whether the job of this target, relative to the root, gets the terminal. Patterns as in `timeout_of`."""
        return any(_matches(name, pattern) for pattern in self.console)

    def timeout_of(self, name: str) -> float | None:
        """Seconds that the job of this target, relative to the root, may take; the first pattern that matches counts.

        A pattern without a slash is one of file names in any directory.
        """
        for pattern, seconds in self.timeout.items():
            if _matches(name, pattern):
                return seconds
        return None


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name if "/" in pattern else name.rpartition("/")[2], pattern)


DEFAULTS = Config()
