"""How much the model test does: REDOD_MODEL_RUNS histories from the seed REDOD_MODEL_SEED on.

Environment variables, because pytest knows the options of a directory's conftest only when that directory is named.
"""

import os

import pytest

_RUNS = int(os.environ.get("REDOD_MODEL_RUNS", "2000"))


@pytest.fixture
def model_seeds() -> range:
    first = int(os.environ.get("REDOD_MODEL_SEED", "1"))
    return range(first, first + _RUNS)


@pytest.fixture
def session_seeds(model_seeds: range) -> range:
    """A tenth of them: overlapping sessions take longer."""
    return model_seeds[: _RUNS // 10 or 1]
