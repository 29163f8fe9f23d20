"""Watching, joined to the core: news become events, and now and then files that count as unchanged are looked at.

It owns the watcher, and what is known of its failures. What news mean, the core decides (`redod.core.suspects`).
"""

import logging
import os
import random
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable

from redod.core import events
from redod.core.dofiles import candidates
from redod.core.graph import Graph, Kind, Node
from redod.core.paths import show
from redod.core.stamps import Stamp, difference, source_difference
from redod.files.observe import ObserveError, observe, observe_source
from redod.files.watch import News, State, Watcher

SETTING = "REDOD_WATCH"
"""An environment variable of the server: `off`, or the most directories to watch."""
_SAMPLE = 16
"""Files that are looked at after a build though nothing is said to have happened to them: 0.1 ms."""
_PAUSE = 0.1
"""Seconds from a build's end to that."""
MOMENT = 1.0
"""Seconds: between a change and its event there is a moment, a long one when the writer has lost its processor."""
_BREATH = 0.02
"""Seconds between two looks at the news while jobs run: each of them makes several, and whoever asks looks anyway. Much
less than it takes to fill the kernel's queue.
"""
_log = logging.getLogger(__name__)


class Watching:
    """`post` takes the news, in the order in which they came. `is_idle`: all that was posted has been taken in.
    `has_jobs`: scripts are running.
    """

    def __init__(
        self, loop: AbstractEventLoop, graph: Graph, post: Callable[[events.Event], None], is_idle: Callable[[], bool],
        has_jobs: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._graph = graph
        self._post = post
        self._is_idle = is_idle
        self._has_jobs = has_jobs
        self._watcher: Watcher | None = None
        self._cause = ""
        self._is_planned = False
        self.listeners: list[Callable[[events.Event], None]] = []
        """Told of all news, before the core knows them: they may only take note."""
        self.missed = 0
        """How many changes were found of which nothing had told."""
        setting = os.environ.get(SETTING, "")
        self._remedy = SETTING if setting.isdecimal() else "fs.inotify.max_user_watches (sysctl)"
        """What to raise where more directories are to be watched."""
        if setting == "off":
            self._cause = f"off ({SETTING}=off)"
            return
        try:
            self._watcher = Watcher(int(setting) if setting.isdecimal() else None)
        except OSError as error:
            self._cause = f"not possible: {error.strerror}; raise fs.inotify.max_user_instances (sysctl)"
        else:
            loop.add_reader(self._watcher.fileno(), self._readable)

    @property
    def is_on(self) -> bool:
        return self._watcher is not None

    def next_turn(self) -> None:
        """A session begins."""
        if self._watcher is not None:
            self._watcher.next_turn()

    def covers(self, directory: bytes) -> bool:
        """Whether news would tell what happens to the files in this directory from now on."""
        return self._watcher is not None and self._watcher.covers(directory)

    def leave(self, directories: Iterable[bytes]) -> None:
        """Nobody relies on these directories any more."""
        if self._watcher is not None:
            self._watcher.give_up(directories)
            self._readable()

    def news(self) -> list[events.Event]:
        """What has happened until now. Whatever is looked at after this call will be told of by later news."""
        news = None if self._watcher is None else self._watcher.read()
        if news is None:
            return []
        found = _events(news)
        for event in found:
            for listener in list(self.listeners):
                listener(event)
        return found

    def state(self) -> str:
        """One line for the user."""
        watcher = self._watcher
        if watcher is None:
            return f"{self._cause}; each check looks at every file"
        line = f"{watcher.watched} directories"
        if (lacking := watcher.count(State.NO_ROOM)) > 0:
            line += f"; {lacking} more cannot be: raise {self._remedy}"
        if (unseen := watcher.unseen) > 0:
            line += f"; {unseen} are of a kind that cannot be (remote, overlay, FUSE, not readable)"
        return line + ("; what is there is looked at in each check" if lacking or unseen else "")

    @property
    def is_degraded(self) -> bool:
        """Something is looked at in each check that might be watched."""
        return self._watcher is None or self._watcher.count(State.NO_ROOM) > 0

    def sample_soon(self) -> None:
        """A build has ended: look at some files, when nobody waits."""
        if self._watcher is not None and not self._is_planned:
            self._is_planned = True
            self._loop.call_later(_PAUSE, self._sample)

    def differing(self, nodes: Iterable[Node]) -> list[Node]:
        """Look at these files as if nothing were known. Those that are not as the graph has them: `confirm` in `MOMENT`
        tells why.
        """
        self._take_news()
        return [node for node in nodes if _lie(node)]

    def confirm(self, nodes: Iterable[Node]) -> list[tuple[bytes, str]]:
        """Those that still differ although nothing was told, and how; they will be looked at by the next check."""
        self._take_news()
        found = [lie for node in nodes if (lie := _lie(node))]
        for path, text in found:
            self.missed += 1
            _log.warning("nothing told that %s has changed: %s", show(path), text)
            self._post(events.Heard([path]))
        return found

    def close(self) -> None:
        if self._watcher is not None:
            self._loop.remove_reader(self._watcher.fileno())
            self._watcher.close()
            self._watcher = None

    def _readable(self) -> None:
        self._take_news()
        if self._watcher is not None and self._has_jobs():
            self._loop.remove_reader(self._watcher.fileno())
            self._loop.call_later(_BREATH, self._look_again)

    def _look_again(self) -> None:
        if self._watcher is None:
            return
        if self._take_news() and self._has_jobs():
            self._loop.call_later(_BREATH, self._look_again)
        else:
            self._loop.add_reader(self._watcher.fileno(), self._readable)

    def _take_news(self) -> bool:
        """Tell what has happened; whether anything has."""
        found = self.news()
        for event in found:
            self._post(event)
        return bool(found)

    def _sample(self) -> None:
        self._is_planned = False
        if not self._is_idle():
            self.sample_soon()
        elif self._watcher is not None:
            differing = self.differing(self._graph.sample(_SAMPLE, random.sample))
            if differing:
                self._loop.call_later(MOMENT, self._confirm, differing)

    def _confirm(self, differing: list[Node]) -> None:
        if self._is_idle():
            self.confirm(differing)
        else:
            self._loop.call_later(_PAUSE, self._confirm, differing)


def _events(news: News) -> list[events.Event]:
    found: list[events.Event] = []
    if news.paths:
        found.append(events.Heard(news.paths))
    if news.lost:
        found.append(events.Lost(news.lost))
    return found


def _lie(node: Node) -> tuple[bytes, str] | None:
    """What the graph has of this node and is not so: a path, and the difference."""
    if not node.watched or node.stamp is None:
        return None
    try:
        if differs := _differs(node, node.stamp):
            return node.path, f"its {differs} is not as it was"
        if node.doubts is not None and (name := _script_before(node)):
            return name, f"it comes before the script of {show(node.path)}"
    except ObserveError as error:
        return node.path, str(error)
    return None


def _differs(node: Node, stamp: Stamp) -> str:
    if node.kind is Kind.TARGET:
        return difference(stamp, observe(node.path))
    return source_difference(stamp, observe_source(node.path, time.time_ns(), stamp))


def _script_before(node: Node) -> bytes:
    for candidate in candidates(node.path):
        if node.dofile is None or candidate.path == node.dofile.path:
            break
        if observe(candidate.path).leads_to_file:
            return candidate.path
    return b""
