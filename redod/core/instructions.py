"""What the core orders the shell to do. Imperatives; the shell obeys in order and answers with events."""

from typing import TYPE_CHECKING, NamedTuple

from redod.core.graph import Node
from redod.core.verdicts import Reason

if TYPE_CHECKING:
    from redod.core.model import Call, Job, Session, Want
    from redod.core.outcome import Outcome
    from redod.core.tokens import Pool


class Observe(NamedTuple):
    """Look at these paths now and answer with `Observed`. `until_file`: only up to the first that leads to a file."""

    subject: "Want | Call"
    paths: list[bytes]
    until_file: bool = False


class StartJob(NamedTuple):
    """Run the script of `job.dofile`; answer with `JobStarted` or `StartFailed`."""

    job: "Job"
    reason: Reason


class Examine(NamedTuple):
    """Look at what the script made; answer with `Examined`."""

    job: "Job"


class Install(NamedTuple):
    """Put the output in place, atomically; answer with `Installed` or `InstallFailed`."""

    job: "Job"
    outcome: "Outcome"


class Discard(NamedTuple):
    """Remove whatever the script made beside the target."""

    job: "Job"


class KillJob(NamedTuple):
    """End the script and everything it started. `JobExited` follows, and `PipeClosed` if that does not say so."""

    job: "Job"


class Record(NamedTuple):
    """Store what the node says now."""

    node: Node


class Reply(NamedTuple):
    """The call is over; the client ends with this exit status."""

    call: "Call"
    status: int


class Complain(NamedTuple):
    """Tell the user of this call."""

    call: "Call"
    text: str


class Remark(NamedTuple):
    """Add this to what the job's script printed: why it failed though its script may not have."""

    job: "Job"
    text: str


class ShowJob(NamedTuple):
    """The call waits for this job: its output belongs where the call was made."""

    call: "Call"
    job: "Job"


class ShowUnchanged(NamedTuple):
    """The call asked for these targets, which are up to date."""

    call: "Call"
    nodes: list[Node]


class ShowFailed(NamedTuple):
    """The call asked for a target that has failed before in its session."""

    call: "Call"


class Explain(NamedTuple):
    """Why a target must be built, for those who asked to be told."""

    call: "Call"
    node: Node
    reason: Reason


class JobEnded(NamedTuple):
    """The job is over and recorded. `status` 0: its target is up to date; negative: ended by that signal."""

    job: "Job"
    status: int


class AskToken(NamedTuple):
    """Take one more token for the pool from its jobserver: `TokenGranted`, or `TokenOffered` when there may be one."""

    pool: "Pool"


class ReturnTokens(NamedTuple):
    """Give so many of the pool's tokens back to its jobserver."""

    pool: "Pool"
    number: int


class AwaitLowLoad(NamedTuple):
    """The session would start another job: answer with `LoadFell` as soon as the load is below its limit."""

    session: "Session"


class RestPool(NamedTuple):
    """No job of the pool is left and nobody waits for it: all its tokens but one have to be in its jobserver."""

    pool: "Pool"


class SessionTookOver(NamedTuple):
    """`new` has taken a job of `old` over: what that uses, it uses, too."""

    old: "Session"
    new: "Session"


class EndSession(NamedTuple):
    """Nothing of the session is left."""

    session: "Session"


Instruction = (
    Observe | StartJob | Examine | Install | Discard | KillJob | Record | Reply | Complain | Remark | ShowJob |
    ShowUnchanged | ShowFailed
    | Explain | JobEnded | AskToken | ReturnTokens | AwaitLowLoad | RestPool | SessionTookOver | EndSession
)  # fmt: skip
