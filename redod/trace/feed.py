"""The feed: hands each event to those who subscribed. It knows neither connections nor what happens."""

from collections.abc import Callable

from redod.trace.events import Happened

Subscriber = Callable[[Happened], None]


class Feed:
    """`wanted` first, then `tell`: where nobody listens an event is not even made."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self.wanted = False
        """Derived: there are subscribers."""

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)
        self.wanted = True

    def leave(self, subscriber: Subscriber) -> None:
        """Nothing happens where it has left before."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        self.wanted = bool(self._subscribers)

    def tell(self, event: Happened) -> None:
        for subscriber in list(self._subscribers):
            subscriber(event)
