from hypothesis import given
from hypothesis import strategies as st

from redod.logs.kept import Kept, silent_place
from redod.logs.records import Done, Started

_YEAR = 365 * 86400.0


@given(st.floats(0, 100 * _YEAR), st.integers(0, 1 << 22), st.floats(0, 3 * _YEAR))
def test_the_place_of_a_silent_success_tells_when_it_began_its_pid_and_how_long_it_took(
    when: float, pid: int, seconds: float
) -> None:
    start, done = Kept(b"/w/a", b"/w", silent_place(Started(when, pid), Done(0, seconds)), None).silence()
    assert (start.pid, done.status) == (pid, 0)
    assert abs(start.when - when) < 2e-6
    assert abs(done.seconds - seconds) < 2e-4


def test_the_longest_duration_leaves_the_pid_as_it_is() -> None:
    kept = Kept(b"/w/a", b"/w", silent_place(Started(1.0, 7), Done(0, 1e12)), None)
    assert kept.entries() == (Started(1.0, 7), Done(0, ((1 << 40) - 1) / 1e4))
