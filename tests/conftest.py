"""What holds for all tests."""

import os
import signal

from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Who starts the tests in the background may ignore what interrupts, and so would all that they start.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto`: one more than there are processors, since most tests wait most of the time."""
    return len(os.sched_getaffinity(0)) + 1
