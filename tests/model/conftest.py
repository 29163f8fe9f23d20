"""How much the model test does: REDOD_MODEL_RUNS histories from the seed REDOD_MODEL_SEED on.

Environment variables, because pytest knows the options of a directory's conftest only when that directory is named.
"""

import os

import pytest


@pytest.fixture
def model_seeds() -> range:
    first = int(os.environ.get("REDOD_MODEL_SEED", "1"))
    return range(first, first + int(os.environ.get("REDOD_MODEL_RUNS", "300")))
