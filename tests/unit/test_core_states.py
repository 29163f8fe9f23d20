"""The tables of states, and the setter that keeps to them."""

import pytest

from redod.core.states import JOB_MOVES, WANT_MOVES, IllegalMoveError, JobState, Living, WantState


def test_every_state_has_its_row() -> None:
    assert set(WANT_MOVES) == set(WantState)
    assert set(JOB_MOVES) == set(JobState)


def test_what_is_over_stays_over() -> None:
    assert not any(WANT_MOVES[state] for state in (WantState.CLEAN, WantState.FAILED, WantState.DROPPED))
    assert not JOB_MOVES[JobState.DONE]


def test_every_want_can_end_and_be_dropped_until_it_has() -> None:
    for state, moves in WANT_MOVES.items():
        if moves:
            assert WantState.DROPPED in moves, state


@pytest.mark.parametrize("start", WantState)
@pytest.mark.parametrize("to", WantState)
def test_exactly_the_moves_of_the_table_are_made(start: WantState, to: WantState) -> None:
    life = Living(start, WANT_MOVES)
    if to in WANT_MOVES[start]:
        life.move(to)
        assert (life.state, life.history) == (to, [start])
    else:
        with pytest.raises(IllegalMoveError, match=f"{start.name} > {to.name}"):
            life.move(to)
        assert life.state is start


def test_an_illegal_move_tells_the_history() -> None:
    life = Living(JobState.RUNNING, JOB_MOVES)
    life.move(JobState.PARKED)
    life.move(JobState.SETTLING)
    with pytest.raises(IllegalMoveError, match=r"Living.*: RUNNING > PARKED > SETTLING > RUNNING"):
        life.move(JobState.RUNNING)


def test_the_history_is_bounded() -> None:
    life = Living(JobState.RUNNING, JOB_MOVES)
    for _ in range(50):
        life.move(JobState.PARKED)
        life.move(JobState.RUNNING)
    assert len(life.history) == 32
