"""What programs are told of builds (`redod.trace`): makes events out of what the engine knows.

Each function returns at once where nobody listens. It changes nothing.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from redod.core.graph import LogPlace, Node
from redod.core.model import Call, Job, Session
from redod.core.paths import show
from redod.core.verdicts import Reason
from redod.engine.stores import Stores
from redod.jobs.holders import Holder
from redod.logs.kept import SILENT
from redod.trace import events
from redod.trace.feed import Feed

if TYPE_CHECKING:
    from redod.engine.run import Run

_KIB = 1024
"""ru_maxrss counts them, getrusage(2)."""


def session_started(
    feed: Feed, session: Session, session_id: bytes, command: str, pid: int, cwd: bytes, targets: Sequence[bytes]
) -> None:
    if feed.wanted:
        feed.tell(
            events.SessionStarted(
                session=session.number, session_id=session_id.decode(), command=command, pid=pid, cwd=show(cwd),
                targets=[show(target) for target in targets],
            )
        )  # fmt: skip


def session_ended(feed: Feed, session: Session, status: int) -> None:
    if feed.wanted:
        feed.tell(events.SessionEnded(session=session.number, status=status))


def judged(feed: Feed, call: Call, node: Node, reason: Reason | None) -> None:
    """`reason`: why it is out of date; None: it is not."""
    if not feed.wanted:
        return
    number, target = call.session.number, show(node.path)
    if reason is None:
        feed.tell(events.Judged(session=number, target=target, verdict="up_to_date"))
        return
    feed.tell(
        events.Judged(
            session=number, target=target, verdict="out_of_date", reason=reason.why.name.lower(),
            about=show(reason.about), text=reason.text(call.cwd),
        )
    )  # fmt: skip


def job_started(feed: Feed, job: Job, run: "Run") -> None:
    if feed.wanted:
        feed.tell(
            events.JobStarted(
                session=job.session.number, job=job.number, target=show(job.node.path), dofile=show(job.dofile.path),
                depth=run.depth, pid=run.pid,
            )
        )  # fmt: skip


def job_ended(feed: Feed, job: Job, run: "Run", status: int, seconds: float, stores: Stores) -> None:
    """Its log has been kept."""
    if not feed.wanted:
        return
    usage = run.process.usage if run.process is not None else None
    place, home = LogPlace.unpacked(job.node.log) if job.node.log else None, stores.of(job.node)
    log = None
    if place is not None and home is not None and place.segment != SILENT and not job.cancelled:
        log = events.Log(file=show(home.segments.path(place.segment)), offset=place.offset, length=place.length)
    feed.tell(
        events.JobEnded(
            session=job.session.number, job=job.number, target=show(job.node.path), status=status,
            cancelled=job.cancelled, seconds=round(seconds, 6),
            user_seconds=usage.ru_utime if usage is not None else 0.0,
            system_seconds=usage.ru_stime if usage is not None else 0.0,
            max_rss=usage.ru_maxrss * _KIB if usage is not None else 0, log=log,
        )
    )  # fmt: skip


def held(feed: Feed, job: Job, holders: Sequence[Holder]) -> None:
    if feed.wanted:
        found = [
            events.HeldBy(pid=holder.pid, age=holder.since, command=os.fsdecode(holder.command)) for holder in holders
        ]
        feed.tell(events.Held(session=job.session.number, job=job.number, target=show(job.node.path), holders=found))


def service_changed(feed: Feed, node: Node, session: int, *, running: bool, pid: int) -> None:
    if feed.wanted:
        state = events.ServiceChanged(
            session=session, target=show(node.path), state="started" if running else "ended", pid=pid
        )
        feed.tell(state)
