#!/bin/sh
# fmt: off
"""":
# The thin client of redod in Python, for where there is no C compiler: the same as the C files beside it, part by part.
# It is installed under every command name. It hands its invocation to the server, relays what comes back and ends as
# the server says (docs/protocol.md); what the commands mean is not known here. Every import costs each call of a build,
# so there are only built-in modules. To Python this is a docstring; sh runs it to find the interpreter of this install:
# the virtual environment's, which may have been moved, else that of the script redod-server, else any.
case $0 in */*) bin=${0%/*} ;; *) bin=. ;; esac
[ -h "$0" ] && bin=$(readlink -f -- "$0") && bin=${bin%/*}
python=$bin/python3
if ! [ -e "$bin/../pyvenv.cfg" ]; then
    python=
    [ -r "$bin/redod-server" ] && read -r python < "$bin/redod-server"
    python=${python#??}
    case $python in */python*) ;; *) python=$(command -v python3) ;; esac
fi
[ -x "$python" ] && exec "$python" -I -S -X utf8 "$0" "$@"
echo "${0##*/}: cannot run ${python:-python3}: it is missing; install redod again" >&2
exit 1
"""
# fmt: on

import _signal  # type: ignore[import-not-found]  # typeshed leaves it out; `signal` would import enum and its dozens
import _socket
import errno
import posix
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

VERSION = "0.1.0"
ARGUMENTS_MAX = 16 << 20
"""Bytes of arguments and environment together."""

FAILED, USAGE = 1, 2
HEAD, CHUNK, BACKLOG = 5, 65536, 4096
PAYLOAD_MAX = CHUNK + 1
INVOKE, SIGNAL, STDIN, WINSIZE, JOB_STARTED, JOB_ENDED, SETTLED = 1, 2, 3, 4, 5, 6, 7
OUTPUT, READ_STDIN, EXIT, REFUSED, STATUS, ALONE, START_JOB, SETTLE, GO_ON = range(16, 25)
PROTOCOL, NUMBER_OF_LIMITS = b"\0\1\0\1", 16
FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT)

SERVER_KEEPS = (
    b"HOME=", b"USER=", b"LOGNAME=", b"PATH=", b"LANG=", b"LC_", b"TZ=", b"TMPDIR=",
    b"XDG_RUNTIME_DIR=", b"XDG_STATE_HOME=", b"CI=", b"REDOD_",
)  # fmt: skip

USAGE_TEXT = b"""\
usage: redod COMMAND
  run              serve in the foreground, log to standard error
  status [--json]  what the server is doing
  stop             end the server and its services; --keep-services: only the server
  doctor           what keeps the server from knowing of changes, and what to do
  verify           look at every file that counts as unchanged; status 1: one has changed
  subscribe        print what happens in all sessions, a line of JSON for each event
  services         the running processes that targets are
  service          stop|restart TARGET
  forget           start over in this workspace: everything is out of date
  gc               drop the logs of this workspace's targets that are gone
  socket           print the path of the server's socket
  units            systemd user units for this install
The redo commands start a server by themselves. redod --version prints the version.
"""

DETACH_TEXT = b"""\
usage: redo-detach [--log FILE] [--pidfile FILE] COMMAND [ARGUMENT]...
Start COMMAND so that it outlives the script that calls this and does not hold its target: in a session of its
own, its input and output /dev/null, and nothing else open. Returns once it runs, and fails if it cannot run.

  --log FILE      append its output to FILE
  --pidfile FILE  write its pid, which is also the number of its process group, to FILE
"""
IN_SCOPE = b"--in-scope"
"""How systemd-run calls us: TOLD is open, and the rest is done."""
TOLD = 3
"""The detached child's descriptor through which we learn what became of it."""
MANAGER_PATIENCE = 5000
"""Milliseconds for systemd to make a scope."""


class Standard:
    """Descriptors 0-2 as they were when we started."""

    open: "list[int]" = []  # noqa: RUF012 - there is one process and one state of its descriptors
    terminals = 0
    size = (0, 0)  # columns, rows
    status_shown = False  # the cursor stands at the beginning of the status line


# ---- Telling the user


def encode(text: str) -> bytes:
    """A name from the interpreter (argv) as the bytes it was."""
    return text.encode(sys.getfilesystemencoding(), "surrogateescape")


def fail(status: int, text: "bytes | str") -> "NoReturn":
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogateescape")
    hide_status()
    if 2 in Standard.open:
        try:  # noqa: SIM105 - contextlib is an import
            posix.write(2, command + b": " + text + b"\n")
        except OSError:
            pass  # there is nobody left to tell
    posix._exit(status)


def die_by(number: int) -> "NoReturn":
    import resource

    hide_status()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number])
    except (OSError, ValueError):
        pass  # SIGKILL has no disposition to set
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)


def reason(error: OSError) -> bytes:
    return posix.strerror(error.errno or 0).encode()


# ---- Descriptors 0-2


def examine_standard_descriptors() -> None:
    Standard.open = []
    for fd in (0, 1, 2):
        try:
            Standard.size = posix.get_terminal_size(fd)
            Standard.terminals |= 1 << fd
        except OSError as error:
            if error.errno == errno.EBADF:
                continue
        Standard.open.append(fd)


def occupy_standard_descriptors() -> None:
    """Nothing that is opened later may become descriptor 0, 1 or 2."""
    if len(Standard.open) == 3:
        return
    while (fd := posix.open("/dev/null", posix.O_RDWR)) <= 2:
        posix.set_inheritable(fd, True)
    posix.close(fd)


def hide_status() -> None:
    """To the end of the screen: a terminal that was made narrower may have broken the line. Handlers call it, too."""
    if Standard.status_shown:
        Standard.status_shown = False
        try:  # noqa: SIM105 - contextlib is an import
            posix.write(2, b"\r\033[J")
        except OSError:
            pass  # the terminal is gone


def show_status(line: "bytes | memoryview") -> None:
    """Show a line below the output, in place of the last one. The cursor goes back to its beginning, so that what
    others write comes in its place. In the background the terminal is somebody else's.
    """
    try:
        is_ours = posix.tcgetpgrp(2) == posix.getpgrp()
    except OSError:
        is_ours = True  # not our session's terminal
    if not line or not is_ours:
        hide_status()
        return
    Standard.status_shown = False
    write_output(2, b"\r" + bytes(line) + b"\033[J\r")
    Standard.status_shown = True


def write_output(fd: int, data: "bytes | memoryview") -> None:
    """A closed reader of standard output ends us as it ends any filter. One of standard error only loses the text."""
    hide_status()
    while data and fd in Standard.open:
        try:
            data = memoryview(data)[posix.write(fd, data) :]
        except BlockingIOError:  # O_NONBLOCK is the caller's, and stays
            poller = select.poll()
            poller.register(fd, select.POLLOUT)
            poller.poll()
        except OSError as error:
            if fd == 2:
                Standard.open.remove(2)
            elif error.errno == errno.EPIPE:
                die_by(_signal.SIGPIPE)
            else:
                fail(FAILED, b"cannot write to standard output: " + reason(error))


# ---- Where things are


def read_file(path: str) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    parts = []
    while part := posix.read(fd, 1 << 20):
        parts.append(part)
    posix.close(fd)
    return b"".join(parts)


def environment() -> bytes:
    """The `NAME=value` strings as they were passed, each with its NUL: Python itself may have set LC_CTYPE since."""
    try:
        return read_file("/proc/self/environ")
    except OSError:
        return b"".join(b"%s=%s\0" % item for item in posix.environ.items())


def bindir() -> bytes:
    """The directory of this file, symbolic links resolved, by the kernel."""
    fd = posix.open(encode(sys.argv[0]), posix.O_PATH | posix.O_CLOEXEC)
    path = posix.readlink(b"/proc/self/fd/%d" % fd)
    posix.close(fd)
    return path[: path.rindex(b"/")]


def fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def install_id() -> bytes:
    """Names this install: another version, or the same one installed again, must have its own server."""
    directory = bindir()
    try:
        mtime = posix.stat(directory + b"/redo").st_mtime_ns
    except OSError:
        mtime = 0
    return b"%016x" % fnv1a(b"%s\0%s\0%d" % (directory, VERSION.encode(), mtime))


def is_mine(directory: bytes, forbidden: int) -> bool:
    try:
        found = posix.stat(directory)
    except OSError:
        return False
    return found.st_mode & 0o170000 == 0o040000 and found.st_uid == posix.geteuid() and not found.st_mode & forbidden


def path_variable(name: bytes) -> bytes:
    """An environment variable that holds an absolute path, else nothing (the rule of the XDG base directories)."""
    value = posix.environ.get(name, b"")
    return value if value.startswith(b"/") else b""


def runtime_directory() -> bytes:
    """The directory of the default socket."""
    given = path_variable(b"XDG_RUNTIME_DIR")
    if given and is_mine(given, 0):
        return given + b"/redod"
    usual = b"/run/user/%d" % posix.geteuid()
    if is_mine(usual, 0o077):
        return usual + b"/redod"
    return b"%s/redod-%d" % (path_variable(b"TMPDIR") or b"/tmp", posix.geteuid())


def check_private(directory: bytes) -> bool:
    """Who could write there could hand us a server of his own. Returns whether the directory exists."""
    try:
        found = posix.lstat(directory)
    except FileNotFoundError:
        return False
    if found.st_mode & 0o170000 != 0o040000:
        fail(FAILED, directory + b" is not a directory; remove it, or set REDOD_SOCKET")
    if found.st_uid != posix.geteuid():
        owner = (directory, found.st_uid)
        fail(FAILED, b"%s belongs to user %d, not to you; remove it, or set REDOD_SOCKET" % owner)
    if found.st_mode & 0o077:
        fail(FAILED, directory + b" is open to others; chmod 700 it, or set REDOD_SOCKET")
    return True


def socket_path() -> "tuple[bytes, bytes]":
    """The socket's path, and the private directory to make for it; empty for a path that the user gave."""
    given = posix.environ.get(b"REDOD_SOCKET", b"")
    if given and not given.startswith(b"/"):
        fail(USAGE, b"REDOD_SOCKET is " + given + b"; it must be an absolute path")
    if given:
        return given, b""
    directory = runtime_directory()
    return b"%s/%s.sock" % (directory, install_id()), directory


def private_path() -> "tuple[bytes, bytes]":
    """The socket of an instance that serves this one invocation."""
    directory = runtime_directory()
    return b"%s/alone-%d.sock" % (directory, posix.getpid()), directory


def log_path(path: bytes) -> bytes:
    return path.removesuffix(b".sock") + b".log"


# ---- Connecting


def address_of(path: bytes) -> "tuple[bytes, int]":
    """What to connect or bind to, and a descriptor to close afterwards: unix(7) allows 108 bytes at most."""
    if len(path) < 108:
        return path, -1
    directory, _, name = path.rpartition(b"/")
    held = posix.open(directory or b"/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    address = b"/proc/self/fd/%d/%s" % (held, name)
    if len(address) >= 108:
        fail(FAILED, b"the socket's name " + name + b" is too long; set REDOD_SOCKET to a shorter one")
    return address, held


def connect_server(path: bytes) -> "_socket.socket | None":
    held = -1
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        address, held = address_of(path)
        server.connect(address)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ECONNREFUSED):
            fail(FAILED, b"cannot connect to %s: %s; is it another user's?" % (path, reason(error)))
        server.close()
        return None
    finally:
        if held >= 0:
            posix.close(held)
    return server


# ---- Starting the server


ELSEWHERE = b"; set REDOD_SOCKET to another place"


def make_private(directory: bytes) -> None:
    try:
        if directory:
            posix.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        fail(FAILED, b"cannot make " + directory + b": " + reason(error) + ELSEWHERE)
    if directory:
        check_private(directory)


def take_lock(path: bytes, directory: bytes) -> int:
    """The directory may still have to be made. Returns a descriptor that holds the lock until it is closed."""
    import fcntl

    make_private(directory)
    try:
        flags = posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOFOLLOW
        lock = posix.open(path + b".lock", flags, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        fail(FAILED, b"cannot lock " + path + b".lock: " + reason(error) + ELSEWHERE)
    return lock


def listen_at(path: bytes) -> int:
    """Only with the lock held, and after an attempt to connect: then a socket at that path is a dead server's."""
    listening = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    address, held = address_of(path)
    try:
        if posix.lstat(path).st_mode & 0o170000 == 0o140000:
            posix.unlink(path)
    except FileNotFoundError:
        pass
    try:
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        fail(FAILED, b"cannot listen at %s: %s; remove what is there, or set REDOD_SOCKET" % (path, reason(error)))
    if held >= 0:
        posix.close(held)
    return listening.detach()


def server_program() -> "list[bytes]":
    """The server's command: the venv's Python, else the script that the installer gave the right interpreter."""
    directory = bindir()
    program = [directory + b"/redod-server"]
    if posix.access(directory + b"/../pyvenv.cfg", posix.F_OK):
        program = [directory + b"/python3", b"-I", b"-X", b"utf8", b"-m", b"redod"]
    if not posix.access(program[0], posix.X_OK):
        fail(FAILED, b"cannot run " + program[0] + b": it is missing; install redod again")
    return program


def restore_signals() -> None:
    """That the interpreter ignores two signals at its start is not inherited."""
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)


def exec_server(program: "list[bytes]", arguments: "list[bytes]", environ: "dict[bytes, bytes]") -> "NoReturn":
    """Become `redod ARGUMENTS` in Python."""
    restore_signals()
    try:
        posix.execve(program[0], program + arguments, environ)
    except OSError as error:
        fail(FAILED, b"cannot run " + program[0] + b": " + reason(error) + b"; install redod again")


def variables(strings: bytes) -> "dict[bytes, bytes]":
    pairs = (string.partition(b"=") for string in strings.split(b"\0"))
    return {name: value for name, equals, value in pairs if equals and name}


def prepare_server(listening: int, path: bytes, environ: "dict[bytes, bytes]") -> None:
    """Pass the listening socket on as systemd does: sd_listen_fds(3). Signals ignored or blocked are the caller's."""
    for number in _signal.valid_signals():
        if number not in (_signal.SIGKILL, _signal.SIGSTOP):
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    posix.dup2(listening, 3)
    posix.set_inheritable(3, True)
    posix.closerange(4, posix.sysconf("SC_OPEN_MAX"))
    environ.update({b"LISTEN_FDS": b"1", b"LISTEN_PID": b"%d" % posix.getpid(), b"REDOD_SOCKET": path})


def become_daemon(
    program: "list[bytes]", arguments: "list[bytes]", listening: int, log: int, path: bytes
) -> "NoReturn":
    null = posix.open("/dev/null", posix.O_RDWR)
    posix.chdir("/")
    posix.umask(0o077)
    posix.dup2(null, 0)
    posix.dup2(null, 1)
    posix.dup2(log, 2)
    Standard.open = [0, 1, 2]
    kept = variables(b"\0".join(item for item in environment().split(b"\0") if item.startswith(SERVER_KEEPS)))
    prepare_server(listening, path, kept)
    exec_server(program, arguments, kept)


def spawn_server(program: "list[bytes]", arguments: "list[bytes]", listening: int, path: bytes) -> None:
    """Two forks: the server is no child of ours, and being no session leader it cannot come by a terminal."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC | posix.O_NOFOLLOW
    log = posix.open(log_path(path), flags, 0o600)
    child = posix.fork()
    if child == 0:
        posix.setsid()
        if posix.fork() == 0:
            become_daemon(program, arguments, listening, log, path)
        posix._exit(0)
    if posix.waitpid(child, 0)[1] != 0:
        fail(FAILED, "cannot start the server: fork failed; end some processes and try again")
    posix.close(log)


def listen_and_spawn(arguments: "list[bytes]", path: bytes) -> "_socket.socket":
    """Connect first: a server without a client, and one that serves but one, may end at once."""
    program = server_program()
    listening = listen_at(path)
    server = connect_server(path)
    if server is None:
        fail(FAILED, b"the server's socket " + path + b" is gone; try again")
    spawn_server(program, arguments, listening, path)
    posix.close(listening)
    return server


def start_server(path: bytes, directory: bytes) -> "_socket.socket":
    """The lock makes one of many clients start the server; the kernel queues us until it accepts, so nobody polls."""
    mask = posix.umask(0o077)
    lock = take_lock(path, directory)
    server = connect_server(path)
    if server is None:
        server = listen_and_spawn([b"run"], path)
    posix.close(lock)
    posix.umask(mask)
    return server


def start_private_server(path: bytes, directory: bytes) -> "_socket.socket":
    """An instance for this invocation, and what its scripts ask for."""
    mask = posix.umask(0o077)
    make_private(directory)
    server = listen_and_spawn([b"run", b"--alone"], path)
    posix.umask(mask)
    return server


# ---- The invocation


def unsigned(size: int, value: int) -> bytes:
    return (value & (1 << 8 * size) - 1).to_bytes(size, "big")


def working_directory() -> bytes:
    try:
        return posix.getcwdb()
    except FileNotFoundError:
        fail(FAILED, "the current directory no longer exists; change to one that does")
    except OSError as error:
        fail(FAILED, b"cannot find the current directory: " + reason(error) + b"; change to another one")


def limits() -> bytes:
    import resource

    every = (limit for i in range(NUMBER_OF_LIMITS) for limit in resource.getrlimit(i))
    return b"".join(unsigned(8, limit) for limit in every)


def field(tag: int, value: bytes) -> bytes:
    return unsigned(1, tag) + unsigned(4, len(value)) + value


def frame(kind: int, payload: bytes) -> bytes:
    return unsigned(4, len(payload)) + unsigned(1, kind) + payload


def find_jobserver() -> "list[int]":
    """The ends of the jobserver of the make around us, unless it has none, or has closed it for us (a recipe without a
    +): then what it names may be anything. In a script the server knows it all.
    """
    flags, found = posix.environ.get(b"MAKEFLAGS", b""), b""
    if not flags or posix.environ.get(b"REDO_JOB"):
        return []
    for word in flags.split(b" "):
        option, _, value = word.partition(b"=")
        if word == b"--":
            break
        if option in (b"--jobserver-auth", b"--jobserver-fds"):
            found = value
    try:
        ends = [int(end) for end in found.split(b",")]
        one, other = [posix.fstat(end) for end in ends]
    except (ValueError, OSError, OverflowError):
        return []
    is_pipe = one.st_mode & 0o170000 == other.st_mode & 0o170000 == 0o010000
    return ends if is_pipe and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) else []


def invocation(arguments: "list[bytes]", cwd: bytes, has_jobserver: bool) -> bytes:
    mask = posix.umask(0)
    posix.umask(mask)
    args = b"".join(argument + b"\0" for argument in arguments)
    environ = environment()
    if len(args) + len(environ) > ARGUMENTS_MAX:
        text = "arguments and environment are longer than %d bytes; name fewer targets at once"
        fail(USAGE, text % ARGUMENTS_MAX)
    columns, rows = Standard.size
    values = [
        PROTOCOL,
        VERSION.encode(),
        command,
        args,
        cwd,
        environ,
        unsigned(4, mask),
        limits(),
        unsigned(1, sum(1 << fd for fd in Standard.open)),
        unsigned(1, Standard.terminals) + unsigned(2, rows) + unsigned(2, columns),
        *[b""] * has_jobserver,
    ]
    return frame(INVOKE, b"".join(field(tag, value) for tag, value in enumerate(values, 1)))


def send_invocation(server: "_socket.socket", message: bytes, descriptors: "list[int]") -> bool:
    """The descriptors go with the first byte. False where the server has closed; it may have said why: that is read
    later.
    """
    fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in descriptors)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)] if fds else []
    left = memoryview(message)
    try:
        while left:
            left = left[server.sendmsg([left], rights) :]
            rights = []
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ECONNRESET):
            fail(FAILED, b"cannot talk to the server: " + reason(error))
    return not left


# ---- A job that has the terminal


def start_job(order: bytes, beside: "list[int]") -> "tuple[int, int]":
    """The server says what to run, and it becomes a child of ours, in our process group, so that the terminal treats it
    like us. Returns its pid and 0, or 0 and an errno. The descriptors stay the caller's.
    """
    mask, argc, envc = (int.from_bytes(order[i : i + 4], "big") for i in (0, 4, 8))
    text = posix.pread(beside[2], posix.fstat(beside[2]).st_size, 0)
    cwd, *strings = text.split(b"\0")[:-1]
    argv, environ = strings[:argc], variables(b"\0".join(strings[argc : argc + envc]))
    told, tell = posix.pipe2(posix.O_CLOEXEC)
    child = posix.fork()
    if child == 0:
        try:
            become_job(beside, mask, cwd, argv, environ)
        except OSError as error:
            posix.write(tell, unsigned(4, error.errno or 0))
        posix._exit(127)
    posix.close(tell)
    failure = int.from_bytes(posix.read(told, 4), "big")
    posix.close(told)
    if failure:
        posix.waitpid(child, 0)
        child = 0
    return child, failure


def become_job(
    beside: "list[int]", mask: int, cwd: bytes, argv: "list[bytes]", environ: "dict[bytes, bytes]"
) -> "NoReturn":
    """In the child. Signals that we catch get their defaults back by execve(2)."""
    import fcntl

    posix.dup2(beside[1], 1)
    # At 50 or above the completion pipe never clashes with a script's own descriptors.
    fcntl.fcntl(beside[0], fcntl.F_DUPFD, 50)
    posix.chdir(cwd)
    posix.umask(mask)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGCHLD, _signal.SIGINT, _signal.SIGQUIT])
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    program = argv[0]
    if b"/" not in program:
        directories = environ.get(b"PATH", b"/bin:/usr/bin").split(b":")
        programs = [(directory or b".") + b"/" + program for directory in directories]
        program = next((path for path in programs if posix.access(path, posix.X_OK)), programs[-1])
    posix.execve(program, argv, environ)


# ---- The connection, once the invocation is sent


class AloneError(Exception):
    """The server says that the invocation needs an instance of its own."""


class UnreadError(Exception):
    """The server has gone, and cannot have acted on the invocation: it was not all sent, or not all read."""


class Relay:
    """Signals and standard input one way, output the other. A signal's frame never goes into the middle of another.

    `sent`: the whole invocation was; `again`: it may be sent to another server.
    """

    def __init__(self, server: "_socket.socket", path: bytes, sent: bool, again: bool) -> None:
        self.server = server
        self.path = path
        self.sent = sent
        self.again = again
        self.asked = False  # READ_STDIN came
        self.streaming = False  # and the end was not sent yet
        self.left = memoryview(b"")  # of the STDIN frame on its way
        self.last = False  # it is the end of the input
        self.waiting: list[bytes] = []  # frames of signals that came while a STDIN frame was partly sent
        self.caught = [number for number in FORWARDED if _signal.getsignal(number) != _signal.SIG_IGN]
        self.wakeup = -1
        self.interrupted = False
        self.goes_on = False
        self.catches_stop = False
        self.jobs = 0  # children that have the terminal
        self.kept = 0  # a signal that they got, too
        self.beside: list[int] = []  # descriptors that came, for the next START_JOB

    def catch_signals(self) -> None:
        """Only with the invocation sent: until here to die is the right answer to a signal.

        Python runs handlers between two bytecodes: without the pipe a signal just before poll(2) would go unseen.
        """
        self.wakeup, told = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        for number in self.caught:
            _signal.signal(number, self.on_signal)
        if Standard.terminals:
            _signal.signal(_signal.SIGWINCH, self.on_resize)

    def let_signals_kill(self) -> None:
        """Until the next invocation is sent to die is the right answer again."""
        for number in self.caught:
            _signal.signal(number, _signal.SIG_DFL)

    def leave(self) -> None:
        self.let_signals_kill()
        self.server.close()

    def on_signal(self, number: int, _frame: object) -> None:
        """Ctrl-C and Ctrl-\\ are also sent to a job of ours, which may do with them what it wants. When it has failed
        they count for us, too, as a shell does it.
        """
        if self.jobs and number in (_signal.SIGINT, _signal.SIGQUIT):
            self.kept = number
        else:
            self.take_signal(number)

    def take_signal(self, number: int) -> None:
        self.let_signals_kill()  # the next one kills at once
        self.send_between(frame(SIGNAL, unsigned(1, number)))
        self.interrupted = True
        hide_status()

    def on_child(self, _number: int, _frame: object) -> None:
        while self.jobs:
            child, status = posix.waitpid(-1, posix.WNOHANG)
            if not child:
                return
            self.jobs -= 1
            if self.kept and status:
                self.take_signal(self.kept)  # before the end, or the server might see nothing but a failure
            if status or not self.jobs:
                self.kept = 0
            self.send_between(frame(JOB_ENDED, unsigned(4, child) + unsigned(4, status)))

    def obey_start(self, order: bytes) -> None:
        _signal.signal(_signal.SIGCHLD, self.on_child)
        # Its start is told before its end, and a Ctrl-C that it gets is not taken for ours: it does not count yet.
        later = [_signal.SIGCHLD, _signal.SIGINT, _signal.SIGQUIT]
        _signal.pthread_sigmask(_signal.SIG_BLOCK, later)
        hide_status()
        child, failure = start_job(order, self.beside)
        for number in self.beside:
            posix.close(number)
        self.beside = []
        self.jobs += child > 0
        self.send_between(frame(JOB_STARTED, unsigned(4, child) + unsigned(4, failure)))
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, later)

    def receive(self) -> bytes:
        """Bytes, and the descriptors that come with them."""
        data, ancillary, _, _ = self.server.recvmsg(2 * CHUNK, _socket.CMSG_SPACE(12), _socket.MSG_CMSG_CLOEXEC)
        for _, _, rights in ancillary:
            numbers = [rights[i : i + 4] for i in range(0, len(rights), 4)]
            self.beside = [int.from_bytes(number, sys.byteorder) for number in numbers]
        return data

    def on_stop(self, number: int, _frame: object) -> None:
        """Ctrl-Z: the status line is not left on the screen, and comes back when we are continued."""
        hide_status()
        _signal.signal(number, _signal.SIG_DFL)
        posix.kill(posix.getpid(), number)
        _signal.signal(number, self.on_stop)
        self.on_resize(_signal.SIGWINCH, None)

    def obey_status(self, line: memoryview) -> None:
        if not self.catches_stop and _signal.getsignal(_signal.SIGTSTP) == _signal.SIG_DFL:
            _signal.signal(_signal.SIGTSTP, self.on_stop)
        self.catches_stop = True
        if not self.interrupted:
            show_status(line)

    def on_resize(self, _number: int, _frame: object) -> None:
        try:
            columns, rows = posix.get_terminal_size(Standard.terminals.bit_length() - 1)
        except OSError:
            return
        self.send_between(frame(WINSIZE, unsigned(2, rows) + unsigned(2, columns)))

    def send_between(self, message: bytes) -> None:
        if self.left:
            self.waiting.append(message)
            return
        self.again = False
        try:  # noqa: SIM105 - contextlib is an import
            self.server.send(message)
        except OSError:
            pass  # the server is gone, and the next read says so

    def send_input(self) -> None:
        self.again = False
        try:
            self.left = self.left[self.server.send(self.left, _socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return
        except OSError:  # the server wants no more; what it says is read next
            self.left, self.last = memoryview(b""), True
        if not self.left:
            self.streaming = not self.last
            while self.waiting:
                self.send_between(self.waiting.pop(0))

    def read_input(self) -> None:
        try:
            data = posix.read(0, CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            fail(FAILED, b"cannot read standard input: " + reason(error))
        self.last = not data
        self.left = memoryview(frame(STDIN, data))
        self.send_input()

    def wait(self) -> None:
        """Return when there is something to receive; send standard input meanwhile, if the server wants it."""
        readable = 0
        while not readable:
            poller = select.poll()
            poller.register(self.wakeup, select.POLLIN)
            poller.register(self.server, select.POLLIN | (select.POLLOUT if self.left else 0))
            if self.streaming and not self.left:
                poller.register(0, select.POLLIN)
            ready = dict(poller.poll())
            if self.wakeup in ready:
                posix.read(self.wakeup, 512)
            readable = ready.get(self.server.fileno(), 0) & ~select.POLLOUT
            if ready.get(self.server.fileno(), 0) & select.POLLOUT:
                self.send_input()
            if 0 in ready:
                self.read_input()

    def obey(self, kind: int, payload: memoryview) -> None:
        first, size = payload[0] if payload else -1, len(payload)
        if kind == OUTPUT and first in (1, 2):
            write_output(first, payload[1:])
        elif kind == READ_STDIN and size == 0 and not self.asked:
            self.asked = self.streaming = True
        elif kind == START_JOB and size == 12 and len(self.beside) == 3:
            self.obey_start(bytes(payload))
        elif kind == SETTLE and size == 0:
            self.send_between(frame(SETTLED, b""))
        elif kind == STATUS:
            self.obey_status(payload)
        elif kind == EXIT and size == 2 and first == 0:
            hide_status()
            posix._exit(payload[1])
        elif kind == EXIT and size == 2 and first == 1:
            die_by(payload[1])
        elif kind == ALONE:
            self.leave()
            if size:
                write_output(2, command + b": " + bytes(payload) + b"\n")
            raise AloneError
        elif kind == GO_ON and size == 0:
            self.goes_on = True
        elif kind == REFUSED and size >= 1:
            fail(first, bytes(payload[1:]))
        else:
            refuse_frame(kind, size)

    def obey_all(self, data: bytes) -> bytes:
        """Obey the frames that are complete; return the rest."""
        view, used = memoryview(data), 0
        while len(data) - used >= HEAD:
            size = int.from_bytes(view[used : used + 4], "big")
            if size > PAYLOAD_MAX:
                refuse_frame(view[used + 4], size)
            end = used + HEAD + size
            if end > len(data):
                break
            self.obey(view[used + 4], view[used + HEAD : end])
            used = end
        return data[used:]

    def run(self) -> "NoReturn":
        self.catch_signals()
        data = b""
        while True:
            self.wait()
            try:
                more = self.receive()
            except ConnectionResetError:
                more, self.sent = b"", False
            if not more and self.again and not self.sent:
                self.leave()
                raise UnreadError
            self.again = False
            if not more and self.goes_on and not self.interrupted:
                hide_status()
                begin_again()
            if not more:
                log = log_path(self.path)
                fail(FAILED, b"the build server (redod) ended without an answer; try again; its log: " + log)
            data = self.obey_all(data + more)


def refuse_frame(kind: int, size: int) -> "NoReturn":
    what = f"the server sent a frame of type {kind} and {size} bytes that this client does not know"
    fail(FAILED, what + "; stop the server (redod stop) and try again")


# ---- redod


def say(fd: int, text: bytes, status: int) -> "NoReturn":
    write_output(fd, text)
    posix._exit(status)


def run_server(arguments: "list[bytes]", path: bytes, directory: bytes) -> "NoReturn":
    environ = variables(environment())
    program = server_program()
    if b"LISTEN_FDS" not in environ or environ.get(b"LISTEN_PID") != b"%d" % posix.getpid():
        mask = posix.umask(0o077)
        take_lock(path, directory)  # let go by execve(2)
        if connect_server(path):
            fail(FAILED, "redod is already running; redod stop ends it")
        prepare_server(listen_at(path), path, environ)
        posix.umask(mask)
    exec_server(program, arguments, environ)


def without_server(arguments: "list[bytes]") -> None:
    """What redod does without a server; returns for the subcommands that ask a running one."""
    word = arguments[0] if arguments else b""
    if not arguments:
        say(2, USAGE_TEXT, USAGE)
    if word in (b"--help", b"-h"):
        say(1, USAGE_TEXT, 0)
    if word == b"units":
        exec_server(server_program(), arguments, variables(environment()))
    if word == b"run":
        run_server(arguments, *socket_path())
    if word == b"socket":
        say(1, socket_path()[0] + b"\n", 0)


# ---- redo-detach: a process in a session of its own and, where systemd has a manager for the user, in its own scope


class Plan:
    """What redo-detach was asked for."""

    log = pidfile = b""
    command: "list[bytes]" = []  # noqa: RUF012 - there is one process and one plan


def read_detach_options(words: "list[bytes]") -> None:
    while words and words[0].startswith(b"-"):
        option, equals, value = words.pop(0).partition(b"=")
        if option == b"--":
            break
        if option in (b"--help", b"-h"):
            say(1, DETACH_TEXT, 0)
        if option not in (b"--log", b"--pidfile"):
            fail(USAGE, b"there is no option " + option + equals + value + b"; see redo-detach --help")
        if not equals and not words:
            fail(USAGE, option + b" needs a file; see redo-detach --help")
        setattr(Plan, option[2:].decode(), value if equals else words.pop(0))
    if not words:
        fail(USAGE, "needs a command; see redo-detach --help")
    Plan.command = words


def detached_environment() -> "dict[bytes, bytes]":
    """It is no part of the job any more, nor of a make that the job may belong to."""
    own = (b"REDO_", b"MAKEFLAGS=", b"MFLAGS=", b"MAKELEVEL=")
    return variables(b"\0".join(item for item in environment().split(b"\0") if not item.startswith(own)))


def execute(words: "list[bytes]", environ: "dict[bytes, bytes]") -> "NoReturn":
    """Say that it came so far, and then, if it is still there to do so, why the command cannot be executed."""
    import os

    posix.set_inheritable(TOLD, False)
    try:
        posix.write(TOLD, (0).to_bytes(4, sys.byteorder))
        try:
            os.execvpe(words[0], words, environ)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without a #! line is sh's, as execvp(3) has it.
            posix.execve(b"/bin/sh", [b"sh", b"-c", b'exec "$@"', b"sh", *words], environ)
    except OSError as error:
        posix.write(TOLD, (error.errno or 0).to_bytes(4, sys.byteorder))
    posix._exit(127)


def become_detached(told: int, null: int, output: int, scope: bool) -> "NoReturn":
    posix.setsid()
    for number, place in ((null, 0), (output, 1), (output, 2), (told, TOLD)):
        posix.dup2(number, place)
        posix.set_inheritable(place, True)
    posix.closerange(TOLD + 1, posix.sysconf("SC_OPEN_MAX"))
    restore_signals()
    if scope:
        execute_in_scope()
    execute(Plan.command, detached_environment())


def execute_in_scope() -> "NoReturn":
    """systemd-run makes a scope around itself, and then executes us again there: the pid stays."""
    import os

    start = [b"systemd-run", b"--user", b"--scope", b"--quiet", b"--collect", b"--"]
    words = [*start, bindir() + b"/redo-detach", IN_SCOPE, *Plan.command]
    try:
        os.execvpe(words[0], words, detached_environment())
    except OSError:
        posix._exit(127)


def hear(told: int, patience: int) -> "int | None":
    """The word of the child; None when it ended, or took too long, before it said anything."""
    poller = select.poll()
    poller.register(told, select.POLLIN)
    word = posix.read(told, 4) if poller.poll(patience) else b""
    return int.from_bytes(word, sys.byteorder) if word else None


def start_detached(output: int, scope: bool) -> int:
    """The command's pid; 0 when it did not come to that, which with `scope` only means to try without."""
    told, telling = posix.pipe2(posix.O_CLOEXEC)
    null = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
    child = posix.fork()
    if child == 0:
        become_detached(telling, null, output, scope)
    posix.close(telling)
    posix.close(null)
    if hear(told, MANAGER_PATIENCE if scope else -1) is None:
        posix.kill(child, _signal.SIGKILL)
        posix.waitpid(child, 0)
        child = 0
    elif (error := hear(told, -1)) is not None:
        posix.waitpid(child, 0)
        fail(
            127 if error == errno.ENOENT else 126, b"cannot run %s: " % Plan.command[0] + posix.strerror(error).encode()
        )
    posix.close(told)
    return child


def has_user_manager() -> bool:
    runtime = path_variable(b"XDG_RUNTIME_DIR")
    return bool(runtime) and posix.access(runtime + b"/systemd/private", posix.F_OK)


def write_pid(child: int) -> None:
    try:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        posix.write(posix.open(Plan.pidfile, flags, 0o666), b"%d\n" % child)
    except OSError as error:
        posix.kill(child, _signal.SIGTERM)
        told = (Plan.pidfile, reason(error), Plan.command[0])
        fail(FAILED, b"cannot write %s: %s; %s was ended" % told)


def detach(arguments: "list[bytes]") -> "NoReturn":
    if arguments[:1] == [IN_SCOPE]:
        restore_signals()
        execute(arguments[1:], variables(environment()))
    read_detach_options(arguments)
    log = Plan.log or b"/dev/null"
    try:
        output = posix.open(log, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC, 0o666)
    except OSError as error:
        fail(FAILED, b"cannot open " + log + b": " + reason(error))
    child = start_detached(output, scope=True) if has_user_manager() else 0
    child = child or start_detached(output, scope=False)
    if not child:
        fail(FAILED, b"cannot start " + Plan.command[0] + b": its process ended at once")
    if Plan.pidfile:
        write_pid(child)
    posix._exit(0)


# ---- Everything


def wants_private(arguments: "list[bytes]") -> bool:
    """Whether this invocation is to have an instance of its own. Not one of a script's: its target is being built by
    the server that runs the script, and would wait for it for ever.
    """
    environ = posix.environ
    if command == b"redod" or (environ.get(b"REDO_JOB") and b"REDOD_SOCKET" in environ):
        return False
    options = arguments[: arguments.index(b"--")] if b"--" in arguments else arguments
    return environ.get(b"REDOD") == b"off" or (command == b"redo" and b"--no-daemon" in options)


def start_unless_redod(path: bytes, directory: bytes, arguments: "list[bytes]") -> "_socket.socket":
    """`redod` asks a running server and starts none, but for what is no matter of the server's own."""
    if command == b"redod" and arguments[0] not in (b"forget", b"gc"):
        say(2, b"redod is not running\n", 0 if arguments[0] == b"stop" else FAILED)
    return start_server(path, directory)


def ask_server(arguments: "list[bytes]", message: "tuple[bytes, list[int]]") -> None:
    """`message`: what is sent, and the descriptors beside it. Return when an instance for this alone is asked for."""
    path, directory = socket_path()
    server = connect_server(path) if not directory or check_private(directory) else None
    if server is not None:
        try:
            return ask(server, path, message, again=True)
        except UnreadError:
            # Killed while we came: as if nobody had listened. Once, or it might never end.
            server = connect_server(path)
    return ask(server or start_unless_redod(path, directory, arguments), path, message, again=False)


def ask(server: "_socket.socket", path: bytes, message: "tuple[bytes, list[int]]", again: bool) -> None:
    """Return when an instance for this invocation alone is asked for."""
    try:  # noqa: SIM105 - contextlib is an import
        Relay(server, path, send_invocation(server, *message), again).run()
    except AloneError:
        pass  # and do as it says


def begin_again() -> "NoReturn":
    """As if we had just been called: for an invocation that goes on with the next server."""
    import select

    select.select([], [], [], 0.5)  # a server that always fails is not started in a tight loop
    with open("/proc/self/cmdline", "rb") as file:
        posix.execv("/proc/self/exe", file.read().split(b"\0")[:-1])


def main(arguments: "list[bytes]") -> "NoReturn":
    examine_standard_descriptors()
    occupy_standard_descriptors()
    if arguments == [b"--version"]:
        say(1, b"%s (redod) %s\n" % (command, VERSION.encode()), 0)
    if command == b"redo-detach":
        detach(arguments)
    if command == b"redod":
        without_server(arguments)
    cwd = working_directory()
    jobserver = find_jobserver()
    message = invocation(arguments, cwd, bool(jobserver)), Standard.open + jobserver
    if not wants_private(arguments):
        ask_server(arguments, message)
    path, directory = private_path()
    server = start_private_server(path, directory)
    ask(server, path, message, again=False)
    fail(FAILED, b"an instance for this invocation alone asked for another; please report it")


command = encode(sys.argv[0]).rpartition(b"/")[2] or b"redo"

if __name__ == "__main__":
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    try:
        main([encode(argument) for argument in sys.argv[1:]])
    except OSError as error:
        fail(FAILED, reason(error) + b"; nothing more is known")
    except Exception as error:
        fail(FAILED, f"an error in the client itself: {error!r}; please report it")
