"""One job's process: it is started, printed to, waited for, and let go here.

It owns the server's side of the process's descriptors: the completion pipe, the stderr pipe and the pidfd. It does not
know targets, sessions or logs: what happens is told to a `Listener`, on the loop's thread.
"""

import errno
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from resource import struct_rusage
from typing import NamedTuple, Protocol

from redod.jobs.launcher import Answer, Launcher, encode
from redod.jobs.limits import GATE, Changes, Limiter, Limits
from redod.jobs.programs import Programs
from redod.readers import Readers

LOWEST_PIPE = 50
"""The completion pipe's write end gets this number in a job; where its client starts it, this or a higher one. Scripts'
own 3-9 never clash with it.
"""

_READ_SIZE = 65536
_DRAIN_READS = 16
"""Times `_READ_SIZE` is 1 MiB, the largest pipe an ordinary user can make: a drain reads all that was printed before
it, and a process that never stops printing cannot keep the loop in it."""


class SpawnError(Exception):
    """A job could not be started. The text says why and what to do; `os.fsencode` gives its bytes back."""


class Listener(Protocol):
    """Told what happens to a job, on the loop's thread. After both `exited` and `pipe_closed` nothing more is told."""

    def exited(self, status: int) -> None:
        """The script has ended: its exit status, or the negative number of the signal that killed it."""

    def pipe_closed(self) -> None:
        """The last holder of the completion pipe has closed it."""

    def started(self) -> None:
        """The script has been started; where that is known only later than `Spawner.start` returns."""

    def not_started(self, text: str) -> None:
        """It could not be started, as a SpawnError says. Nothing more is told."""

    def printed(self, data: bytes) -> None:
        """Somebody wrote this to the job's standard error. At most 65,536 bytes, never empty."""


class PipeId(NamedTuple):
    """A pipe's identity, as fstat(2) gives it for either end."""

    device: int
    inode: int


NOWHERE = PipeId(0, 0)
"""Of a descriptor that is closed."""


class Order(NamedTuple):
    """What to run. `argv[0]` is searched in the PATH of `env`; `stdout_fd` is the capture file.

    `limits`: the client's sixteen (soft, hard) pairs, see `redod.jobs.limits`; empty: the server's own.
    """

    argv: tuple[bytes, ...]
    cwd: bytes
    env: Mapping[bytes, bytes]
    umask: int
    stdout_fd: int
    limits: Limits = ()
    stderr_fd: int = -1
    """Where standard error goes straight; -1: to the listener."""
    nice: int = 0
    """See nice(2)."""
    inherited: tuple[int, ...] = ()
    """Inheritable descriptors of the server, at high numbers, which it finds under these."""


class Spawner:
    """Starts jobs. Make it after the server has raised its own limits, since it remembers them.

    `launcher`: the command that starts scripts for the server, if it can; without one it does so itself.
    """

    def __init__(self, readers: Readers, launcher: bytes = b"") -> None:
        self._readers = readers
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._home = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._limiter = Limiter()
        # It can only be asked by setting it.
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self.children: set[int] = set()
        """The pids of what was started here and is not reaped yet (see `redod.jobs.reaper`)."""
        self._programs = Programs()
        self._launcher: Launcher | None = None
        if launcher:
            with suppress(OSError):
                self._launcher = Launcher(readers, launcher, self.children)

    def settle(self) -> None:
        """Return when all that was started has its pid: for whoever looks for processes."""
        if self._launcher is not None:
            self._launcher.settle()

    def close(self) -> None:
        """Close what all jobs share. Jobs that run are not touched."""
        if self._launcher is not None:
            self._launcher.close()
        os.close(self._null)
        os.close(self._home)

    def start(self, order: Order, listener: Listener) -> "JobProcess":
        """Start a job. Where its `pid` is NOBODY, its start is under way, and the listener is told of it.

        Raises SpawnError. The caller keeps its own `stdout_fd`.
        """
        try:
            ends = _open_ends()
        except OSError as problem:
            raise SpawnError(_explain(problem, order)) from problem
        try:
            process = self._launch(order, ends, listener)
            if process is not None:
                return process
            pid = self._execute(order, ends)
            pidfd = self._pidfd(pid)
        except (OSError, ValueError) as problem:
            os.close(ends.completion)
            os.close(ends.stderr)
            raise SpawnError(_explain(problem, order)) from problem
        finally:
            os.close(ends.held)
            os.close(ends.printing)
        process = self._process(pid, order, ends, listener)
        process.watch(pidfd, self.children)
        return process

    def _process(self, pid: int, order: Order, ends: "_Ends", listener: Listener) -> "JobProcess":
        if order.stderr_fd < 0:
            stderr, stderr_id = ends.stderr, identity(ends.stderr)
        else:
            os.close(ends.stderr)
            stderr, stderr_id = -1, identity(order.stderr_fd)
        return JobProcess(self._readers, listener, pid, ends.completion, stderr, stderr_id)

    def _launch(self, order: Order, ends: "_Ends", listener: Listener) -> "JobProcess | None":
        """Have the launcher start it, if there is one that can."""
        if self._launcher is None:
            return None
        argv, env = order.argv, order.env
        try:
            program = self._programs.find(argv[0], env)
        except FileNotFoundError:
            return None
        if not program.startswith(b"/"):
            # It was found from where we are; the launcher looks for it where the script is to run.
            program = b""
        limits = self._limiter.needed(order.limits)
        message = encode(program, order.cwd, argv, env, order.umask, order.nice, limits, order.inherited)
        printing = ends.printing if order.stderr_fd < 0 else order.stderr_fd
        files = (order.stdout_fd, printing, ends.held, *order.inherited)
        starting: list[JobProcess] = []
        if not self._launcher.launch(message, files, lambda answer: self._launched(starting[0], order, answer)):
            return None
        starting.append(self._process(NOBODY, order, ends, listener))
        return starting[0]

    def _launched(self, process: "JobProcess", order: Order, answer: Answer) -> None:
        pid, number, in_cwd = answer
        if number:
            if pid:
                os.waitpid(pid, 0)
            self._programs.forget()
            process.fail(_explain(OSError(number, os.strerror(number), order.cwd if in_cwd else None), order))
            return
        self.children.add(pid)
        try:
            pidfd = self._pidfd(pid)
        except OSError as problem:
            process.fail(_explain(problem, order))
        else:
            process.begin(pid, pidfd, self.children)

    def _execute(self, order: Order, ends: "_Ends") -> int:
        imposed, lent = self._limiter.plan(order.limits, max(ends))
        if imposed:
            return self._execute_behind_gate(order, ends, imposed)
        if lent:
            with self._limiter.lending(lent):
                return self._spawn(order.argv, order, ends, self._null)
        return self._spawn(order.argv, order, ends, self._null)

    def _execute_behind_gate(self, order: Order, ends: "_Ends", imposed: Changes) -> int:
        gate, opener = os.pipe2(os.O_CLOEXEC)
        try:
            pid = self._spawn(GATE + order.argv, order, ends, gate)
            try:
                self._limiter.impose(pid, imposed)
            except BaseException:
                self._kill(pid)
                raise
            os.write(opener, b"\n")
        finally:
            os.close(gate)
            os.close(opener)
        return pid

    def _spawn(self, argv: tuple[bytes, ...], order: Order, ends: "_Ends", stdin: int) -> int:
        """Start the program, and return its pid, with the order's working directory and umask.

        posix_spawn(3) can set neither, so the server lends its own for a moment (no other thread of it depends on them)
        and goes back. Its cost does not grow with our memory, and is 50 us less than Popen's. What is not named here
        must close on exec, as all that Python and the loops open does.
        """
        if order.umask != self._umask:
            os.umask(order.umask)
        try:
            os.chdir(order.cwd)
            try:
                pid = _spawn(self._programs.find(argv[0], order.env), argv, order, ends, stdin)
            except (FileNotFoundError, PermissionError):
                # Perhaps it is somewhere else now.
                self._programs.forget()
                pid = _spawn(self._programs.find(argv[0], order.env), argv, order, ends, stdin)
        finally:
            if order.umask != self._umask:
                os.umask(self._umask)
            os.fchdir(self._home)
        self.children.add(pid)
        if order.nice != self._nice:
            # Less nice than we are it can only be made by root.
            with suppress(PermissionError, ProcessLookupError):
                os.setpriority(os.PRIO_PGRP, pid, order.nice)
        return pid

    def _pidfd(self, pid: int) -> int:
        try:
            return os.pidfd_open(pid)
        except OSError:
            self._kill(pid)
            raise

    def _kill(self, pid: int) -> None:
        """End a job that nobody waits for, and reap it."""
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.children.discard(pid)


NOBODY = -1
"""The pid of a job that is being started."""
_NOT_STARTED = 127


class JobProcess:
    """A running or ended job. `status` is None until the script's end is known. `stderr`: the end to read of what it
    prints; -1: it prints elsewhere.
    """

    __slots__ = (
        "_completion", "_listener", "_readers", "_stderr",
        "leaves_holders", "pid", "status", "stderr_id", "usage",
    )  # fmt: skip

    def __init__(
        self,
        readers: Readers,
        listener: Listener,
        pid: int,
        completion: int,
        stderr: int,
        stderr_id: PipeId,
    ) -> None:
        self._readers = readers
        self._listener: Listener | None = listener
        self._completion = completion
        self._stderr = stderr
        self.pid = pid
        """Also the number of the job's process group."""
        self.status: int | None = None
        self.usage: struct_rusage | None = None
        """What the script, and what it waited for, has used: known with `status`."""
        self.stderr_id = stderr_id
        """Tells a nested client whose descriptor 2 is still this job's from one that was redirected."""
        self.leaves_holders = False
        """The job is over, and processes that it started live on with descriptors of its."""
        readers.add(completion, self._on_completion)
        if stderr >= 0:
            readers.add(stderr, self._on_stderr)

    @property
    def spared(self) -> frozenset[int]:
        """Process groups and sessions that it shares with strangers: being in one makes nobody part of the job."""
        return frozenset()

    @property
    def completion_id(self) -> PipeId:
        """Whoever has this pipe open holds it; NOWHERE: nobody does."""
        return identity(self._completion) if self._completion >= 0 else NOWHERE

    def begin(self, pid: int, pidfd: int, children: set[int]) -> None:
        """It has been started."""
        self.pid = pid
        self.watch(pidfd, children)
        if self._listener is not None:
            self._listener.started()
        else:
            # Given up meanwhile.
            self.signal_group(signal.SIGKILL)

    def fail(self, text: str) -> None:
        """It could not be started."""
        listener, self._listener, self.status = self._listener, None, _NOT_STARTED
        self._close_completion()
        self._discard_stderr()
        if listener is not None:
            listener.not_started(text)

    def watch(self, pidfd: int, children: set[int]) -> None:
        """It is a child of ours, in `children` until it is reaped; takes over `pidfd`."""
        self._readers.add(pidfd, partial(self._on_exit, pidfd, children))

    @property
    def is_over(self) -> bool:
        """The script has ended and nobody holds the completion pipe."""
        return self.status is not None and self._completion < 0

    def drain_stderr(self) -> None:
        """Tell the listener all that has been printed so far, now: before something else is put into the log."""
        for _ in range(_DRAIN_READS):
            if not self._on_stderr():
                return

    def signal_group(self, number: int) -> bool:
        """Send a signal to the job's process group; False when there is none of that number that is surely ours.

        Once the script has been reaped its pid may belong to somebody else, so nothing is sent then.
        """
        if self.status is not None or self.pid == NOBODY:
            return False
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def release(self) -> None:
        """Wait for those no longer who hold the completion pipe after the script's end; what they write is ignored."""
        self.leaves_holders = True
        self._close_completion()
        if self.status is not None:
            self._finish()

    def let_go(self) -> None:
        """Stop listening: nothing more is told, nobody's writes fail, and the script is reaped when it ends."""
        self._listener = None
        self._close_completion()
        self._discard_stderr()

    def _on_exit(self, pidfd: int, children: set[int]) -> None:
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            return
        children.discard(pid)
        self._readers.drop(pidfd)
        os.close(pidfd)
        self.usage = usage
        self._ended(os.waitstatus_to_exitcode(status))

    def _ended(self, status: int) -> None:
        listener, self.status = self._listener, status
        # Whoever is told of the end wants to know whether the script was the last to hold the pipe.
        if self._completion >= 0:
            self._on_completion()
        else:
            self._finish()
        if listener is not None:
            listener.exited(status)

    def _on_completion(self) -> None:
        # What a script writes to a descriptor it does not know means nothing.
        if _read(self._completion) != b"":
            return
        listener = self._listener
        self._close_completion()
        if self.status is not None:
            self._finish()
        if listener is not None:
            listener.pipe_closed()

    def _on_stderr(self) -> bool:
        """Read once; whether there may be more."""
        if self._stderr < 0:
            return False
        data = _read(self._stderr)
        if data == b"":
            self._readers.drop(self._stderr)
            os.close(self._stderr)
            self._stderr = -1
        elif data is not None and self._listener is not None:
            self._listener.printed(data)
        return bool(data)

    def _finish(self) -> None:
        """It is over: nothing that is printed from now on is told."""
        self.drain_stderr()
        self._discard_stderr()
        # The listener refers to us, and what refers to each other waits for the collector.
        self._listener = None

    def _close_completion(self) -> None:
        if self._completion >= 0:
            self._readers.drop(self._completion)
            os.close(self._completion)
            self._completion = -1

    def _discard_stderr(self) -> None:
        """A detached process that kept descriptor 2 must not get SIGPIPE, so its end is read while we live."""
        if self._stderr >= 0:
            self.leaves_holders = True
            # This takes the place of the reader that refers to the job, so nothing of the job is kept alive.
            self._readers.add(self._stderr, partial(_discard, self._readers, self._stderr))
            self._stderr = -1


class _Ends(NamedTuple):
    """The pipes of a job: ours to read (`completion`, `stderr`), the job's to write (`held`, `printing`)."""

    completion: int
    held: int
    stderr: int
    printing: int


def _open_ends() -> _Ends:
    # Nobody is to write to the first, so the job's end may be non-blocking, too; a script's stderr must not be.
    completion, held = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        stderr, printing = os.pipe2(os.O_CLOEXEC)
    except OSError:
        os.close(completion)
        os.close(held)
        raise
    os.set_blocking(stderr, False)
    return _Ends(completion, held, stderr, printing)


def _spawn(program: bytes, argv: tuple[bytes, ...], order: Order, ends: _Ends, stdin: int) -> int:
    return os.posix_spawn(
        program,
        argv,
        order.env,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, order.stdout_fd, 1),
            (os.POSIX_SPAWN_DUP2, ends.printing if order.stderr_fd < 0 else order.stderr_fd, 2),
            # Last: in the job it may take the place of one of the others.
            (os.POSIX_SPAWN_DUP2, ends.held, LOWEST_PIPE),
        ],
        setpgroup=0,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
    )


def identity(number: int) -> PipeId:
    found = os.fstat(number)
    return PipeId(found.st_dev, found.st_ino)


def _read(number: int) -> bytes | None:
    """Empty at end of file, None when there is nothing yet."""
    try:
        return os.read(number, _READ_SIZE)
    except BlockingIOError:
        return None


def _discard(readers: Readers, number: int) -> None:
    if _read(number) == b"":
        readers.drop(number)
        os.close(number)


def _explain(problem: Exception, order: Order) -> str:
    program, cwd = os.fsdecode(order.argv[0]), os.fsdecode(order.cwd)
    if not isinstance(problem, OSError):
        return f"cannot start {program}: {problem}; look at the environment and the arguments of this command"
    in_cwd = problem.filename == order.cwd
    match problem.errno:
        case errno.ENOENT | errno.ENOTDIR if in_cwd:
            return f"cannot start {program}: the directory {cwd} does not exist any more"
        case errno.EACCES if in_cwd:
            return f"cannot start {program}: no permission to enter the directory {cwd}"
        case errno.ENOENT | errno.ENOTDIR:
            path = os.fsdecode(order.env.get(b"PATH", os.fsencode(os.defpath)))
            return f"cannot start {program}: not found (PATH is {path}); correct the script's #! line, or PATH"
        case errno.EACCES:
            return (
                f"cannot start {program}: it may not be executed; correct the script's #! line, or the program's mode"
            )
        case errno.E2BIG:
            size = sum(map(len, order.argv)) + sum(len(key) + len(value) + 2 for key, value in order.env.items())
            return f"cannot start {program}: arguments and environment are too long ({size} bytes); export less"
        case errno.EMFILE | errno.ENFILE:
            return f"cannot start {program}: out of file descriptors; use a lower -j, or raise the limit (ulimit -n)"
        case errno.EAGAIN:
            return f"cannot start {program}: too many processes; use a lower -j, or raise the limit (ulimit -u)"
        case _:
            return f"cannot start {program}: {problem.strerror}"
