"""Cutting a failing history down: steps, files and lines of scripts are left out as long as it still fails."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from tests.model.filesystem import Edit
from tests.model.histories import Build, History, Step

T = TypeVar("T")


def shrink(history: History, found: str, problem: Callable[[History], str], *, tries: int = 3000) -> History:
    """The smallest history found that still fails, after at most so many tries. `found` is its `problem`; in a smaller
    one it has to be of the same kind, so that it does not become a history that makes no sense.
    """
    kind = _kind(found)
    while True:
        for smaller in _smaller(history):
            if tries == 0:
                return history
            tries -= 1
            if _kind(problem(smaller)) == kind:
                history = smaller
                break
        else:
            return history


def _kind(problem: str) -> str:
    """`it ran`, `other bytes`, `its status` ...: what follows the step."""
    return " ".join(problem.partition("): ")[2].split()[:2])


def _smaller(history: History) -> Iterator[History]:
    """Histories with a little less each, the boldest first."""
    for steps in _without_some(history.steps):
        yield replace(history, steps=steps)
    for begin in _without_some(history.begin):
        yield replace(history, begin=begin)
    for number, step in enumerate(history.steps):
        for simpler in _simpler(step):
            yield replace(history, steps=(*history.steps[:number], simpler, *history.steps[number + 1 :]))
    for number, edit in enumerate(history.begin):
        for plainer in _plainer(edit):
            yield replace(history, begin=(*history.begin[:number], plainer, *history.begin[number + 1 :]))


def _without_some(things: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    size = len(things) // 2
    while size:
        for start in range(0, len(things), size):
            yield things[:start] + things[start + size :]
        size //= 2


def _simpler(step: Step) -> Iterator[Step]:
    match step:
        case Build():
            yield from (step._replace(targets=targets) for targets in _without_some(step.targets) if targets)
            if step.jobs > 1:
                yield step._replace(jobs=step.jobs - 1)
            if step.force and not step.broken:
                yield step._replace(force=False)
        case Edit():
            yield from _plainer(step)
        case _:
            pass


def _plainer(edit: Edit) -> Iterator[Edit]:
    """A script with a line less, or a name less in a line. Its last line stays: what is stamped tells what it makes."""
    lines = edit.argument.splitlines()
    if edit.verb != "write" or len(lines) < 2:
        return
    for number, line in enumerate(lines[:-1]):
        yield edit._replace(argument=_join([*lines[:number], *lines[number + 1 :]]))
        verb, *names = line.split()
        if len(names) > 1:
            for fewer in _without_some(tuple(names)):
                plainer = b" ".join([verb, *fewer])
                yield edit._replace(argument=_join([*lines[:number], plainer, *lines[number + 1 :]]))


def _join(lines: list[bytes]) -> bytes:
    return b"\n".join([*lines, b""])
