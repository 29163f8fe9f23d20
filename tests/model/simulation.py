"""A shell for the core, in one process: it obeys the instructions with simulated files and scripts."""

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
from tests.model.filesystem import Files
from tests.model.jobserver import Jobserver
from tests.model.language import Interpreter, Process, parse
from tests.model.storage import WORKSPACE, Storage

_LOSSES = 0.02
"""How likely it is, each time, that something happens to all watches instead."""
_COMMITS = 0.03
"""The share of steps before which the gathered results are committed."""


@dataclass(slots=True, eq=False)
class Client:
    """Who made a call, and what it was told. `process`: the script that made it."""

    process: Process | None = None
    session: Session | None = None
    status: int | None = None
    complaints: list[str] = field(default_factory=list)
    shown: list[bytes] = field(default_factory=list)
    unchanged: list[bytes] = field(default_factory=list)
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Ran:
    """A script that was started."""

    target: bytes
    session: int
    reason: Reason


class Simulation:
    """`seed` decides what happens next wherever several things could. The core's invariants are checked at each step.

    `watched`: directories. What happens to names in them is told, also twice, and sometimes of others, too.
    """

    def __init__(self, files: Files, *, seed: int = 0, jobs: int = 2, watched: Iterable[bytes] = ()) -> None:
        self.files = files
        self.random = random.Random(seed)
        self.jobs = jobs
        self.graph = Graph(1000)
        self.scheduler = Scheduler(self.graph, jobs)
        self.processes: list[Process] = []
        self.ran: list[Ran] = []
        self.ended: list[tuple[bytes, int]] = []
        self.most_running = 0
        """Scripts and what their makes ran, at a time."""
        self.remarks: list[str] = []
        self.complaints: list[str] = []
        self.storage = Storage()
        self.observations = 0
        self.watched = frozenset(watched)
        self._events: deque[events.Event] = deque()
        self._clients: dict[Session, Client] = {}
        self._by_job: dict[Job, Process] = {}
        self.held: list[Session] = []
        """Those that wait for a low load."""
        self.jobserver = Jobserver(self._events.append)
        self._scripts = Interpreter(files, self.random, self.jobserver, self._call, self._events.append)

    # What users do.

    def start(
        self, targets: Iterable[bytes], *, force: bool = False, jobs: int | None = None, lent: int | None = None,
        keep_going: bool = False, background: bool = False, load_limit: float = 0,
    ) -> Client:  # fmt: skip
        """A top-level call. `lent`: how many tokens the jobserver of the make around it has beside the recipe's own."""
        pool = Pool(jobs) if jobs is not None else None
        if lent is not None:
            pool = Pool(100, borrowed=True)
            self.jobserver.tokens[pool] = lent
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
        validate(self.scheduler.world)
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
        validate(self.scheduler.world)
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
        self._scripts.run(self.random.choice(ready))
        self._count_running()
        return True

    def _step(self, event: events.Event) -> None:
        for instruction in self.scheduler.step(event):
            self._obey(instruction)
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
                self._scripts.kill(self._by_job[job])
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
                self.jobserver.ask(pool)
            case do.ReturnTokens(pool, number):
                self.jobserver.put(pool, number)
            case do.AwaitLowLoad(session):
                self.held.append(session)
            case do.RestPool(pool):
                self.jobserver.rest(pool)
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
        if client.process is None:
            self.storage.commit()
        else:
            self._scripts.answer(client.process, call, status)

    def _call(self, process: Process, paths: list[bytes], force: bool) -> Call:
        client = Client(process=process)
        call = self.scheduler.call(process.job.session, paths, force=force, job=process.job, client=client)
        self._hear()
        self._events.append(events.CallMade(call))
        return call


def _client(call: Call) -> Client:
    assert isinstance(call.client, Client)
    return call.client
