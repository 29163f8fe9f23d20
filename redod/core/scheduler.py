"""The scheduler: a synchronous state machine. It is told events and answers with instructions.

Each step is atomic: an event is taken in, and everything that follows from it is worked off through the world's queues
before the
instructions are handed out. Nothing here waits, looks at the disk or knows the time.
"""

from typing import assert_never

from redod.core import calls, cancel, events, runs, suspects, wants
from redod.core.graph import DepKind, Graph, Node
from redod.core.instructions import Instruction
from redod.core.model import Call, Job, Session, Want, World
from redod.core.stamps import Moment, Stamp
from redod.core.states import WantState
from redod.core.tokens import Pool


class Scheduler:
    """`jobs`: the size of the pool that sessions without `-j` share."""

    def __init__(self, graph: Graph, jobs: int) -> None:
        self.graph = graph
        self.world = World(graph, jobs)

    def open_session(
        self, *, pool: Pool | None = None, keep_going: bool = False, background: bool = False, load_limit: float = 0
    ) -> Session:
        """Begin a session. `pool`: what it draws on; None: the shared one."""
        world = self.world
        world.session_count += 1
        pool = pool or world.shared
        session = Session(world.session_count, world.next_epoch(), pool, keep_going, background, load_limit)
        world.sessions.add(session)
        return session

    def call(
        self,
        session: Session,
        targets: list[bytes],
        *,
        force: bool,
        job: Job | None = None,
        jobs: int | None = None,
        cwd: bytes = b"/",
        client: object = None,
    ) -> Call:
        """Prepare a call for these canonical paths; it begins with the event `CallMade`.

        `job`: the job whose script calls. `jobs`: the size of a pool of the call's own. A target that is named twice
        is wanted once.
        """
        graph = self.graph
        nodes = list(dict.fromkeys(map(graph.node, targets)))
        order: tuple[int, ...] = (session.number,)
        pool = session.pool
        if job is not None:
            job.call_count += 1
            order, pool = (*job.want.order, job.call_count), job.pool
        if jobs is not None:
            pool = Pool(jobs)
        call = Call(session, nodes, force=force, order=order, pool=pool, job=job, cwd=cwd, client=client)
        session.calls.add(call)
        if job is not None:
            job.calls.add(call)
        return call

    def step(self, event: events.Event) -> list[Instruction]:
        """Take in one event; the instructions that follow from it, to be carried out in order.

        Judge first, then go on with calls, and give out tokens last: by then all who could want one have asked.
        """
        world = self.world
        self._take(event)
        while True:
            if world.to_begin:
                wants.begin(world, world.to_begin.popleft())
            elif world.to_advance:
                calls.advance(world, world.to_advance.popleft())
            elif not (world.grants_due and runs.grant(world)):
                break
        out = world.out[:]
        del world.out[:]
        return out

    def rest(self) -> list[Instruction]:
        """There is nothing to tell just now: what is to be done with the tokens that nobody has wanted."""
        runs.give_up_tokens(self.world)
        out = self.world.out[:]
        del self.world.out[:]
        return out

    def _take(self, event: events.Event) -> None:
        world = self.world
        # The most frequent first: the cases are tried in this order.
        match event:
            case events.Observed(subject, stamps, now_ns, watched):
                # Since it was asked for, a session may have begun, which must not take it for its own.
                self._observed(subject, stamps, Moment(subject.asked, now_ns, watched))
            case events.Heard(paths):
                suspects.heard(self.graph, paths)
            case events.CallMade(call):
                world.to_advance.append(call)
            case events.JobStarted(job, before, started_ns):
                runs.started(job, before, started_ns)
            case events.JobExited(job, status, is_alone):
                runs.exited(world, job, status, is_alone)
            case events.PipeClosed(job):
                runs.pipe_closed(world, job)
            case events.Examined(job, produced):
                runs.examined(world, job, produced)
            case events.Installed(job, stamp, is_watched, content):
                runs.installed(world, job, stamp, is_watched, content)
            case events.Created(job, paths):
                for path in paths:
                    job.dep(DepKind.IFCREATE, self.graph.node(path))
            case events.AlwaysDeclared(job):
                job.always = True
            case events.ChecksumGiven(job, checksum):
                job.checksum = checksum
            case events.Lost(directories):
                suspects.lose(self.graph, directories)
            case _:
                world.grants_due = True
                self._take_rare(event)

    def _take_rare(self, event: events.Rare) -> None:
        """Take in an event that is no part of an ordinary build."""
        world = self.world
        match event:
            case events.InstallFailed(job, text):
                runs.install_failed(world, job, text)
            case events.StartFailed(job, text):
                runs.start_failed(world, job, text)
            case events.ObserveFailed(subject, text):
                self._unseen(subject, text)
            case events.HoldersReported(job):
                runs.holders_reported(job)
            case events.TimedOut(job, text):
                runs.timed_out(world, job, text)
            case events.TokenGranted(pool):
                pool.tokens += 1
                pool.asked = False
            case events.TokenOffered(pool):
                pool.asked = False
            case events.LoadFell(session):
                session.load_asked, session.load_is_low = False, True
            case events.CallLeft(call):
                cancel.leave(world, call)
            case events.SessionCancelled(session):
                cancel.cancel_session(world, session)
            case events.ServiceChanged(node, has_ended):
                self._service_changed(node, has_ended)
            case events.Rechecked(session):
                session.epoch = world.next_epoch()
                session.failed.clear()
                session.outdated.clear()
            case _:
                assert_never(event)

    def _service_changed(self, node: Node, has_ended: bool) -> None:
        if has_ended:
            self.graph.ended_services.add(node)
            node.verified = 0
            suspects.distrust(node)
        else:
            self.graph.ended_services.discard(node)

    def _observed(self, subject: Want | Call, stamps: list[Stamp], moment: Moment) -> None:
        if isinstance(subject, Call):
            calls.looked(self.world, subject, stamps, moment)
        elif subject.state is WantState.CHECKING and subject.walk is not None:
            subject.walk.observed(stamps, moment)
            wants.walk(self.world, subject)

    def _unseen(self, subject: Want | Call, text: str) -> None:
        if isinstance(subject, Call):
            calls.unseen(self.world, subject, text)
        elif subject.state is WantState.CHECKING:
            wants.unseen(self.world, subject, text)
