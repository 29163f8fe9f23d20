"""MAKEFLAGS: how a jobserver is named there. Bytes in, bytes out; whether what is named exists is not known here.

The variable holds make's options as words, the first perhaps single letters without a dash, and after ` -- ` the
variables of the command line. A jobserver is `--jobserver-auth=R,W` (before make 4.2 `--jobserver-fds=R,W`), two
descriptors of one pipe, or since make 4.4 `--jobserver-auth=fifo:PATH`. Of several the last counts.
"""

import re
from functools import lru_cache
from typing import NamedTuple

_AUTH = re.compile(rb"(?:^| )--jobserver-(?:auth|fds)=(\S*)")
_JOBS = re.compile(rb"(?:^| )(?:-j|--jobs=)(\d+)")
_OURS = re.compile(rb"(?:^| )(?:--jobserver-(?:auth|fds)=\S*|-j\d*|--jobs(?:=\d+)?)(?= |$)")
_DESCRIPTORS = re.compile(rb"(\d+),(\d+)")
_DIGITS = 9
"""Of a -j that are read: Python refuses to read thousands."""
_MOST = 1000
"""Jobs, where MAKEFLAGS does not say how many."""


class Named(NamedTuple):
    """The jobserver that MAKEFLAGS names. `auth` is what to pass on; `fifo` its path, empty for descriptors.

    `jobs`: what was make's -j.
    """

    auth: bytes
    fifo: bytes
    jobs: int


def named_jobserver(flags: bytes) -> Named | None:
    """The jobserver of the make around us; None where there is none."""
    options = _split(flags)[0]
    found = _AUTH.findall(options)
    if not found:
        return None
    jobs = _JOBS.findall(options)
    fifo = found[-1].removeprefix(b"fifo:") if found[-1].startswith(b"fifo:") else b""
    return Named(found[-1], fifo, max(2, int(jobs[-1][:_DIGITS])) if jobs else _MOST)


# Cached, since all jobs of a build have the same.
@lru_cache(maxsize=64)
def with_jobserver(flags: bytes, jobs: int, auth: bytes) -> bytes:
    """MAKEFLAGS for a script that may use this jobserver; an empty `auth`: none. The other flags are kept."""
    options, variables = _split(flags)
    options = _OURS.sub(b"", options)
    if auth:
        options += b" -j%d --jobserver-auth=%s" % (jobs, auth)
    return options + variables


def _split(flags: bytes) -> tuple[bytes, bytes]:
    """Make's options, and the variables of its command line."""
    if flags.startswith(b"-- "):
        return b"", b" " + flags
    options, dashes, variables = flags.partition(b" -- ")
    return options, dashes + variables
