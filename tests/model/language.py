"""The little language of the model's scripts, and how a simulated process runs one: an action at a time.

One action a line, names relative to the script's directory, `$2` the stem:

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
from collections.abc import Callable
from dataclasses import dataclass, field

from redod.core import events
from redod.core.model import Call, Job
from tests.model.filesystem import Files, resolve
from tests.model.jobserver import Jobserver


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
    calls: dict[Call, str] = field(default_factory=dict)
    """And what it does when one fails: it ends; "goes on"; "waits" for its other calls and ends then."""
    status: int | None = None
    holding: bool = False
    told: bool = False
    made: int = 0
    """Tokens that its make has."""
    pipe_open: bool = True

    @property
    def can_go_on(self) -> bool:
        return not self.calls if self.status is None else self.pipe_open

    def path(self, name: bytes) -> bytes:
        return resolve(self.job.dofile.directory, name)


def parse(script: bytes, stem: bytes) -> list[list[bytes]]:
    return [line.replace(b"$2", stem).split() for line in script.splitlines() if line.strip()]


@dataclass(slots=True, eq=False)
class Interpreter:
    """`call` makes a script's call, with force or without; `tell` tells the core what a script has done."""

    files: Files
    random: random.Random
    jobserver: Jobserver
    call: Callable[[Process, list[bytes], bool], Call]
    tell: Callable[[events.Event], None]

    def run(self, process: Process) -> None:
        """Do what comes next in it, or with whoever is left of it."""
        if process.status is not None:
            self._let_go(process)
        elif process.actions:
            verb, *names = process.actions.pop(0)
            self._act(process, verb.decode(), names)
        else:
            self.exit(process, 0)

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
                    self.exit(process, 1)
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
                self.tell(events.CallLeft(call))
                del process.calls[call]
            case "read":
                process.text += b"".join(b"[%s]" % self.files.read(path) for path in paths)
            case "absent":
                if any(self.files.exists(path) for path in paths):
                    self.exit(process, 1)
                else:
                    self.tell(events.Created(job, paths))
            case "always":
                self.tell(events.AlwaysDeclared(job))
            case "parity":
                process.text = b"%d" % (len(process.text) & 1)
            case "stamp":
                self.tell(events.ChecksumGiven(job, b"".join(names) + b":" + process.text))
            case "hold":
                process.holding = True
            case "make" | "lose":
                process.made = self.jobserver.take(job.pool, int(names[0]))
                process.actions.insert(0, [b"made" if verb == "make" else b"lost"])
            case "made" | "lost":
                if verb == "made":
                    self.jobserver.put(job.pool, process.made)
                process.made = 0
            case "fail":
                self.exit(process, int(names[0]))
            case "die":
                self.exit(process, -int(names[0]))
            case "then odd":
                if len(self.files.read(paths[0])) & 1:
                    self.exit(process, 1)
            case "then sym":
                self.files.symlink(process.temporary, paths[0])
                self._declare_late(process)
            case "then ln":
                if self.files.exists(paths[0]) and not self.files.is_directory(paths[0]):
                    self.files.hard_link(process.temporary, paths[0])
                    self._declare_late(process)
                else:
                    self.exit(process, 1)
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
            self.exit(process, 1)
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
        call = self.call(process, paths, force)
        process.calls[call] = tolerance
        return call

    def answer(self, process: Process, call: Call, status: int) -> None:
        """Its call, which it may have dropped, is over."""
        tolerance = process.calls.pop(call, "")
        if not status or process.status is not None:
            return
        if tolerance == "waits":
            process.failed = True
        elif not tolerance:
            self.exit(process, 1)

    def exit(self, process: Process, status: int) -> None:
        process.status = status
        closing = "" if process.holding else self.random.choice(("", "", "before", "with it"))
        if closing == "before":
            self._close_pipe(process)
        elif closing:
            process.pipe_open = False
        self.tell(events.JobExited(process.job, status, closing == "with it"))

    def _close_pipe(self, process: Process) -> None:
        process.pipe_open = False
        self.tell(events.PipeClosed(process.job))

    def _let_go(self, process: Process) -> None:
        """Whoever is left of a script that has ended: its clients go, the user may be told, the pipe is closed."""
        if process.holding and not process.told:
            process.told = True
            self.tell(events.HoldersReported(process.job))
        else:
            self._leave_all(process)
            self._close_pipe(process)

    def _leave_all(self, process: Process) -> None:
        for call in process.calls:
            self.tell(events.CallLeft(call))
        process.calls.clear()

    def kill(self, process: Process) -> None:
        """End it by SIGTERM, and whoever is left of it."""
        self._leave_all(process)
        process.actions.clear()
        process.holding = False
        if process.status is None:
            self.exit(process, -15)
