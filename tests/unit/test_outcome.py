"""The output rules, from facts alone."""

import stat

import pytest

from redod.core.outcome import (
    Failed,
    InstallStdout,
    InstallTemporary,
    LeaveTarget,
    Outcome,
    Produced,
    RemoveTarget,
    decide,
)
from redod.core.stamps import DIRECTORY, MISSING, Stamp

OLD = Stamp(100, 5, 7, stat.S_IFREG | 0o644, 0, 0, 100, 1)
MADE = Stamp(200, 9, 8, stat.S_IFREG | 0o644, 0, 0, 200, 1)


@pytest.mark.parametrize(
    ("before", "produced", "expected"),
    [
        (MISSING, Produced(0, MISSING, MISSING), LeaveTarget()),
        (OLD, Produced(0, MISSING, OLD), RemoveTarget()),
        (OLD, Produced(0, MISSING, MISSING), LeaveTarget()),
        (DIRECTORY, Produced(0, MISSING, DIRECTORY), LeaveTarget()),
        (MISSING, Produced(0, MISSING, DIRECTORY), LeaveTarget()),
        (OLD, Produced(3, MISSING, OLD), InstallStdout()),
        (OLD, Produced(0, MADE, OLD), InstallTemporary()),
        (DIRECTORY, Produced(0, DIRECTORY, DIRECTORY), InstallTemporary()),
        (OLD, Produced(0, MADE, MISSING), InstallTemporary()),
        (OLD, Produced(0, MADE, OLD._replace(mode=stat.S_IFREG | 0o755, uid=5, ctime_ns=300)), InstallTemporary()),
    ],
)
def test_a_script_that_succeeds_makes_its_target_as_the_rules_say(
    before: Stamp, produced: Produced, expected: Outcome
) -> None:
    assert decide(0, produced, before) == expected


@pytest.mark.parametrize(
    "after",
    [MADE, OLD._replace(mtime_ns=101), OLD._replace(size=6), OLD._replace(inode=9), OLD._replace(mode=stat.S_IFLNK)],
)
def test_a_script_that_changes_its_target_itself_fails_with_206(after: Stamp) -> None:
    outcome = decide(0, Produced(4, MADE, after), OLD)
    assert isinstance(outcome, Failed)
    assert outcome.status == 206
    assert "$3" in outcome.messages[1]


def test_a_script_that_creates_its_target_itself_fails_with_206() -> None:
    outcome = decide(0, Produced(0, MISSING, MADE), MISSING)
    assert isinstance(outcome, Failed)
    assert outcome.status == 206


@pytest.mark.parametrize("temporary", [MADE, DIRECTORY])
def test_writing_both_stdout_and_the_temporary_fails_with_207(temporary: Stamp) -> None:
    outcome = decide(0, Produced(1, temporary, OLD), OLD)
    assert isinstance(outcome, Failed)
    assert outcome.status == 207
    assert ">&2" in outcome.messages[1]


def test_a_failing_script_is_blamed_for_nothing_else() -> None:
    assert decide(3, Produced(1, MADE, MADE), OLD) == Failed(3)


def test_a_script_killed_by_a_signal_is_said_to_be() -> None:
    assert decide(-9, Produced(0, MISSING, OLD), OLD) == Failed(-9, ("the script was killed by signal 9",))
