"""The environment of a script: its caller's, and what the session and the job add."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_JOBSERVER = re.compile(rb"(?:^| )(?:--jobserver-(?:auth|fds)=\S*|-j\d*)")
_NO_PATH = b"/usr/local/bin:/usr/bin:/bin"
"""For a caller without PATH: what sh(1) takes then on Debian, less the current directory."""


class Identity(NamedTuple):
    """What tells a script which job it is."""

    token: bytes
    session: bytes
    target: bytes
    """`$1`."""
    depth: int
    directory: bytes
    """Where it runs."""


def job_environment(caller: Mapping[bytes, bytes], job: Identity, commands: bytes, socket: bytes) -> dict[bytes, bytes]:
    """The environment of one script.

    `commands`: the directory that holds only the redo commands; it stands first on PATH, so that scripts find them
    wherever they are installed, and nothing else of that place. `socket`: the server's, so that nested calls reach the
    server that runs them.
    """
    environment = dict(caller)
    environment.pop(b"CDPATH", None)
    path = environment.get(b"PATH") or _NO_PATH
    if not path.startswith(commands + b":"):
        path = commands + b":" + path
    flags = environment.get(b"MAKEFLAGS")
    if flags is not None and b"-j" in flags:
        # They name descriptors that a job does not have.
        environment[b"MAKEFLAGS"] = _JOBSERVER.sub(b"", flags)
    environment[b"PATH"] = path
    environment[b"PWD"] = job.directory
    environment[b"REDO_JOB"] = job.token
    environment[b"REDO_SESSION"] = job.session
    environment[b"REDO_TARGET"] = job.target
    environment[b"REDO_DEPTH"] = b"  " * job.depth
    environment[b"REDO_LOG"] = b"1"
    environment[b"REDOD_SOCKET"] = socket
    return environment
