"""A server that counts its Python function calls: `python -m bench.counted DESCRIPTOR FILE`, for `bench.watching`.

The first 8 bytes of FILE are the count. Counting makes it slow, so no time is taken of this one.
"""

import mmap
import os
import sys
from types import FrameType

from redod.__main__ import main

_PASSED = 3
"""Where a server expects its listening socket."""


def count_calls(path: str) -> None:
    with open(path, "r+b") as file:
        counter = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")

    def count(_: FrameType, event: str, __: object) -> None:
        if event == "call":
            counter[0] += 1

    sys.setprofile(count)


if __name__ == "__main__":
    descriptor, path = sys.argv[1:]
    os.dup2(int(descriptor), _PASSED)
    os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    sys.argv[1:] = ["run"]
    if path:
        count_calls(path)
    sys.exit(main())
