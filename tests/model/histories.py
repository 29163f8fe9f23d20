"""Random projects, and random things that users do to them. Everything follows from the seed."""

import random
from collections.abc import Callable

from tests.model.filesystem import Files

Edit = Callable[[Files], None]

TARGETS = [b"t%d" % number for number in range(7)]
MATCHED = [b"u0.x", b"u1.x", b"d/v0.y"]
"""Made by `default*` scripts."""
SOURCES = [b"s%d" % number for number in range(5)]
MAYBE = [b"e0", b"e1"]
"""Names that scripts depend on not to exist."""
LISTS = [b"l0", b"l1"]
BETTER = [b"u0.x.do", b"d/default.y.do", b"d/v0.y.do", b"u1.x.do"]
EVERYTHING = [b"g.do", *TARGETS, *MATCHED, b"g"]


class Project:
    """What is random about one history."""

    def __init__(self, seed: int, *, coarse: bool) -> None:
        self.coarse = coarse
        self.random = random.Random(seed)
        self._writes = 0

    def initial(self) -> list[Edit]:
        """Write the first sources and scripts."""
        edits = [_mkdir(b"/p/d")]
        edits += [_write(b"/p/" + name, self.text()) for name in SOURCES]
        edits += [_write(b"/p/" + name, self.listing()) for name in LISTS]
        edits += [_write(b"/p/" + name + b".do", self.script(index)) for index, name in enumerate(TARGETS)]
        edits.append(_write(b"/p/default.x.do", b"need $2.src s0\nout\n"))
        edits.append(_write(b"/p/default.y.do", b"need s1 $2.src\n" + self.output()))
        edits += [_write(b"/p/" + name + b".src", self.text()) for name in (b"u0", b"u1", b"d/v0")]
        edits.append(_write(b"/p/g.do.do", b"copy gs\n" + self.random.choice([b"", b"stamp out\n"]) + b"out\n"))
        edits.append(_write(b"/p/gs", self.script(5)))
        return edits

    def edit(self, files: Files) -> list[Edit]:
        """Something that a user does to `files`."""
        choice = self.random.choice
        name = b"/p/" + choice(SOURCES)
        if self.coarse and self.random.random() < 0.7:
            return [_write(name, self.text(), in_place=choice([True, False]))]
        change = choice([
            self._source, self._source, self._source, self._script, self._script, self._target, self._target,
            self._maybe, self._list, self._better, self._attributes,
        ])  # fmt: skip
        edits = change(files)
        return edits if not self.coarse else [_wait, *edits, _wait]

    def text(self) -> bytes:
        self._writes += 1
        return b"x%06d" % self._writes

    def listing(self) -> bytes:
        return b" ".join(self.random.sample([*TARGETS[4:], *SOURCES, *MATCHED[:2]], self.random.randint(0, 2)))

    def output(self) -> bytes:
        kinds = [b"out"] * 9 + [b"temp"] * 3 + [b""] * 2 + [b"dir", b"both", b"fail 3", b"die 9"]
        # Within one tick of a coarse clock, nobody sees that a script changed its target itself.
        kinds += [] if self.coarse else [b"self"]
        kind = self.random.choice(kinds)
        lines = [b"parity"] * (self.random.random() < 0.4)
        if self.random.random() < 0.35:
            # What is stamped tells what will be made, or the stamp would be a lie.
            lines.append(b"stamp " + (b"out" if kind == b"temp" else kind or b"nothing").replace(b" ", b"-"))
        lines += [b"hold"] * (self.random.random() < 0.1)
        return b"\n".join([*lines, kind, b""])

    def script(self, index: int) -> bytes:
        """A script for the target of this number: it asks only for later ones."""
        chance, choice = self.random.random, self.random.choice
        below = [*TARGETS[index + 1 :], *MATCHED, *SOURCES] if index < 5 else SOURCES
        lines = []
        for _ in range(self.random.randint(1, 3)):
            names = b" ".join(self.random.sample(below, self.random.randint(1, 2)))
            lines.append(choice([b"need ", b"need ", b"need ", b"try "]) + names)
        if index < 4 and chance() < 0.3:
            lines.append(b"from " + choice(LISTS))
        if chance() < 0.15:
            lines.append(b"absent " + choice(MAYBE))
        if chance() < 0.1:
            lines.append(b"always")
        if chance() < 0.15:
            lines.append(b"late " + choice(SOURCES))
        return b"\n".join([*lines, self.output()])

    def _source(self, files: Files) -> list[Edit]:
        path = b"/p/" + self.random.choice([*SOURCES, b"u0.src", b"u1.src", b"d/v0.src"])
        if not files.exists(path):
            return [_write(path, self.text())]
        if files.is_directory(path):
            # That one went and came back is seen or not, as somebody happened to look meanwhile or not.
            return []
        kind = self.random.choice(["write", "write", "in place", "delete", "restore", "directory"])
        match kind:
            case "delete":
                return [_remove(path)]
            case "directory":
                return [_remove(path), _mkdir(path)] if self.random.random() < 0.3 else [_write(path, self.text())]
            case "restore":
                # Of a size of its own: with a hard link made in between, nothing else would tell.
                return [_write_and_restore(path, self.text() + b"." * self._writes)]
            case _:
                return [_write(path, self.text(), in_place=kind == "in place")]

    def _attributes(self, files: Files) -> list[Edit]:
        path = b"/p/" + self.random.choice([*SOURCES, *TARGETS, *MATCHED])
        if not files.exists(path) or files.is_directory(path):
            return []
        return [self.random.choice([_touch, _chmod, _link])(path)]

    def _script(self, files: Files) -> list[Edit]:
        index = self.random.randrange(len(TARGETS))
        path = b"/p/" + TARGETS[index] + b".do"
        if files.exists(path) and self.random.random() < 0.2:
            return [_remove(path)]
        if self.random.random() < 0.2:
            return [_write(b"/p/gs", self.script(5))]
        return [_write(path, self.script(index))]

    def _target(self, files: Files) -> list[Edit]:
        path = b"/p/" + self.random.choice([*TARGETS, *MATCHED, b"g", b"g.do"])
        if files.exists(path) and self.random.random() < 0.6:
            return [_remove(path)]
        if path == b"/p/g.do":
            return [_write(path, self.script(5))]
        if self.random.random() < 0.15:
            return [_remove(path), _mkdir(path)]
        return [_write(path, self.text())]

    def _maybe(self, files: Files) -> list[Edit]:
        path = b"/p/" + self.random.choice(MAYBE)
        return [_remove(path) if files.exists(path) else _write(path, self.text())]

    def _list(self, files: Files) -> list[Edit]:
        return [_write(b"/p/" + self.random.choice(LISTS), self.listing())]

    def _better(self, files: Files) -> list[Edit]:
        path = b"/p/" + self.random.choice(BETTER)
        return [_remove(path) if files.exists(path) else _write(path, self.script(5))]


def _write(path: bytes, content: bytes, *, in_place: bool = False) -> Edit:
    return lambda files: files.write(path, content, in_place=in_place)


def _remove(path: bytes) -> Edit:
    return lambda files: files.remove(path)


def _mkdir(path: bytes) -> Edit:
    return lambda files: files.mkdir(path)


def _touch(path: bytes) -> Edit:
    return lambda files: files.change(path, mtime_ns=files.stamp(path).mtime_ns + 1_000_000_000)


def _chmod(path: bytes) -> Edit:
    return lambda files: files.change(path, mode=(files.stamp(path).mode & 0o777) ^ 0o111)


def _link(path: bytes) -> Edit:
    return lambda files: files.link(path)


def _wait(files: Files) -> None:
    files.now += 100_000_000


def _write_and_restore(path: bytes, content: bytes) -> Edit:
    def edit(files: Files) -> None:
        before = files.stamp(path).mtime_ns
        files.write(path, content, in_place=True)
        if not files.is_directory(path):
            files.change(path, mtime_ns=before)

    return edit
