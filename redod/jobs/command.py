"""The command line that runs a dofile: `sh -e`, or what its first line asks for.

It reads the first line and nothing else. It does not know targets, nor where an interpreter is found.
"""

import errno
import os
from typing import NamedTuple

from redod.core.paths import join

_LONGEST_LINE = 4096
"""Bytes. Linux itself looks at 256; no real script comes near this."""


class CommandError(Exception):
    """A dofile cannot be run. The text says why and what to do; `os.fsencode` gives its bytes back."""


class Flags(NamedTuple):
    """`redo -x` and `redo -v`: what sh prints of a script. A script with a `#!` line is not concerned."""

    trace: bool = False
    verbose: bool = False


PLAIN = Flags()

SAY_FIRST = (b"/bin/sh", b"-c", b'printf %s "$1" >&2; shift; exec "$@"', b"sh")
"""A step before a program that writes a text, the next argument, to standard error. Who reads there may be slow, so the
server itself must not write.
"""


def dofile_command(
    directory: bytes, name: bytes, arguments: tuple[bytes, ...], flags: Flags = PLAIN
) -> tuple[bytes, ...]:
    """The argv that runs `directory`/`name` with `directory` as the working directory; `arguments` are $1, $2, $3.

    Raises CommandError. The execute bit does not matter. The `#!` line is split on white space, and a bare
    interpreter name is found by PATH, as classic redo does.
    """
    interpreter = _interpreter(join(directory, name))
    # A name that begins like an option would be taken for one; $0 is the plain name otherwise.
    script = b"./" + name if name[:1] in (b"-", b"+") else name
    return (*(interpreter or _shell(flags)), script, *arguments)


def _shell(flags: Flags) -> tuple[bytes, ...]:
    return b"sh", b"-e" + b"v" * flags.verbose + b"x" * flags.trace


def _interpreter(path: bytes) -> tuple[bytes, ...]:
    start = _start(path)
    line, newline, _ = start.partition(b"\n")
    if b"\0" in line:
        raise CommandError(
            f"{os.fsdecode(path)} is not a script: its first line holds a NUL byte; write it as plain text"
        )
    if not line.startswith(b"#!"):
        return ()
    if not newline and len(start) == _LONGEST_LINE:
        raise CommandError(f"{os.fsdecode(path)}: its #! line is longer than {_LONGEST_LINE - 1} bytes; shorten it")
    return tuple(line[2:].split())


def _start(path: bytes) -> bytes:
    try:
        # O_NONBLOCK: a dofile that is a FIFO must not stop the server.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.pread(number, _LONGEST_LINE, 0)
        finally:
            os.close(number)
    except OSError as problem:
        raise CommandError(f"cannot read {os.fsdecode(path)}: {_reason(problem)}") from problem


def _reason(problem: OSError) -> str:
    match problem.errno:
        case errno.ENOENT:
            return "it was removed while the build ran, or is a symbolic link that leads nowhere"
        case errno.EISDIR:
            return "it is a directory; a dofile has to be a script"
        case errno.ESPIPE:
            return "it is a FIFO; a dofile has to be a file"
        case errno.EACCES:
            return "no permission; make it readable"
        case errno.EMFILE | errno.ENFILE:
            return "out of file descriptors; use a lower -j, or raise the limit (ulimit -n)"
        case _:
            return str(problem.strerror)
