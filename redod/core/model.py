"""The things the scheduler knows beside the graph: sessions, their calls and wants, the running jobs.

Nothing decides here. `World` holds them together with the queues through which the deciding modules hand work to each
other
(`calls`, `wants` and `runs` never call one another) and the list of instructions of the present step.
"""

from collections import deque

from redod.core.check import Check
from redod.core.dofiles import Candidate
from redod.core.graph import Dep, DepKind, Graph, Node
from redod.core.instructions import Instruction
from redod.core.search import Look, Search
from redod.core.stamps import MISSING, Stamp
from redod.core.states import JOB_MOVES, WANT_MOVES, JobState, Living, WantState
from redod.core.tokens import Pool
from redod.core.verdicts import Reason


class Session:
    """One top-level invocation, and everything that is built on its behalf."""

    def __init__(
        self, number: int, epoch: int, pool: Pool, keep_going: bool, background: bool = False, load_limit: float = 0
    ) -> None:
        self.number = number
        self.epoch = epoch
        """What was observed or verified in this epoch or later need not be looked at again."""
        self.pool = pool
        self.keep_going = keep_going
        self.background = background
        """Others go before it."""
        self.load_limit = load_limit
        """While the machine's load is not below it, no job starts beside one that runs; 0: no limit."""
        self.load_asked = False
        """The shell is to say when the load is below the limit."""
        self.load_is_low = False
        """It has said so, and no job has started since."""
        self.wants: dict[Node, Want] = {}
        """The wants that are not over."""
        self.failed: dict[Node, int] = {}
        self.outdated: dict[Node, tuple[int, Reason]] = {}
        """What checks of this session found out of date (see `Check`)."""
        self.calls: set[Call] = set()
        self.ended = 0
        """The number of its jobs that are over: how far it is, for those who show that."""
        self.running = 0
        """The number of its jobs that hold a token. Derived from the pools' holders."""
        self.warned: set[Node] = set()
        self.dying = 0
        """The number of its jobs that are being killed."""

    def __repr__(self) -> str:
        return f"<session {self.number}>"


class Call:
    """One request for a list of targets: a client's, or an internal one that builds what `owner` must know first.

    `client` belongs to the shell: whom to answer; the core only hands it back. `job`: the job whose script made the
    call.
    """

    def __init__(
        self, session: Session, targets: list[Node], *, force: bool, order: tuple[int, ...], pool: Pool,
        job: "Job | None" = None, owner: "Want | None" = None, cwd: bytes = b"/", client: object = None,
    ) -> None:  # fmt: skip
        self.session = session
        self.targets = targets
        self.force = force
        self.order = order
        self.pool = pool
        self.job = job
        self.owner = owner
        self.cwd = cwd
        """What names in messages to the client are relative to."""
        self.client = client
        self.position = 0
        self.batch = 1
        """How many targets to look at together, on the guess that they are all sources."""
        self.asked = 0
        """The epoch in which it asked for the last observation."""
        self.looking: list[Node] = []
        """Targets that are being observed; the first is at `position`."""
        self.looked: set[Node] = set()
        """The target at `position` was looked at, and is not a plain file."""
        self.newest: Want | None = None
        self.pending: set[Want] = set()
        self.status = 0
        self.resuming = False
        """It can be answered as soon as its job has its token back."""
        self.over = False

    def __repr__(self) -> str:
        names = b" ".join(node.path for node in self.targets[:3])
        return f"<call of {self.session!r} for {names!r}>"


class Want(Living[WantState]):
    """One session's wish for one target."""

    def __init__(self, session: Session, node: Node, *, force: bool, order: tuple[int, ...], pool: Pool) -> None:
        super().__init__(WantState.WANTED, WANT_MOVES)
        self.session = session
        self.node = node
        self.force = force
        self.order = order
        self.pool = pool
        self.calls: list[Call] = []
        self.walk: Check | Look | Search | None = None
        self.asked = 0
        """The epoch in which `walk` asked for its last observation."""
        self.ahead: Call | None = None
        self.stuck: set[Node] = set()
        """Targets that cannot be built ahead of it, because they wait for it."""
        self.reason: Reason | None = None
        self.dofile: Candidate | None = None
        self.job: Job | None = None
        """The job it started (RUNNING) or waits for (JOINED)."""

    def __repr__(self) -> str:
        return f"<want of {self.session!r} for {self.node.path!r}, {self.state.name}>"


class Job(Living[JobState]):
    """One running dofile."""

    def __init__(
        self, number: int, want: Want, dofile: Candidate, dofile_node: Node, epoch: int, first_version: int
    ) -> None:
        super().__init__(JobState.RUNNING, JOB_MOVES)
        self.number = number
        self.want = want
        self.session = want.session
        self.node = want.node
        self.pool = want.pool
        self.dofile = dofile
        self.dofile_node = dofile_node
        self.epoch = epoch
        """What it saw was so in this epoch or later."""
        self.first_version = first_version
        """A file whose version is not above this one has not changed since the job began."""
        self.arrivals = -1
        """The graph's, before the search for its script; -1: a script that now comes first would not be told of."""
        self.calls: set[Call] = set()
        """Calls that its script has open."""
        self.call_count = 0
        self.joined: list[Want] = []
        self.deps: dict[Node | tuple[DepKind, Node], Dep] = {}
        """By node, those of another kind than ifchange by kind and node."""
        self.always = False
        self.checksum = b""
        self.before: Stamp = MISSING
        """The target as it was when the script started."""
        self.started_ns = 0
        """When the script started, by the wall clock, in nanoseconds. The files' own clock may lag behind by a tick."""
        self.exit_status: int | None = None
        self.pipe_closed = False
        self.cancelled = False
        self.timed_out = False
        """It is being ended, and counts as failed."""
        self.dep(DepKind.IFCHANGE, dofile_node)

    def __repr__(self) -> str:
        return f"<job {self.number} for {self.node.path!r}, {self.state.name}>"

    def dep(self, kind: DepKind, node: Node, late: bool = False) -> None:
        """Note a dependency. Declared twice, the first version counts: it may be the one that was read."""
        if kind is DepKind.IFCHANGE and not late:
            self.deps.setdefault(node, node.now)
        elif kind is DepKind.IFCHANGE:
            self.deps.setdefault(node, Dep(kind, node, node.version, late))
        else:
            self.deps.setdefault((kind, node), Dep(kind, node, 0))


class World:
    """Everything that is going on."""

    def __init__(self, graph: Graph, jobs: int) -> None:
        self.graph = graph
        self.shared = Pool(jobs)
        """The pool of the sessions without `-j`."""
        self.epoch = 1
        """Counts the sessions' beginnings and rechecks."""
        self.sessions: set[Session] = set()
        self.jobs: dict[Node, Job] = {}
        """At most one running job a target, whoever wants it."""
        self.job_count = 0
        self.session_count = 0
        self.out: list[Instruction] = []
        self.tell = self.out.append
        self.to_advance: deque[Call] = deque()
        self.to_begin: deque[Want] = deque()
        self.pools: set[Pool] = set()
        """Those that have jobs, or for which somebody waits."""
        self.grants_due = False
        """Since tokens were given out last, one may have come free, or somebody may have begun to wait for one."""

    def next_epoch(self) -> int:
        self.epoch += 1
        return self.epoch
