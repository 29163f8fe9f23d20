"""The environment of a script: its caller's, and what the session and the job add."""

from collections.abc import Mapping
from typing import NamedTuple

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


class Environments:
    """The environments of scripts.

    `commands`: the directory that holds only the redo commands; it stands first on PATH, so that scripts find them
    wherever they are installed, and nothing else of that place. `socket`: the server's, so that nested calls reach the
    server that runs them. `cgroup`: where those go who leave their job (`leave_cgroup` in client/start.c), if anywhere.
    """

    def __init__(self, commands: bytes, socket: bytes, cgroup: bytes = b"") -> None:
        self._commands = commands
        self._socket = socket
        self._cgroup = cgroup
        self._caller: Mapping[bytes, bytes] = {}
        """The last one; most jobs are one caller's."""
        self._common = self._of_caller(self._caller)
        """What its scripts have in common."""

    def make(self, caller: Mapping[bytes, bytes], job: Identity) -> dict[bytes, bytes]:
        """The environment of one script. `caller` must not change later."""
        if caller is not self._caller:
            self._caller, self._common = caller, self._of_caller(caller)
        environment = self._common.copy()
        environment[b"PWD"] = job.directory
        environment[b"REDO_JOB"] = job.token
        environment[b"REDO_SESSION"] = job.session
        environment[b"REDO_TARGET"] = job.target
        environment[b"REDO_DEPTH"] = b"  " * job.depth
        return environment

    def _of_caller(self, caller: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        environment = dict(caller)
        environment.pop(b"CDPATH", None)
        path = environment.get(b"PATH") or _NO_PATH
        if not path.startswith(self._commands + b":"):
            path = self._commands + b":" + path
        environment[b"PATH"] = path
        environment[b"REDO_LOG"] = b"1"
        environment[b"REDOD_SOCKET"] = self._socket
        if self._cgroup:
            environment[b"REDO_CGROUP"] = self._cgroup
        return environment
