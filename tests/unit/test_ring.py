"""The search for rings, among waits of many servers made at random."""

import random

import pytest

from redod.engine.claims import Wait
from redod.session import ring
from redod.session.asking import Answer

Name = tuple[bytes, int]


class Waits:
    """A graph of waits, as servers would tell of them. The lock that a wait is for has the wait's own number."""

    def __init__(self, chance: random.Random) -> None:
        names = [(bytes([chance.choice(b"abcd")]), number) for number in range(8)]
        self.server = {name: chance.choice(names)[0] for name in names}
        self.blind = {name for name in names if chance.random() < 0.1}
        self.behind: dict[Name, list[Name]] = {}
        for name in names:
            there = [other for other in names if other[0] == self.server[name]]
            self.behind[name] = chance.sample(there, chance.randint(0, min(2, len(there))))

    def wait(self, name: Name) -> Wait:
        return Wait(name[1], None, None, True, self.server[name], b"%d" % name[1], name in self.blind)

    async def ask(self, path: bytes, command: bytes, lock: bytes, phase: bytes) -> Answer:
        assert (command, phase) == (b"waits", b"building")
        asker = next(name for name in self.behind if name[1] == int(lock))
        assert self.server[asker] == path
        return Answer(ring.encode_waits([self.wait(name) for name in self.behind[asker]]), "")

    def reached(self, start: Name, gone: set[Name]) -> set[Name]:
        """What waits for `start` must wait for, if those that are gone wait no more."""
        found: set[Name] = set()
        todo = [start]
        while todo:
            here = todo.pop()
            for following in self.behind[here] if here not in gone else ():
                if following not in found:
                    found.add(following)
                    todo.append(following)
        return found

    async def refused(self) -> set[Name]:
        """Those that find that they must be given up."""
        found = set()
        for name in self.behind:
            wait = self.wait(name)
            seen = ring._Seen(name[0], name[1], wait.server, wait.lock, b"building", wait.is_blind)
            if name not in self.blind and await ring._is_before_first(seen):
                found.add(name)
        return found


@pytest.mark.parametrize("seed", range(300))
async def test_each_ring_is_broken_and_nobody_outside_of_one_is_refused(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = Waits(random.Random(seed))
    monkeypatch.setattr(ring, "ask", waits.ask)
    refused = await waits.refused()
    for name in waits.behind:
        if name in refused:
            assert name in waits.reached(name, set())
        elif name not in waits.blind:
            assert name not in waits.reached(name, refused)
