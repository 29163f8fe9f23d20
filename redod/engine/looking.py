"""Looking at files for the core: what is there, and whether what happens there later will be told.

How a file becomes a stamp is for `redod.files.observe`, what a stamp means for the core.
"""

import time

from redod.core import events
from redod.core import instructions as do
from redod.core.graph import Graph, Kind
from redod.core.paths import directory_of
from redod.core.stamps import Stamp
from redod.engine.stores import Stores
from redod.engine.watching import Watching
from redod.files.observe import ObserveError, observe, observe_source


class Looking:
    """What it uses is the engine's."""

    def __init__(self, graph: Graph, stores: Stores, watching: Watching) -> None:
        self._graph = graph
        self._stores = stores
        self._watching = watching

    def observe(self, order: do.Observe) -> events.Event:
        """Carry out the order."""
        now = time.time_ns()
        try:
            stamps, watched = self.look(order.paths, now, order.until_file)
            return events.Observed(order.subject, stamps, now, watched)
        except ObserveError as error:
            return events.ObserveFailed(order.subject, str(error))

    def look(self, paths: list[bytes], now: int, until_file: bool = False) -> tuple[list[Stamp], set[bytes]]:
        """What is there, and those of the directories that were watched before. `now`: the wall clock in nanoseconds,
        read before. `until_file`: no further than to the first that leads to one.

        Raises ObserveError.
        """
        find, covers = self._graph.find, self._watching.covers
        stamps: list[Stamp] = []
        covered: dict[bytes, bool] = {}
        by_content: dict[bytes, bool] = {}
        for path in paths:
            directory = directory_of(path)
            if directory not in covered:
                covered[directory] = covers(directory)
            node = find(path)
            if node is None or node.kind is Kind.TARGET:
                stamps.append(observe(path))
            else:
                if directory not in by_content:
                    by_content[directory] = self._stores.is_by_content(directory)
                stamps.append(observe_source(path, now, node.stamp, by_content[directory]))
            if until_file and stamps[-1].leads_to_file:
                break
        return stamps, set(filter(covered.get, covered))
