"""Random projects with random histories, in the simulation and by the oracle. Each failure names its seed."""

import pytest

from tests.model.histories import History, make_history
from tests.model.play import check

STEPS = 6
"""Builds in one history."""
PARTS = 8
"""So that workers can share them."""


def history_of(seed: int) -> History:
    return make_history(seed, steps=STEPS, coarse=seed % 3 == 0, breaks=seed % 5 < 2)


@pytest.mark.parametrize("part", range(PARTS))
def test_random_histories_build_what_the_oracle_says(model_seeds: range, part: int) -> None:
    for seed in model_seeds[part::PARTS]:
        check(history_of(seed))
