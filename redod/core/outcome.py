"""What a script's run means for its target: the rules of stdout, `$3` and `$1`.

It decides from facts and acts on nothing: `redod.files.outputs` finds out what was produced and puts it in place.
"""

import stat
from dataclasses import dataclass
from typing import TypeAlias

from redod.core.stamps import Stamp

TIMED_OUT = 1
"""The target's status when its job was ended because it took too long."""
MODIFIED_TARGET = 206
"""The target's status when its script changed `$1` itself."""
TWO_OUTPUTS = 207
"""The target's status when its script wrote both stdout and `$3`."""
NOT_INSTALLED = 209
"""The target's status when what its script made cannot be put in place."""


@dataclass(frozen=True, slots=True)
class Produced:
    """What there is after a run: bytes of captured stdout, the stamps of `$3` and of the target itself."""

    stdout_size: int
    temporary: Stamp
    after: Stamp


@dataclass(frozen=True, slots=True)
class InstallStdout:
    """The captured stdout becomes the target."""


@dataclass(frozen=True, slots=True)
class InstallTemporary:
    """`$3` becomes the target: a file, a directory or a symbolic link.

    `spared`: absolute paths. Not if that would delete one of these.
    """

    spared: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoveTarget:
    """The script made nothing, so the old file goes; the target counts as built."""


@dataclass(frozen=True, slots=True)
class LeaveTarget:
    """The script made nothing and there is no file to remove (never a directory); the target counts as built."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The old target stays. `status`: the script's, negative for a signal, or one of this module's.

    `messages`, a line each, tell the user what to change in the script; there are none when it just failed.
    """

    status: int
    messages: tuple[str, ...] = ()


Outcome: TypeAlias = InstallStdout | InstallTemporary | RemoveTarget | LeaveTarget | Failed


_MODIFIED_TARGET = (
    "the script changed its target itself ($1)",
    "let it write to $3 instead, a temporary name that becomes the target, or to its standard output",
)
_TWO_OUTPUTS = (
    "the script wrote to its standard output and also made $3",
    "let it use one of them: messages belong to standard error (>&2), not to standard output",
)


def decide(status: int, produced: Produced, before: Stamp) -> Outcome:
    """The outcome of a run. `status` of the script, negative for a signal; `before`: the target's stamp at its start.

    The order of the rules is classic redo's, but that a failed script is not blamed for more than that.
    """
    if status < 0:
        return Failed(status, (f"the script was killed by signal {-status}",))
    if status:
        return Failed(status)
    if _is_modified(before, produced.after):
        return Failed(MODIFIED_TARGET, _MODIFIED_TARGET)
    if produced.temporary.exists:
        return Failed(TWO_OUTPUTS, _TWO_OUTPUTS) if produced.stdout_size else InstallTemporary()
    if produced.stdout_size:
        return InstallStdout()
    return RemoveTarget() if produced.after.exists and not produced.after.is_directory else LeaveTarget()


def _is_modified(before: Stamp, after: Stamp) -> bool:
    """Directories are exempt (scripts fill them in place), so are removal (`rm -f $1`) and a new mode or owner."""
    if not after.exists or after.is_directory:
        return False
    return _content_facts(before) != _content_facts(after)


def _content_facts(stamp: Stamp) -> tuple[int, int, int, int]:
    return stamp.mtime_ns, stamp.size, stamp.inode, stat.S_IFMT(stamp.mode)
