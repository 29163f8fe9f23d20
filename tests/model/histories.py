"""Random projects, and what users do to them: a history is data, made from a seed, and may be cut down (`shrink`)."""

import random
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.filesystem import Edit

TARGETS = [b"t%d" % number for number in range(7)]
MATCHED = [b"u0.x", b"u1.x", b"d/v0.y", b"d/e/w0.x.y", b"d/z0.q"]
"""Made by `default*` scripts."""
SOURCES = [b"s%d" % number for number in range(5)]
MATCHED_SOURCES = [b"u0.src", b"u1.src", b"d/v0.src", b"d/e/w0.src", b"d/z0.src"]
MAYBE = [b"e0", b"e1"]
"""Names that scripts depend on not to exist."""
LISTS = [b"l0", b"l1"]
LIBRARY = [b"gs", b"lib"]
"""Scripts that are no dofiles: `g.do` is made of one, and dofiles may be symbolic links to the other."""
BETTER = [
    b"u0.x.do",
    b"u1.x.do",
    b"d/default.y.do",
    b"d/v0.y.do",
    b"d/e/default.do",
    b"d/e/default.x.y.do",
    b"d/default.do",
]
EVERYTHING = [b"g.do", *TARGETS, *MATCHED, b"g"]


class Build(NamedTuple):
    """`redo` (`force`) or `redo-ifchange` of these. `broken`: what happens after that many events of it ("kill" or
    "stop" the server, "cancel" it, "edit" a source); then it is made again, whole.
    """

    targets: tuple[bytes, ...]
    force: bool = False
    jobs: int = 1
    keep_going: bool = True
    broken: str = ""
    after: int = 0
    edit: Edit | None = None


class Restart(NamedTuple):
    """`how`: "stop" or "kill"."""

    how: str


Step = Edit | Build | Restart


@dataclass(frozen=True, slots=True)
class History:
    """`coarse`: the clock's tick is 4 ms. `serial`: all with `-j1`, so that also the order is known (dependencies are
    recorded in the order in which they were ready). `links`: some files have several names. Making and removing those
    changes their ctime as an edit would, so scripts may run needlessly.
    """

    seed: int
    coarse: bool
    serial: bool
    links: bool
    begin: tuple[Edit, ...]
    steps: tuple[Step, ...]


def make_history(seed: int, *, steps: int, coarse: bool, breaks: bool) -> History:
    """`breaks`: builds may be interrupted. Then no script writes `$1`: what such a script has left when its server is
    killed, nobody can tell from a hand edit.
    """
    author = _Author(seed, coarse=coarse, breaks=breaks)
    begin = tuple(author.begin())
    return History(
        seed, coarse, author.serial, author.links, begin, tuple(step for _ in range(steps) for step in author.act())
    )


class _Author:
    def __init__(self, seed: int, *, coarse: bool, breaks: bool) -> None:
        self.random = random.Random(seed)
        self.coarse = coarse
        self.breaks = breaks
        self.serial = seed % 2 == 0
        self.links = not coarse and self.random.random() < 0.5
        """A script that writes `$1` then would write a source, in the middle of a build: no history has both. Within
        one tick of a coarse clock, nobody sees that a source's edit is the target's, too.
        """
        self.writes = 0

    def begin(self) -> list[Edit]:
        """The first sources and scripts."""
        write, choice = self._write, self.random.choice
        edits = [write(name, self.text()) for name in [*SOURCES, *MATCHED_SOURCES]]
        edits += [write(name, self.listing()) for name in LISTS]
        edits += [write(name + b".do", self.script(index)) for index, name in enumerate(TARGETS)]
        edits.append(write(b"default.x.do", b"need $2.src s0\nout\n"))
        edits.append(write(b"default.y.do", b"need s1 $2.src\n" + self.output()))
        edits.append(write(b"default.x.y.do", b"need $2.src link/v0.y\n" + self.output()))
        edits.append(write(b"default.q.do", b"need $2.src\n" + self.output()))
        edits += [self.better(name) for name in BETTER if self.random.random() < 0.3]
        edits.append(write(b"g.do.do", b"copy gs\n" + choice([b"", b"stamp out\n"]) + b"out\n"))
        edits += [write(name, self.script(5)) for name in LIBRARY]
        return edits

    def act(self) -> list[Step]:
        """Edits and a build."""
        steps: list[Step] = []
        for _ in range(self.random.randint(0, 3)):
            steps += self.edit()
        if self.random.random() < 0.2:
            steps.append(Restart(self.random.choice(["stop", "kill"])))
        return [*steps, self.build()]

    def build(self) -> Build:
        rng = self.random
        jobs = 1 if self.serial else rng.choice([1, 2, 3, 4])
        names = EVERYTHING if rng.random() < 0.5 else rng.sample(EVERYTHING, 2)
        if self.breaks and rng.random() < 0.4:
            # In the tick in which a script started, a coarse clock does not tell whether it has read the old bytes.
            how = rng.choice(["kill", "stop", "cancel", *([] if self.coarse else ["edit"] * 3)])
            edit = self._edit_meanwhile() if how == "edit" else None
            return Build(tuple(names), False, jobs, True, how, rng.randint(1, 60), edit)
        # With several jobs, what is still begun after a failure, or found by `redo` in a running job, is chance.
        force = rng.random() < 0.25
        if force and jobs > 1:
            names = names[:1]
        return Build(tuple(names), force, jobs, jobs > 1 or rng.random() < 0.5)

    def _edit_meanwhile(self) -> Edit:
        # In place, the other names of a file are changed, too: targets.
        verb = "write" if self.links else self.random.choice(["write", "rewrite"])
        return Edit(verb, _path(self.random.choice(SOURCES[:2])), self.text())

    def edit(self) -> list[Edit]:
        """Something that a user does."""
        if self.coarse and self.random.random() < 0.7:
            # The same number of bytes, or another.
            verb = self.random.choice(["write", "rewrite"])
            return [Edit(verb, _path(self.random.choice(SOURCES)), self.text())]
        change = self.random.choice([
            self._source, self._source, self._source, self._script, self._script, self._target, self._target,
            self._maybe, self._maybe, self._list, self._better, self._better, self._attributes, self._rename,
        ])  # fmt: skip
        edits = change()
        # Within one tick, two changes of a target may look like none.
        return edits if not self.coarse else [_WAIT, *edits, _WAIT]

    def text(self) -> bytes:
        self.writes += 1
        return b"x%06d" % self.writes + b"." * self.random.randint(0, 1)

    def listing(self) -> bytes:
        return b" ".join(self.random.sample([*TARGETS[4:], *SOURCES, *MATCHED[:2]], self.random.randint(0, 2)))

    def output(self) -> bytes:
        kinds = [b"out"] * 9 + [b"temp"] * 3 + [b"nothing"] * 2 + [b"dir", b"both", b"fail 3", b"die 9"]
        # Within one tick of a coarse clock, nobody sees that a script changed its target itself.
        kinds += [] if self.coarse or self.breaks or self.links else [b"self"]
        kind = self.random.choice(kinds)
        lines = [b"parity"] * (self.random.random() < 0.4)
        if self.random.random() < 0.35:
            # What is stamped tells what will be made, or the stamp would be a lie.
            lines.append(b"stamp " + (b"out" if kind == b"temp" else kind).replace(b" ", b"-"))
        lines += [b"hold"] * (self.random.random() < 0.1)
        return b"\n".join([*lines, kind, b""])

    def script(self, index: int, up: bytes = b"") -> bytes:
        """A script for the target of this number: it asks only for later ones. `up`: the way to the top."""
        chance, choice = self.random.random, self.random.choice
        below = [*TARGETS[index + 1 :], *MATCHED, b"link/z0.q", b"./d/../s1", *SOURCES] if index < 5 else SOURCES
        lines = []
        for _ in range(self.random.randint(1, 3)):
            names = b" ".join(up + name for name in self.random.sample(below, self.random.randint(1, 2)))
            lines.append(choice([b"need "] * 4 + [b"try "] + [b"need " if self.serial else b"fork "]) + names)
        if index < 4 and chance() < 0.3:
            lines.append(b"from " + choice(LISTS))
        if chance() < 0.2:
            lines.append(b"absent " + up + choice(MAYBE))
        if chance() < 0.1:
            lines.append(b"always")
        if chance() < (0.5 if self.breaks else 0.1):
            lines.append(b"late " + up + choice(SOURCES[:2]))
        if chance() < 0.1:
            # Not of those that are edited while it runs: what else it asks for must not depend on the moment.
            lines.append(b"odd " + up + choice(SOURCES[2:]))
        if index < 5 and self.serial and not self.breaks and chance() < 0.1:
            lines.append(b"redo " + choice(TARGETS[index + 1 :]))
        if chance() < 0.1:
            # No stamp: it does not tell what is behind a link.
            return b"\n".join([*lines, (b"ln " if self.links else b"sym ") + up + choice(SOURCES), b""])
        return b"\n".join([*lines, self.output()])

    def _source(self) -> list[Edit]:
        path, text, rng = _path(self.random.choice([*SOURCES, *MATCHED_SOURCES])), self.text(), self.random
        match rng.choice(["write", "write", "rewrite", "remove", "restore", "other"]):
            case "remove":
                return [Edit("remove", path)]
            case "restore":
                # Of a size of its own: with a hard link made in between, nothing else would tell.
                return [Edit("restore", path, text + b"." * self.writes)]
            case "other" if rng.random() < 0.3:
                # That a directory went and came back is seen or not, as somebody happened to look meanwhile or not.
                return [Edit("mkdir", path)]
            case "other" if rng.random() < 0.7:
                return [Edit("symlink", path, _path(rng.choice([*LISTS, b"nowhere"])))]
            case "rewrite":
                return [Edit("rewrite", path, text)]
            case _:
                return [Edit("write", path, text)]

    def _attributes(self) -> list[Edit]:
        choice = self.random.choice
        if self.links:
            return [Edit(choice(["touch", "link"]), _path(choice(SOURCES)))]
        return [Edit(choice(["touch", "chmod"]), _path(choice([*SOURCES, *TARGETS, *MATCHED])))]

    def _rename(self) -> list[Edit]:
        """Of a source or a target, to the name of another, or away and back: a change that only the ctime tells."""
        names = [*TARGETS, *MATCHED[:3]]
        # Two targets made within one tick may have the same mtime and size: no edit by hand then.
        names = SOURCES if self.coarse else names if self.links else [*SOURCES, *names]
        old, new = (_path(name) for name in self.random.sample(names, 2))
        if self.random.random() < 0.3:
            return [Edit("rename", old, _path(b"away")), Edit("rename", _path(b"away"), old)]
        return [Edit("rename", old, new)]

    def _script(self) -> list[Edit]:
        rng = self.random
        index = rng.randrange(len(TARGETS))
        path = _path(TARGETS[index] + b".do")
        match rng.random():
            case chance if chance < 0.15:
                return [Edit("remove", path)]
            case chance if chance < 0.3:
                return [self._write(rng.choice(LIBRARY), self.script(5))]
            case chance if chance < 0.4:
                return [Edit("symlink", path, _path(rng.choice([b"lib", b"lib", b"nowhere"])))]
            case _:
                return [Edit("write", path, self.script(index))]

    def _target(self) -> list[Edit]:
        """Deleted, or edited by hand."""
        name = self.random.choice([*TARGETS, *MATCHED, b"g", b"g.do"])
        path = _path(name)
        if self.random.random() < 0.5:
            return [Edit("remove", path)]
        if name == b"g.do":
            return [Edit("write", path, self.script(5))]
        if self.random.random() < 0.15:
            return [Edit("mkdir", path)]
        return [Edit(self.random.choice(["write", "rewrite"]), path, self.text())]

    def _maybe(self) -> list[Edit]:
        path = _path(self.random.choice(MAYBE))
        return [Edit("remove", path) if self.random.random() < 0.5 else Edit("write", path, self.text())]

    def _list(self) -> list[Edit]:
        return [self._write(self.random.choice(LISTS), self.listing())]

    def _better(self) -> list[Edit]:
        name = self.random.choice(BETTER)
        if self.random.random() < 0.4:
            return [Edit("remove", _path(name))]
        return [self.better(name)]

    def better(self, name: bytes) -> Edit:
        return self._write(name, self.script(5, b"../" * name.count(b"/")))

    @staticmethod
    def _write(name: bytes, content: bytes) -> Edit:
        return Edit("write", _path(name), content)


_WAIT = Edit("wait", b"")


def _path(name: bytes) -> bytes:
    return b"/p/" + name
