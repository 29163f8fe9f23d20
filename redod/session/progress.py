"""How far a session is: what its status line tells, read off the core at the moment of drawing.

It keeps no count of its own, so a build without a status line pays nothing for it.
"""

from redod.core.model import Session
from redod.core.paths import relative, show
from redod.core.states import JobState, WantState
from redod.progress.line import Progress


def progress_of(session: Session, cwd: bytes, seconds: float, is_preparing: bool) -> Progress:
    """`is_preparing`: another server owns a workspace that it needs, and has been asked for it."""
    to_come = sum(len(call.targets) - call.position for call in session.calls if call.owner is None)
    running, held, elsewhere = [], [], []
    for want in session.wants.values():
        job = want.job
        if job is None or job.state is JobState.PARKED:
            continue
        name = show(relative(want.node.path, cwd))
        if want.state is WantState.JOINED and job.session is not session:
            elsewhere.append(name)
        elif job.state is JobState.SETTLING:
            held.append(name)
        elif want.state is WantState.RUNNING:
            running.append((job.number, name))
    waits = []
    if is_preparing:
        waits.append("waits for another build server")
    if held:
        waits.append(f"held by what it started: {' '.join(held)}")
    if elsewhere:
        waits.append(f"another build makes {' '.join(elsewhere)}")
    if session.load_asked:
        waits.append(f"waits for a load below {session.load_limit:g}")
    elif _lacks_tokens(session):
        waits.append("waits for a token")
    known = session.ended + len(session.wants) + to_come
    return Progress(session.ended, known, seconds, tuple(name for _, name in sorted(running)), tuple(waits))


def _lacks_tokens(session: Session) -> bool:
    """It could run more, if others, or makes in scripts, did not hold the tokens."""
    pool = session.pool
    if session.running >= pool.size or not (pool.asked or len(pool.holders) >= pool.size):
        return False
    return any(want.state is WantState.QUEUED for want in session.wants.values())
