"""Verdicts: is a target up to date, and if not, why. The reason is recorded by the decision, never derived again."""

from enum import Enum
from typing import NamedTuple

from redod.core.graph import Node
from redod.core.paths import relative, show


class Why(Enum):
    """Why a target is out of date. The value completes the sentence `TARGET is out of date: ...`.

    The store holds these names: one that is not known any more is forgotten.
    """

    FORCED = "redo was asked to run it"
    NEVER_BUILT = "it was never built"
    FAILED = "its last build failed"
    MISSING = "it does not exist any more"
    STAMP = "its {detail} is not as it was built"
    ALWAYS = "its script calls redo-always"
    SERVICE_ENDED = "the process that it stands for has ended"
    DOFILE_GONE = "its script {name} is gone"
    BETTER_DOFILE = "{name} now comes before its script"
    CHANGED = "{name} changed{detail}"
    REBUILT = "{name} was built again"
    GONE = "{name} does not exist any more"
    LATE = "{name} changed while it was being built"
    CREATED = "{name} now exists"
    DEPENDENCY = "{name} is out of date"
    ABSENT = "{name} does not exist"
    LOOP = "it depends on itself through {name}"


class Reason(NamedTuple):
    """`about`: the path that `why` speaks of; `detail`: a stamp's field."""

    why: Why
    about: bytes = b""
    detail: str = ""

    def text(self, base: bytes) -> str:
        """One clause for the user, names relative to the directory `base`."""
        name = show(relative(self.about, base)) if self.about else ""
        detail = f" ({self.detail})" if self.detail and self.why is Why.CHANGED else self.detail
        return self.why.value.format(name=name, detail=detail)


FORCED = Reason(Why.FORCED)
NEVER_BUILT = Reason(Why.NEVER_BUILT)
"""Most targets' reasons: one object for all."""


class Clean(NamedTuple):
    """Up to date."""


class Source(NamedTuple):
    """Exists and is not ours to make. `edited`: a target of ours that the user changed by hand."""

    edited: bool


class Dirty(NamedTuple):
    """Its script must run."""

    reason: Reason


class Undecided(NamedTuple):
    """It depends on what these targets, which have checksums, turn out to be: build them first, then judge again."""

    first: tuple[Node, ...]


Verdict = Clean | Source | Dirty | Undecided
