"""What holds for all tests."""

import os
import signal
from pathlib import Path

from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Who starts the tests in the background may ignore what interrupts, and so would all that they start.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

# Tests say which rights files have, and that those change.
os.umask(0o022)

_SERVERS = 8
"""As many as one worker has at a time, and more; each has an inotify instance, of which a user has 128."""


def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto`: one more than there are processors, since most tests wait most of the time."""
    instances = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    return max(1, min(len(os.sched_getaffinity(0)) + 1, instances // _SERVERS))
