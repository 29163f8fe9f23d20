"""What `redod.toml` may say. It knows neither where the file is nor who carries a setting out.

docs/configuration.md describes each setting; a wrong type is an error, never converted.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Names = tuple[Annotated[str, Field(min_length=1)], ...]


class Config(BaseModel):
    """One workspace's settings; the defaults hold where there is no file."""

    # Not strict for the lists alone: TOML's arrays are lists, and a frozen model has tuples.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    jobs: Annotated[int, Field(ge=1, le=1000)] | None = None
    background: Literal["wait", "release", "kill"] = "wait"
    timeout: dict[str, Seconds] = Field(default={})
    console: Annotated[Names, Field(strict=False)] = ()
    goals: Annotated[Names, Field(strict=False)] = ()
    content: bool = False


DEFAULTS = Config()
