"""Starting jobs: by the launcher where there is one, else by posix_spawn(3).

It owns what all jobs share, and the words for what cannot be started. What happens to a job then is a matter of its
process (`redod.jobs.process`).
"""

import errno
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from redod.jobs.cgroups import Cgroups, delegated
from redod.jobs.launcher import Answer, Launcher, encode
from redod.jobs.limits import GATE, Changes, Limiter, Limits
from redod.jobs.process import NOBODY, JobProcess, Listener, identity
from redod.jobs.programs import Programs
from redod.readers import Readers

LOWEST_PIPE = 50
"""The completion pipe's write end gets this number in a job; where its client starts it, this or a higher one. Scripts'
own 3-9 never clash with it.
"""


class SpawnError(Exception):
    """A job could not be started. The text says why and what to do; `os.fsencode` gives its bytes back."""


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
        # Only the launcher can start a script in one.
        self._cgroups = Cgroups(delegated() if self._launcher is not None else b"")

    @property
    def cgroup(self) -> bytes:
        """The directory of the one that those of jobs are made in; empty: they have none."""
        return self._cgroups.parent

    def settle(self) -> None:
        """Return when all that was started has its pid: for whoever looks for processes."""
        if self._launcher is not None:
            self._launcher.settle()

    def close(self) -> None:
        """Close what all jobs share. Jobs that run are not touched."""
        if self._launcher is not None:
            self._launcher.close()
        self._cgroups.let_go()
        os.close(self._null)
        os.close(self._home)

    def start(self, order: Order, listener: Listener) -> JobProcess:
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

    def give_back(self, process: JobProcess) -> None:
        """The job is over, also where some of its processes live on."""
        self._cgroups.give_back(process.cgroup)
        process.cgroup = None

    def rest(self) -> None:
        """No job runs: keep nothing that the next ones can have made again."""
        self._cgroups.let_go()

    def _process(self, pid: int, order: Order, ends: "_Ends", listener: Listener) -> JobProcess:
        if order.stderr_fd < 0:
            stderr, stderr_id = ends.stderr, identity(ends.stderr)
        else:
            os.close(ends.stderr)
            stderr, stderr_id = -1, identity(order.stderr_fd)
        return JobProcess(self._readers, listener, pid, ends.completion, stderr, stderr_id)

    def _launch(self, order: Order, ends: "_Ends", listener: Listener) -> JobProcess | None:
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
        cgroup = self._cgroups.take()
        places = (cgroup.number,) if cgroup is not None else ()
        message = encode(program, order.cwd, argv, env, order.umask, order.nice, limits, order.inherited, len(places))
        printing = ends.printing if order.stderr_fd < 0 else order.stderr_fd
        files = (order.stdout_fd, printing, ends.held, *order.inherited, *places)
        starting: list[JobProcess] = []
        if not self._launcher.launch(message, files, lambda answer: self._launched(starting[0], order, answer)):
            self._cgroups.give_back(cgroup)
            return None
        process = self._process(NOBODY, order, ends, listener)
        process.cgroup = cgroup
        starting.append(process)
        return process

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
        case errno.ECONNABORTED:
            return f"cannot start {program}: somebody has ended `redod launch`, which was to do it; build again"
        case _:
            return f"cannot start {program}: {problem.strerror}"
