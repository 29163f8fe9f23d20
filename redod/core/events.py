"""What the shell tells the core. Past tense: these things have happened."""

from collections.abc import Collection, Set
from typing import TYPE_CHECKING, NamedTuple

from redod.core.stamps import Stamp

if TYPE_CHECKING:
    from redod.core.graph import Node
    from redod.core.model import Call, Job, Session, Want
    from redod.core.outcome import Produced
    from redod.core.tokens import Pool


class CallMade(NamedTuple):
    """A call was made (see `Scheduler.call`)."""

    call: "Call"


class Observed(NamedTuple):
    """What the paths of an `Observe` look like. `now_ns`: the wall clock before, in nanoseconds.

    `watched`: those of the paths' directories that were watched before, so that whatever has happened in them since
    comes as `Heard` or `Lost`, after this.
    """

    subject: "Want | Call"
    stamps: list[Stamp]
    now_ns: int
    watched: Set[bytes] = frozenset()


class Heard(NamedTuple):
    """Something has happened, or may have, to what these paths name. What, is for the next look to say."""

    paths: Collection[bytes]


class Lost(NamedTuple):
    """What has happened in these directories is not known, and what will happen there will not be told."""

    directories: Collection[bytes]


class ObserveFailed(NamedTuple):
    """It cannot be found out what is there: a directory that we may not search, a disk that fails."""

    subject: "Want | Call"
    text: str


class JobStarted(NamedTuple):
    """`before`: the target when the script started; `started_ns`: that moment by the wall clock, in nanoseconds."""

    job: "Job"
    before: Stamp
    started_ns: int


class StartFailed(NamedTuple):
    """The script could not be started."""

    job: "Job"
    text: str


class JobExited(NamedTuple):
    """The script has ended with this exit status, or by the signal `-status`. `is_alone`: nobody holds its completion
    pipe, and no `PipeClosed` follows.
    """

    job: "Job"
    status: int
    is_alone: bool = False


class PipeClosed(NamedTuple):
    """The last holder has closed the job's completion pipe. Before `JobExited` it means nothing yet."""

    job: "Job"


class HoldersReported(NamedTuple):
    """The user was told who keeps the job's pipe open: it may take long, so the token goes to others."""

    job: "Job"


class TimedOut(NamedTuple):
    """The job has run for longer than it may; `text` tells the user how long that is, and who says so."""

    job: "Job"
    text: str


class Examined(NamedTuple):
    """What the script made."""

    job: "Job"
    produced: "Produced"


class Installed(NamedTuple):
    """The output is in place; the target's stamp now. `is_watched`: as the directories of `Observed`. `content`: a hash
    that counts as the target's checksum where its script gave none.
    """

    job: "Job"
    stamp: Stamp
    is_watched: bool = False
    content: bytes = b""


class InstallFailed(NamedTuple):
    """The output could not be put in place; the old target is as it was."""

    job: "Job"
    text: str


class Created(NamedTuple):
    """The script declared that it depends on these paths not existing, and they do not."""

    job: "Job"
    paths: list[bytes]


class AlwaysDeclared(NamedTuple):
    """The script called redo-always."""

    job: "Job"


class ChecksumGiven(NamedTuple):
    """The script called redo-stamp; the hash of what it was given."""

    job: "Job"
    checksum: bytes


class TokenGranted(NamedTuple):
    """The pool has one token more, as it asked."""

    pool: "Pool"


class TokenOffered(NamedTuple):
    """The pool's jobserver had no token when the pool asked; now there may be one."""

    pool: "Pool"


class LoadFell(NamedTuple):
    """The machine's load is below the session's limit: it may start one job."""

    session: "Session"


class CallLeft(NamedTuple):
    """The client of this call is gone."""

    call: "Call"


class SessionCancelled(NamedTuple):
    """The user does not want the session any more."""

    session: "Session"


class ServiceChanged(NamedTuple):
    """A target's process has ended, or is not to be asked for any more (it was started, or nobody looks after it)."""

    node: "Node"
    has_ended: bool


class Rechecked(NamedTuple):
    """The session must look at everything again."""

    session: "Session"


Rare = (
    StartFailed | ObserveFailed | HoldersReported | TimedOut | InstallFailed | TokenGranted | TokenOffered | LoadFell
    | CallLeft | SessionCancelled | Rechecked | ServiceChanged
)  # fmt: skip
"""What is no part of an ordinary build."""
Event = (
    CallMade | Heard | Lost | Observed | JobStarted | JobExited | PipeClosed | Examined | Installed | Created
    | AlwaysDeclared | ChecksumGiven | Rare
)  # fmt: skip
