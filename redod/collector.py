"""Python's cyclic collector, kept away from the graph: that only grows, holds no garbage, and takes 0.1 s to walk for
100,000 targets, while everybody waits.

It owns the collector's settings. It rests on two things: what a build makes and drops is freed without the collector (a
test holds that), and reading a large store ends with gc.freeze().
"""

import gc
import time

_YOUNG = 1_500
"""Objects after which those made since the last time are looked at; that takes less than 1 ms."""
_ROUNDS = 2
"""After so many times what is left of all is looked at once more, and then never again. Each object is looked at twice
whatever these two are; the pauses are as long as they are large.
"""


class Collector:
    """Make one, when everything is imported."""

    def __init__(self) -> None:
        self.longest = 0.0
        """Seconds that the longest pause took."""
        self._began = 0.0
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG, _ROUNDS, 1 << 30)
        gc.callbacks.append(self._observe)

    def _observe(self, phase: str, information: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
            return
        self.longest = max(self.longest, time.perf_counter() - self._began)
        if information["generation"] > 0:
            gc.freeze()
