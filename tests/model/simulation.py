"""A shell for the core, in one process: it obeys the instructions with simulated files and scripts.

Scripts are texts in a little language, one action a line, names relative to the script's directory, `$2` the stem:

    need NAMES   redo-ifchange; the script ends with status 1 when that fails
    try NAMES    the same, `|| true`               fork NAMES   a redo-ifchange for each name, at the same time
    redo NAMES   redo                              absent NAMES redo-ifcreate
    from NAME    need NAME, then what it names     copy NAME    need NAME, its bytes become the text
    late NAMES   read now, declared at the end     drop NAMES   as need, and its client is killed
    always       redo-always                       stamp WORD   redo-stamp with WORD and the text
    parity       the text becomes 0 or 1           out, temp    the text becomes stdout, `$3`
    both, self   stdout and `$3`; `$1` itself      dir          `$3` is a directory
    ln NAME      need NAME, `$3` is a hard link    sym NAME     need NAME, `$3` is a symbolic link
    nothing      makes nothing; each script ends with what it makes, or with one of these:
    fail N       ends with status N                die N        ends by signal N
    odd NAME     need NAME, fail if it holds an odd number of bytes
    hold         leaves somebody who holds the completion pipe for a while
    make N       a make takes up to N tokens from the pool's jobserver, and returns them
    lose N       the same, and it is killed before it returns them
"""

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from redod.core import events
from redod.core import instructions as do
from redod.core.graph import Graph, Kind
from redod.core.model import Call, Job, Session
from redod.core.outcome import InstallStdout, InstallTemporary, Outcome, Produced, RemoveTarget
from redod.core.paths import directory_of
from redod.core.scheduler import Scheduler
from redod.core.stamps import Stamp
from redod.core.states import JobState
from redod.core.tokens import Pool
from redod.core.validate import validate
from redod.core.verdicts import Reason
from tests.model.filesystem import Files, resolve
from tests.model.storage import WORKSPACE, Storage

_LOSSES = 0.02
"""How likely it is, each time, that something happens to all watches instead."""
_COMMITS = 0.03
"""The share of steps before which the gathered results are committed."""


@dataclass(slots=True, eq=False)
class Client:
    """Who made a call, and what it was told. `process`: the script that made it."""

    process: "Process | None" = None
    session: Session | None = None
    status: int | None = None
    tolerance: str = ""
    """What the script does when the call fails: it ends; "goes on"; "waits" for its other calls and ends then."""
    complaints: list[str] = field(default_factory=list)
    shown: list[bytes] = field(default_factory=list)
    unchanged: list[bytes] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True, eq=False)
class Process:
    """A running script."""

    job: Job
    actions: list[list[bytes]]
    temporary: bytes
    """`$3`, absolute."""
    text: bytes = b""
    stdout: bytes = b""
    failed: bool = False
    late: list[bytes] = field(default_factory=list)
    calls: set[Call] = field(default_factory=set)
    status: int | None = None
    holding: bool = False
    told: bool = False
    made: int = 0
    """Tokens that its make has."""
    pipe_open: bool = True
    killed: bool = False

    @property
    def can_go_on(self) -> bool:
        return not self.calls if self.status is None else self.pipe_open

    def path(self, name: bytes) -> bytes:
        return resolve(self.job.dofile.directory, name)


@dataclass(frozen=True, slots=True)
class Ran:
    """A script that was started."""

    target: bytes
    session: int
    reason: Reason


def parse(script: bytes, stem: bytes) -> list[list[bytes]]:
    return [line.replace(b"$2", stem).split() for line in script.splitlines() if line.strip()]


class Simulation:
    """`seed` decides what happens next wherever several things could. `validated`: the share of steps after which
    the invariants are checked, which takes longer than the step.

    `watched`: directories. What happens to names in them is told, also twice, and sometimes of others, too.
    """

    def __init__(
        self, files: Files, *, seed: int = 0, jobs: int = 2, validated: float = 1.0, watched: Iterable[bytes] = ()
    ) -> None:
        self.files = files
        self.random = random.Random(seed)
        self.jobs = jobs
        self.validated = validated
        self.graph = Graph(1000)
        self.scheduler = Scheduler(self.graph, jobs)
        self.processes: list[Process] = []
        self.ran: list[Ran] = []
        self.ended: list[tuple[bytes, int]] = []
        self.most_running = 0
        """Scripts and what their makes ran, at a time."""
        self.tokens: dict[Pool, int] = {}
        """What is in the pools' jobservers."""
        self.asked = 0
        """How often a pool asked its jobserver."""
        self.remarks: list[str] = []
        self.complaints: list[str] = []
        self.storage = Storage()
        self.observations = 0
        self.watched = frozenset(watched)
        self._events: deque[events.Event] = deque()
        self._clients: dict[Session, Client] = {}
        self._by_job: dict[Job, Process] = {}
        self._watched: set[Pool] = set()
        self.held: list[Session] = []
        """Those that wait for a low load."""

    # What users do.

    def start(
        self, targets: Iterable[bytes], *, force: bool = False, jobs: int | None = None, lent: int | None = None,
        keep_going: bool = False, background: bool = False, load_limit: float = 0,
    ) -> Client:  # fmt: skip
        """A top-level call. `lent`: how many tokens the jobserver of the make around it has beside the recipe's own."""
        pool = Pool(jobs) if jobs is not None else None
        if lent is not None:
            pool = Pool(100, borrowed=True)
            self.tokens[pool] = lent
        session = self.scheduler.open_session(
            pool=pool, keep_going=keep_going, background=background, load_limit=load_limit
        )
        client = Client(session=session)
        self._clients[session] = client
        call = self.scheduler.call(session, list(targets), force=force, client=client)
        self._hear()
        self._events.append(events.CallMade(call))
        return client

    def build(
        self, *targets: bytes, force: bool = False, jobs: int | None = 1, keep_going: bool = False
    ) -> tuple[int, list[bytes]]:
        """A top-level call to its end: its status, and the targets whose scripts ran, in order."""
        before = len(self.ran)
        client = self.start(targets, force=force, jobs=jobs, keep_going=keep_going)
        self.finish()
        assert client.status is not None
        assert client.ended
        return client.status, [ran.target for ran in self.ran[before:]]

    def cancel(self, client: Client) -> None:
        assert client.session is not None
        self._events.append(events.SessionCancelled(client.session))

    def time_out(self, target: bytes) -> None:
        """The job of this target, which runs, has taken too long."""
        job = self.scheduler.world.jobs[self.graph.node(target)]
        self._events.append(events.TimedOut(job, "too long"))

    def recheck(self, client: Client) -> None:
        assert client.session is not None
        self._events.append(events.Rechecked(client.session))

    def restart(self) -> None:
        """The server is stopped, and another one starts."""
        self.storage.commit()
        self.kill()

    def kill(self) -> None:
        """SIGKILL, whatever it was doing; another one starts. Its scripts end, too."""
        for process in self.processes:
            self.files.remove(process.temporary)
        for client in self._clients.values():
            client.ended, client.status = True, 1
        for left in (self.processes, self._events, self._clients, self._by_job):
            left.clear()
        self.graph = Graph(self.graph.fresh_version())
        self.scheduler = Scheduler(self.graph, self.jobs)
        self.storage.load(self.graph, self.files.stamp)

    def let_load_fall(self) -> None:
        self._events.extend(events.LoadFell(session) for session in self.held)
        self.held.clear()

    # What happens then.

    def finish(self) -> None:
        """Go on until nothing is left to do."""
        while self.advance():
            pass
        self._validate()
        left = [*self.scheduler.world.sessions, *self.scheduler.world.jobs.values()]
        assert not left, f"nothing goes on any more, and there is still {left}"

    def advance(self) -> bool:
        """Let one thing happen. Whether anything could."""
        if self.random.random() < _COMMITS:
            self.storage.commit()
        if self._events:
            self._step(self._events.popleft())
            return True
        for instruction in self.scheduler.rest():
            self._obey(instruction)
        self._validate()
        if self._events:
            return True
        if self.watched and self.random.random() < 0.1:
            self._hear()
        if self.held and self.random.random() < 0.1:
            self.let_load_fall()
            return True
        ready = [process for process in self.processes if process.can_go_on]
        if not ready and self.held:
            self.let_load_fall()
            return True
        if not ready:
            return False
        self._run(self.random.choice(ready))
        return True

    def _step(self, event: events.Event) -> None:
        for instruction in self.scheduler.step(event):
            self._obey(instruction)
        self._validate()

    def _validate(self) -> None:
        if self.validated == 1.0 or self.random.random() < self.validated:
            validate(self.scheduler.world)

    def _obey(self, instruction: do.Instruction) -> None:
        match instruction:
            case do.Observe(subject, paths):
                self.observations += len(paths)
                stamps = [self._look(path) for path in paths]
                self._events.append(events.Observed(subject, stamps, self.files.now, self.watched))
            case do.StartJob(job, reason):
                self._start(job, reason)
            case do.Examine(job):
                self._events.append(self._examine(job))
            case do.Install(job, outcome):
                self._events.append(self._install(job, outcome))
            case do.Discard(job):
                if job in self._by_job:
                    self.files.remove(self._by_job[job].temporary)
            case do.KillJob(job):
                self._kill(self._by_job[job])
            case do.Record(node):
                self.storage.record(node)
            case do.Reply(call, status):
                self._reply(call, status)
            case do.Complain(call, text):
                _client(call).complaints.append(text)
                self.complaints.append(text)
            case do.Remark(_, text):
                self.remarks.append(text)
            case do.ShowJob(call, job):
                _client(call).shown.append(job.node.path)
            case do.ShowUnchanged(call, nodes):
                _client(call).unchanged.extend(node.path for node in nodes)
            case do.Explain() | do.ShowFailed():
                pass
            case do.JobEnded(job, status):
                self.ended.append((job.node.path, status))
                process = self._by_job.pop(job, None)
                if process is not None:
                    self.processes.remove(process)
            case do.AskToken(pool):
                self._take_token(pool)
            case do.ReturnTokens(pool, number):
                self._give_back(pool, number)
            case do.AwaitLowLoad(session):
                self.held.append(session)
            case do.RestPool(pool):
                self._watched.discard(pool)
                if not pool.borrowed:
                    assert self.tokens.pop(pool, pool.size - 1) <= pool.size - 1
            case do.SessionTookOver(old, new):
                assert old is not new
            case do.EndSession(session):
                client = self._clients.pop(session)
                client.ended = True
            case _:
                assert_never(instruction)

    def lose(self) -> None:
        """What has happened until now is not told."""
        self.files.touched.clear()
        self._events.append(events.Lost(self.watched))

    def _hear(self) -> None:
        """Tell what has happened since the last time, before anything else is told."""
        told = [path for path in self.files.touched if directory_of(path) in self.watched]
        self.files.touched.clear()
        if not self.watched:
            return
        if self.random.random() < _LOSSES:
            self.lose()
        elif told or self.random.random() < 0.1:
            known = [*told, *self.files]
            more = self.random.choices(known, k=self.random.randint(1, 3)) if self.random.random() < 0.5 else []
            self._events.append(events.Heard([*told, *more]))

    def _look(self, path: bytes) -> Stamp:
        node = self.graph.find(path)
        if node is None or node.kind is Kind.TARGET:
            return self.files.stamp(path)
        return self.files.look(path, node.stamp)

    def _count_running(self) -> None:
        states = [job.state for job in self.scheduler.world.jobs.values()]
        made = sum(process.made for process in self.processes)
        self.most_running = max(self.most_running, states.count(JobState.RUNNING) + made)

    def _in_pipe(self, pool: Pool) -> int:
        return self.tokens.setdefault(pool, pool.size - 1)

    def _take_token(self, pool: Pool) -> None:
        self.asked += 1
        if self._in_pipe(pool):
            self.tokens[pool] -= 1
            self._events.append(events.TokenGranted(pool))
        else:
            self._watched.add(pool)

    def _give_back(self, pool: Pool, number: int) -> None:
        self.tokens[pool] = self._in_pipe(pool) + number
        if number and pool in self._watched:
            self._watched.remove(pool)
            self._events.append(events.TokenOffered(pool))

    def _start(self, job: Job, reason: Reason) -> None:
        self.ran.append(Ran(job.node.path, job.session.number, reason))
        job.node.workspace = WORKSPACE
        if not self.files.leads_to_file(job.dofile.path):
            self._events.append(events.StartFailed(job, "its script is gone"))
            return
        script = self.files.read(job.dofile.path)
        process = Process(job, parse(script, job.dofile.stem), b"%s.%d.redo.tmp" % (job.node.path, len(self.ran)))
        self.processes.append(process)
        self._by_job[job] = process
        self._count_running()
        self._events.append(events.JobStarted(job, self.files.stamp(job.node.path), self.files.clock()))

    def _examine(self, job: Job) -> events.Event:
        process, stamp = self._by_job[job], self.files.stamp
        self._hear()
        return events.Examined(job, Produced(len(process.stdout), stamp(process.temporary), stamp(job.node.path)))

    def _install(self, job: Job, outcome: Outcome) -> events.Event:
        process, path, files = self._by_job[job], job.node.path, self.files
        match outcome:
            case InstallStdout() if not files.is_directory(path):
                files.write(process.temporary, process.stdout)
                self._commit(process)
            case InstallTemporary() if files.is_directory(process.temporary):
                self.storage.intend(path, files.stamp(process.temporary))
                files.remove(process.temporary)
                files.remove(path)
                files.mkdir(path)
            case InstallTemporary() if not files.is_directory(path):
                self._commit(process)
            case InstallStdout() | InstallTemporary():
                return events.InstallFailed(job, "a directory stands there")
            case RemoveTarget():
                files.remove(path)
            case _:
                pass
        self._hear()
        return events.Installed(job, files.stamp(path), directory_of(path) in self.watched)

    def _commit(self, process: Process) -> None:
        """The intent first, then the rename (which does nothing between two names of one file)."""
        path, files = process.job.node.path, self.files
        self.storage.intend(path, files.stamp(process.temporary))
        files.rename(process.temporary, path)
        files.remove(process.temporary)

    def _reply(self, call: Call, status: int) -> None:
        client = _client(call)
        client.status = status
        process = client.process
        if process is None:
            self.storage.commit()
            return
        process.calls.discard(call)
        if not status or process.status is not None:
            return
        if client.tolerance == "waits":
            process.failed = True
        elif not client.tolerance:
            self._exit(process, 1)

    # What scripts do.

    def _run(self, process: Process) -> None:
        if process.status is not None:
            self._let_go(process)
        elif process.actions:
            verb, *names = process.actions.pop(0)
            self._act(process, verb.decode(), names)
        else:
            self._exit(process, 0)

    def _act(self, process: Process, verb: str, names: list[bytes]) -> None:
        job = process.job
        paths = [process.path(name) for name in names]
        match verb:
            case "need" | "try":
                process.actions.insert(0, [b"read", *names])
                self._call(process, paths, tolerance="goes on" if verb == "try" else "")
            case "redo":
                self._call(process, paths, force=True)
            case "fork":
                process.actions[:0] = [[b"check"], [b"read", *names]]
                for path in paths:
                    self._call(process, [path], tolerance="waits")
            case "check":
                if process.failed:
                    self._exit(process, 1)
            case "from":
                process.actions[:0] = [[b"read", *names], [b"follow", *names]]
                self._call(process, paths)
            case "copy":
                process.actions.insert(0, [b"take", *names])
                self._call(process, paths)
            case "take":
                process.text = self.files.read(paths[0])
            case "follow":
                process.actions.insert(0, [b"need", *self.files.read(paths[0]).split()])
            case "ln" | "sym" | "odd":
                process.actions[:0] = [[b"read", *names], [b"then " + verb.encode(), *names]]
                self._call(process, paths)
            case "late":
                process.actions.insert(0, [b"read", *names])
                process.late += names
            case "ask":
                self._call(process, paths)
            case "drop":
                call = self._call(process, paths)
                self._events.append(events.CallLeft(call))
                process.calls.discard(call)
            case "read":
                process.text += b"".join(b"[%s]" % self.files.read(path) for path in paths)
            case "absent":
                if any(self.files.exists(path) for path in paths):
                    self._exit(process, 1)
                else:
                    self._events.append(events.Created(job, paths))
            case "always":
                self._events.append(events.AlwaysDeclared(job))
            case "parity":
                process.text = b"%d" % (len(process.text) & 1)
            case "stamp":
                self._events.append(events.ChecksumGiven(job, b"".join(names) + b":" + process.text))
            case "hold":
                process.holding = True
            case "make" | "lose":
                process.made = min(self._in_pipe(job.pool), int(names[0]))
                self.tokens[job.pool] -= process.made
                self._count_running()
                process.actions.insert(0, [b"made" if verb == "make" else b"lost"])
            case "made" | "lost":
                if verb == "made":
                    self._give_back(job.pool, process.made)
                process.made = 0
            case "fail":
                self._exit(process, int(names[0]))
            case "die":
                self._exit(process, -int(names[0]))
            case "then odd":
                if len(self.files.read(paths[0])) & 1:
                    self._exit(process, 1)
            case "then sym":
                self.files.symlink(process.temporary, paths[0])
                self._declare_late(process)
            case "then ln":
                if self.files.exists(paths[0]) and not self.files.is_directory(paths[0]):
                    self.files.hard_link(process.temporary, paths[0])
                    self._declare_late(process)
                else:
                    self._exit(process, 1)
            case _:
                self._write(process, verb)

    def _write(self, process: Process, verb: str) -> None:
        process.text = process.text or b"text"
        if verb in ("out", "both"):
            process.stdout += process.text
        if verb in ("temp", "both"):
            self.files.write(process.temporary, process.text)
        elif verb == "dir":
            self.files.mkdir(process.temporary)
        elif verb == "self" and self.files.is_directory(process.job.node.path):
            self._exit(process, 1)
        elif verb == "self":
            self.files.write(process.job.node.path, process.text, in_place=True)
        else:
            assert verb in ("out", "nothing"), f"no such action: {verb}"
        self._declare_late(process)

    @staticmethod
    def _declare_late(process: Process) -> None:
        if process.late:
            process.actions.insert(0, [b"ask", *process.late])

    def _call(self, process: Process, paths: list[bytes], *, tolerance: str = "", force: bool = False) -> Call:
        job = process.job
        client = Client(process=process, tolerance=tolerance)
        call = self.scheduler.call(job.session, paths, force=force, job=job, client=client)
        process.calls.add(call)
        self._hear()
        self._events.append(events.CallMade(call))
        return call

    def _exit(self, process: Process, status: int) -> None:
        process.status = status
        closing = "" if process.holding else self.random.choice(("", "", "before", "with it"))
        if closing == "before":
            self._close_pipe(process)
        elif closing:
            process.pipe_open = False
        self._events.append(events.JobExited(process.job, status, closing == "with it"))

    def _close_pipe(self, process: Process) -> None:
        process.pipe_open = False
        self._events.append(events.PipeClosed(process.job))

    def _let_go(self, process: Process) -> None:
        """Whoever is left of a script that has ended: its clients go, the user may be told, the pipe is closed."""
        if process.holding and not process.told:
            process.told = True
            self._events.append(events.HoldersReported(process.job))
        else:
            self._leave_all(process)
            self._close_pipe(process)

    def _leave_all(self, process: Process) -> None:
        self._events.extend(events.CallLeft(call) for call in process.calls)
        process.calls.clear()

    def _kill(self, process: Process) -> None:
        self._leave_all(process)
        process.actions.clear()
        process.holding = False
        if process.status is None:
            self._exit(process, -15)


def _client(call: Call) -> Client:
    assert isinstance(call.client, Client)
    return call.client
