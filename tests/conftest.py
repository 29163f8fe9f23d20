"""What holds for all tests."""

import os

from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto`: one more than there are processors, since most tests wait most of the time."""
    return len(os.sched_getaffinity(0)) + 1
