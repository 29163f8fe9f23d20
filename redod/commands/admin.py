"""`redod status`, `redod stop`, `redod release`, `redod waits`: the server about itself."""

import os
import time
from collections.abc import Callable

from pydantic import BaseModel

from redod import __version__
from redod.commands.context import Attendant, Context, Errand
from redod.commands.query import workspace_around
from redod.commands.service import redod_service, redod_services
from redod.commands.watching import redod_doctor, redod_verify
from redod.core.paths import show
from redod.core.states import JobState
from redod.engine.claims import Request
from redod.engine.collecting import collect
from redod.engine.run import Run
from redod.errors import RedodError, UsageError
from redod.session.ring import encode_waits
from redod.session.subscription import Subscription

_STATES = {
    JobState.RUNNING: "running",
    JobState.PARKED: "waits for what it asked for",
    JobState.SETTLING: "script ended, held by a background process",
    JobState.FINISHING: "being put in place",
    JobState.DONE: "done",
}


class HolderStatus(BaseModel):
    """A process that keeps a job from ending. `user`: empty for the server's own; `is_certain`: see `Holder`."""

    pid: int
    command: str
    age: int
    user: str
    is_certain: bool


class JobStatus(BaseModel):
    """A running job. `target`: absolute; `age`: in seconds; `pid`: of its script, 0 before it runs.

    `exit_status` of the script, negative for a signal; None while it runs. `held`: seconds since then.
    """

    target: str
    age: float
    state: str
    pid: int
    session: int
    exit_status: int | None
    held: float | None
    holders: list[HolderStatus]


class WorkspaceStatus(BaseModel):
    """An open workspace."""

    root: str
    targets: int


class Status(BaseModel):
    """What `redod status --json` prints. `uptime` in seconds, `memory` in bytes (resident).

    `longest_pause`: seconds for which Python's collector has held everybody up at a time, at most.
    """

    pid: int
    version: str
    uptime: float
    socket: str
    sessions: int
    jobs: list[JobStatus]
    jobs_run: int
    workspaces: list[WorkspaceStatus]
    opening: list[str]
    """The roots of workspaces that are being read."""
    leaving: int
    """How many others were closed, and are just leaving the memory."""
    files: int
    watching: str
    missed: int
    """Changes that were found by looking again, of which nothing had told."""
    memory: int
    longest_pause: float


def redod(context: Context) -> Attendant | None:
    """`redod status [--json]`, `redod stop`; `redod release` and `redod waits` are for other servers."""
    match context.invocation.args:
        case (b"status",):
            return Errand(context, _show_status, context, _text)
        case (b"status", b"--json"):
            return Errand(context, _show_status, context, lambda status: status.model_dump_json(indent=2) + "\n")
        case (b"stop",):
            context.daemon.stop(context.link)
        case (b"stop", b"--keep-services"):
            context.daemon.stop(context.link, keep_services=True)
        case (b"doctor",):
            return redod_doctor(context)
        case (b"verify",):
            return redod_verify(context)
        case (b"subscribe",):
            return _Subscriber(context)
        case (b"services", *words):
            return redod_services(context, tuple(words))
        case (b"service", *words):
            return redod_service(context, tuple(words))
        case (b"forget",):
            return Errand(context, _forget, context)
        case (b"release", lock, _, client, phase) if client.isdigit():
            return Errand(context, _release, context, lock, Request(int(client), phase == b"building"))
        case (b"waits", lock, phase):
            _show_waits(context, lock, phase == b"building")
        case (b"gc",):
            return Errand(context, _gc, context)
        case _:
            raise UsageError(
                "usage: redod run | status [--json] | doctor | verify | stop [--keep-services] | forget | gc |"
                " services [--json] | subscribe | service stop|restart TARGET | socket |"
                " units [--print | --write [DIRECTORY]]"
            )
    return None


class _Subscriber:
    """`redod subscribe`: the events of all sessions, until the client goes."""

    def __init__(self, context: Context) -> None:
        self._link = context.link
        self._subscription = Subscription(context.engine.feed, context.link)

    def interrupt(self, number: int) -> None:
        self.gone()
        self._link.die(number)

    def resized(self, columns: int) -> None:
        pass

    def gone(self) -> None:
        self._subscription.close()


async def _forget(context: Context) -> None:
    workspace = await workspace_around(context)
    if workspace is None:
        context.link.exit(0)
        return
    recovered = context.engine.stores.forget(workspace)
    text = (
        f"forgot how everything in {show(workspace.root)} was made, and what it printed.\n"
        f"{recovered} files are still known to be redo's own; they are out of date and will be built again.\n"
    )
    context.link.output(1, text.encode())
    context.link.exit(0)


async def _gc(context: Context) -> None:
    workspace = await workspace_around(context)
    if workspace is None:
        return
    engine = context.engine
    done = await collect(engine.stores, engine.graph, workspace)
    text = (
        f"{show(workspace.root)}: dropped {done.dropped} logs of targets that are gone, kept {done.kept}; freed"
        f" {max(0, done.before - done.after)} of {done.before} bytes\n"
    )
    context.link.output(1, text.encode())
    context.link.exit(0)


async def _release(context: Context, lock: bytes, request: Request) -> None:
    engine = context.engine
    workspace = engine.stores.find(lock)
    if workspace is not None:
        around = engine.run_around(request.client)
        if around is not None and engine.stores.claims.uses(around.job.session, workspace.root):
            raise RedodError(
                f"{show(around.job.node.path)}, whose script asks for this, is being built by another build server"
                f" (redod, pid {os.getpid()}), which waits for the script: keep REDO_JOB and REDOD_SOCKET in its"
                " environment"
            )
        await engine.stores.release(workspace, request)
    context.link.exit(0)


def _show_waits(context: Context, lock: bytes, is_building: bool) -> None:
    stores = context.engine.stores
    workspace = stores.find(lock)
    if workspace is not None:
        context.link.output(1, encode_waits(stores.claims.waits_behind(workspace.root, is_building)))
    context.link.exit(0)


async def _show_status(context: Context, form: Callable[[Status], str]) -> None:
    context.engine.spawner.settle()
    for run in list(context.engine.runs.values()):
        if run.is_held:
            await run.look_for_holders()
    context.link.output(1, form(_status(context)).encode())
    context.link.exit(0)


def _job(run: Run) -> JobStatus:
    now = time.monotonic()
    return JobStatus(
        target=_printable(run.job.node.path),
        age=round(now - run.began, 3),
        state=_STATES[run.job.state],
        pid=run.pid,
        session=run.job.session.number,
        exit_status=run.job.exit_status,
        held=round(now - run.ended, 3) if run.is_held and run.ended is not None else None,
        holders=[
            HolderStatus(
                pid=holder.pid,
                command=_printable(holder.command),
                age=holder.since,
                user=_printable(holder.user),
                is_certain=holder.is_certain,
            )
            for holder in (run.holders if run.is_held else ())
        ],
    )


def _printable(name: bytes) -> str:
    return os.fsdecode(name).encode("utf-8", "backslashreplace").decode()


def _status(context: Context) -> Status:
    engine, now = context.engine, time.monotonic()
    return Status(
        pid=os.getpid(),
        version=__version__,
        uptime=round(now - context.daemon.started, 3),
        socket=show(engine.socket),
        sessions=len(engine.scheduler.world.sessions),
        jobs=[_job(run) for run in engine.runs.values()],
        jobs_run=engine.jobs_run,
        workspaces=[
            WorkspaceStatus(root=show(workspace.root), targets=workspace.targets) for workspace in engine.stores
        ],
        leaving=engine.stores.leaving,
        opening=[show(root) for root in engine.stores.opening],
        files=len(engine.graph),
        watching=engine.watching.state(),
        missed=engine.watching.missed,
        memory=_memory(),
        longest_pause=collector.longest if (collector := context.daemon.collector) is not None else 0.0,
    )


def _text(status: Status) -> str:
    lines = [
        f"redod {status.version}, pid {status.pid}, up {_duration(status.uptime)}, {status.memory / 1e6:.0f} MB",
        f"socket     {status.socket}",
        f"sessions   {status.sessions}",
        f"graph      {status.files} files, {status.jobs_run} jobs run",
        f"watching   {status.watching}",
    ]
    if status.missed:
        lines.append(f"missed     {status.missed} changes, found by looking again; redod verify looks at everything")
    lines += [f"workspace  {workspace.root}: {workspace.targets} targets" for workspace in status.workspaces]
    lines += [f"workspace  {root}: being read" for root in status.opening]
    for job in status.jobs:
        lines.append(f"job        {job.target} ({job.state}, {job.age:.1f} s, pid {job.pid})")
        lines += [f"  held by  pid {holder.pid}, {holder.age} s old: {holder.command}" for holder in job.holders]
    return "\n".join(lines) + "\n"


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min" if minutes else f"{int(seconds)} s"


def _memory() -> int:
    """Resident bytes, from proc_pid_statm(5)."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
