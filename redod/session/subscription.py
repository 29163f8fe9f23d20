"""A subscription: events go to one client's standard output, a line of JSON each.

A client that does not read holds nobody up: what does not fit is left out, and it is told how much that was.
"""

from redod.session.link import Link
from redod.trace.events import Happened, Lost
from redod.trace.feed import Feed


class Subscription:
    """`session`: the number of the only session whose events are wanted; None: all."""

    def __init__(self, feed: Feed, link: Link, session: int | None = None) -> None:
        self._feed = feed
        self._link = link
        self._session = session
        self._lost = 0
        feed.subscribe(self._take)

    def close(self) -> None:
        self._feed.leave(self._take)

    def _take(self, event: Happened) -> None:
        if self._session not in (None, event.session):
            return
        if self._link.is_full:
            self._lost += 1
            return
        if self._lost:
            self._send(Lost(session=0, count=self._lost))
            self._lost = 0
        self._send(event)

    def _send(self, event: Happened) -> None:
        self._link.output(1, event.model_dump_json().encode() + b"\n")
