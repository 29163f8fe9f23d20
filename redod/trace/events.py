"""The events, docs/events.md: their fields are a promise to other programs.

It owns names and forms. It does not know when something happens, nor who is told. Paths and command lines are text with
undecodable bytes escaped by backslashes.
"""

import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Happened(BaseModel):
    """What all events have. `time`: in seconds since the epoch; `session`: the number of a top-level invocation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    v: Literal[1] = 1
    """Goes up when a field changes its meaning or goes. New events and new fields may come at any time."""
    time: float = Field(default_factory=lambda: round(time.time(), 6))
    session: int


class SessionStarted(Happened):
    """A command line asks for targets. `cwd` and `targets`: absolute; `pid`: the client's."""

    event: Literal["session_started"] = "session_started"
    session_id: str
    """`REDO_SESSION` in its scripts."""
    command: str
    pid: int
    cwd: str
    targets: list[str]


class Judged(Happened):
    """Whether a target that was asked for is up to date. Targets below one that is up to date are not told."""

    event: Literal["verdict"] = "verdict"
    target: str
    verdict: Literal["up_to_date", "out_of_date"]
    reason: str = ""
    """A word: `changed`, `never_built` ...; empty: up to date."""
    about: str = ""
    """The file that the reason speaks of, absolute."""
    text: str = ""
    """The reason in plain words."""


class JobStarted(Happened):
    """A script is started. `job`: its number, unique while the server runs."""

    event: Literal["job_started"] = "job_started"
    job: int
    target: str
    dofile: str
    depth: int
    pid: int


class Log(BaseModel):
    """Where a log is kept: `redo-log TARGET` shows it. Offset and length are bytes of the file."""

    file: str
    offset: int
    length: int


class JobEnded(Happened):
    """A script and all that it holds have ended, and what it made is in place."""

    event: Literal["job_ended"] = "job_ended"
    job: int
    target: str
    status: int
    """0: up to date; negative: ended by that signal."""
    cancelled: bool
    seconds: float
    user_seconds: float
    """Of the script and of what it waited for."""
    system_seconds: float
    max_rss: int
    """Bytes, of the largest single process among them."""
    log: Log | None


class HeldBy(BaseModel):
    """A process that keeps a target open. `age`: in seconds."""

    pid: int
    age: int
    command: str


class Held(Happened):
    """A script has ended, and what it started keeps its target open."""

    event: Literal["held"] = "held"
    job: int
    target: str
    holders: list[HeldBy]


class ServiceChanged(Happened):
    """A target's process. `session`: 0 where no session has to do with it."""

    event: Literal["service"] = "service"
    target: str
    state: Literal["started", "ended"]
    pid: int


class SessionEnded(Happened):
    """The command has been answered. `status`: its exit status; negative: by a signal."""

    event: Literal["session_ended"] = "session_ended"
    status: int


class Lost(Happened):
    """The reader was too slow: so many events before this one are missing. `session`: 0."""

    event: Literal["lost"] = "lost"
    count: int


Event = Annotated[
    SessionStarted | Judged | JobStarted | JobEnded | Held | ServiceChanged | SessionEnded | Lost,
    Field(discriminator="event"),
]
EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads an event, and has the JSON schema of all."""
