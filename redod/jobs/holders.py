"""Who holds a completion pipe: processes of a job that outlive its script, and what to tell the user about them.

It reads /proc, synchronously: call `find_holders` in a thread. It does not know jobs or targets beyond their names.
"""

import os
import pwd
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_COMMAND_LENGTH = 120
"""Bytes of a command line that are shown."""

_TOLERANCE = 0.1
"""Seconds: the clocks of starts and of jobs are read at different moments, and tick."""
_SHOWN = 10
"""Holders that are listed; a script may leave hundreds."""


class Identity(NamedTuple):
    """One process for good. A pid may be given to another one, whose `started` (clock ticks since boot) is later."""

    pid: int
    started: int


class Process(NamedTuple):
    """A process as /proc/PID/stat has it, proc(5)."""

    pid: int
    parent: int
    group: int
    session: int
    started: int
    state: bytes
    name: bytes

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.started)

    @property
    def is_live(self) -> bool:
        """Not a zombie: something runs."""
        return self.state not in b"ZX"


class Holder(NamedTuple):
    """A process that has the pipe open for writing. `since`: its age in seconds.

    `is_certain` is False for a process whose descriptors we may not look at (sudo), but which the job seems to have
    started. `user`: whose it is, if not ours.
    """

    pid: int
    command: bytes
    since: int
    is_certain: bool = True
    user: bytes = b""


def find_holders(
    inode: int, group: int, age: float = float("inf"), exclude: frozenset[int] = frozenset()
) -> list[Holder]:
    """Every process that has the write end of this pipe, by age, the oldest first.

    `inode` of the pipe, `group` the job's process group, `age` how many seconds ago it began, `exclude` pids that are
    not asked.
    """
    uptime = _uptime()
    found = []
    for process in processes():
        if process.pid in exclude or not process.is_live:
            continue
        held, since = holds_pipe(process.pid, inode), uptime - process.started / _TICKS
        if held or (held is None and since <= age + _TOLERANCE and _is_suspect(process, group)):
            user = _foreign_user(process.pid)
            found.append(Holder(process.pid, _command(process), max(0, int(since)), held is not None, user))
    return sorted(found, key=lambda holder: -holder.since)


def _is_suspect(process: Process, group: int) -> bool:
    """Of the job's own group or session; or a daemon that we have adopted (see `redod.jobs.reaper`)."""
    is_adopted = process.parent == os.getpid() and process.session != os.getsid(0)
    return group in (process.group, process.session) or is_adopted


def pids() -> list[int]:
    """Of all processes that can be seen."""
    return [int(name) for name in os.listdir(b"/proc") if name.isdigit()]


def processes() -> Iterator[Process]:
    """All processes that can be seen."""
    for pid in pids():
        process = read_process(pid)
        if process is not None:
            yield process


def read_process(pid: int) -> Process | None:
    """This process as it is now; None when there is none."""
    data = _contents(b"/proc/%d/stat" % pid)
    opening, closing = data.find(b"("), data.rfind(b")")
    if closing < 0:
        return None
    # The name may hold blanks and brackets: the fields are counted from its last bracket.
    fields = data[closing + 2 :].split(None, 20)
    return Process(
        pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), fields[0], data[opening + 1 : closing]
    )


def holds_pipe(pid: int, inode: int) -> bool | None:
    """Whether a process has this pipe open for writing; None when we may not know."""
    directory = b"/proc/%d/fd/" % pid
    link = b"pipe:[%d]" % inode
    try:
        numbers = os.listdir(directory)
    except PermissionError:
        return None
    except OSError:
        return False
    return any(_leads_to(directory + number, link) for number in numbers)


def pipes_of(pid: int) -> frozenset[int]:
    """The inodes of the pipes that a process has open for writing; none when we may not know."""
    directory = b"/proc/%d/fd/" % pid
    found = set()
    try:
        for number in os.listdir(directory):
            link = _link(directory + number)
            if link.startswith(b"pipe:[") and _leads_to(directory + number, link):
                found.add(int(link[6:-1]))
    except OSError:
        return frozenset()
    return frozenset(found)


def environ_of(pid: int) -> bytes:
    """A process's environment, a NUL before and after each `NAME=value`; empty when it cannot be had."""
    try:
        with open(b"/proc/%d/environ" % pid, "rb", buffering=0) as file:
            return b"\0" + file.readall() + b"\0"
    except OSError:
        return b""


def waiting_notice(target: bytes, status: int, holders: Sequence[Holder]) -> list[bytes]:
    """The lines that tell the user why a target whose script has ended is not finished. `status` as Popen gives it."""
    ended = b"exit status %d" % status if status >= 0 else b"signal %d" % -status
    kill = b"sudo kill" if any(holder.user for holder in holders) else b"kill"
    pids = b" ".join(b"%d" % holder.pid for holder in holders[:_SHOWN]) or b"PID"
    return [
        b"%s: its script has ended (%s), but what it started still holds the target open:" % (target, ended),
        *_listed(holders),
        b"  redo waits for it. To end it: %s %s. To give up this build: Ctrl-C." % (kill, pids),
        b"  To have it outlive its script, let the script start it by: redo-detach COMMAND",
        b"  To have it looked after, restarted when it is out of date: redo-service COMMAND",
    ]


def killed_notice(target: bytes, holders: Sequence[Holder]) -> list[bytes]:
    """The lines that tell the user what is being ended, since the session wants that (`--background=kill`)."""
    return [b"%s: its script has ended, so what it started and left behind is being ended:" % target, *_listed(holders)]


def _listed(holders: Sequence[Holder]) -> list[bytes]:
    lines = []
    for holder in holders[:_SHOWN]:
        doubt = b"" if holder.is_certain else b", probably"
        user = b", of user " + holder.user if holder.user else b""
        lines.append(b"    pid %d, %d s old%s%s: %s" % (holder.pid, holder.since, user, doubt, holder.command))
    if len(holders) > _SHOWN:
        lines.append(b"    and %d others" % (len(holders) - _SHOWN))
    if not holders:
        lines.append(b"    a process that cannot be seen from here (of another user, or in another container)")
    return lines


_TICKS = os.sysconf("SC_CLK_TCK")


def _link(path: bytes) -> bytes:
    try:
        return os.readlink(path)
    except OSError:
        return b""


def _leads_to(path: bytes, link: bytes) -> bool:
    try:
        # The link's own mode says how the descriptor was opened: proc(5), /proc/pid/fd.
        return os.readlink(path) == link and bool(os.lstat(path).st_mode & 0o200)
    except OSError:
        return False


def _foreign_user(pid: int) -> bytes:
    """The name of the user whose process this is; empty for our own."""
    try:
        user = os.stat(b"/proc/%d" % pid).st_uid
        return b"" if user == os.geteuid() else os.fsencode(pwd.getpwuid(user).pw_name)
    except OSError:
        return b""
    except KeyError:
        return b"%d" % user


def _uptime() -> float:
    return float(_contents(b"/proc/uptime").split()[0])


def _command(process: Process) -> bytes:
    line = _contents(b"/proc/%d/cmdline" % process.pid, _COMMAND_LENGTH + 1).rstrip(b"\0").replace(b"\0", b" ")
    line = bytes(byte if byte >= 32 and byte != 127 else ord("?") for byte in line)
    if len(line) > _COMMAND_LENGTH:
        return line[:_COMMAND_LENGTH] + b"..."
    return line or b"[%s]" % process.name


def _contents(path: bytes, size: int = 4096) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(size) or b""
    except OSError:
        return b""
