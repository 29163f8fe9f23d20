"""`redo-affected`: which targets depend on some files, and for save hooks, building those of them that are goals."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import chain

from redod.commands.answer import gently, in_order, open_around, send
from redod.commands.build import build
from redod.commands.context import Attendant, Context, Errand
from redod.core.graph import Node
from redod.core.paths import name_of, relative, show
from redod.core.walks import Dependents, passes_over
from redod.errors import RedodError, UsageError
from redod.session.options import BuildOptions


def redo_affected(context: Context) -> Attendant | None:
    """List the targets that depend on these files, nearest first; `--build`: build the goals among them."""
    found, names = context.options("0bq", ("null", "build", "quiet"))
    if not names:
        raise UsageError("needs a file; see redo-affected --help")
    chosen = {option.lstrip("-")[0] for option, _ in found}
    if "b" in chosen:
        # Hooks name whatever was saved, also files on which nothing can depend.
        names = [name for name in names if b"\n" not in name] or names
    paths = context.paths(names)
    if "b" in chosen:
        if context.run is not None:
            raise RedodError("--build is for save hooks; in a script, depend on targets with redo-ifchange")
        return _Build(context, paths, quiet="q" in chosen)
    return Errand(context, _list, context, paths, b"\0" if "0" in chosen else b"\n")


async def _list(context: Context, paths: list[bytes], end: bytes) -> None:
    await open_around(context, paths)
    levels = [await in_order(context, level, end) async for level in affected(context, paths)]
    await send(context, chain.from_iterable(levels))


async def affected(context: Context, paths: list[bytes]) -> AsyncIterator[set[Node]]:
    """The known targets that depend on the files of these paths, the nearest first (see `Dependents.above`).

    Their workspaces are open.
    """
    graph = context.engine.graph
    dependents = await find_dependents(context)
    scripts = [path for path in paths if name_of(path).endswith(b".do")]
    known = list(graph) if scripts else []
    first = [node async for node in gently(known) if any(passes_over(node, path) for path in scripts)]
    files = [node for node in map(graph.find, await _all_names(context, paths)) if node is not None]
    async for level in gently(dependents.above(files, first)):
        yield level


async def _all_names(context: Context, paths: list[bytes]) -> set[bytes]:
    """These paths, what they lead to where they are symbolic links, and the known links that lead to the same."""
    real = set(map(_real, paths))
    names = real.union(paths)
    async for node in gently(list(context.engine.graph)):
        if node.stamp is not None and node.stamp.referent is not None and _real(node.path) in real:
            names.add(node.path)
    return names


def _real(path: bytes) -> bytes:
    return os.path.realpath(path)


async def find_dependents(context: Context) -> Dependents:
    """Who depends on what, of all that is known."""
    made = Dependents()
    async for _ in gently(chain.from_iterable(map(made.add, list(context.engine.graph)))):
        pass
    return made


class _Build(Errand):
    """First the goals are found, then it is a build like any other."""

    def __init__(self, context: Context, paths: list[bytes], *, quiet: bool) -> None:
        self._paths = paths
        self._quiet = quiet
        self._builder: Attendant | None = None
        super().__init__(context, self._start)

    def interrupt(self, number: int) -> None:
        if self._builder is not None:
            self._builder.interrupt(number)
        else:
            super().interrupt(number)

    def resized(self, columns: int) -> None:
        if self._builder is not None:
            self._builder.resized(columns)

    def gone(self) -> None:
        super().gone()
        if self._builder is not None:
            self._builder.gone()

    async def _start(self) -> None:
        context = self._context
        await open_around(context, self._paths)
        goals = set(context.engine.goals())
        wanted: list[bytes] = []
        if goals:
            async for level in affected(context, self._paths):
                wanted += sorted(node.path for node in level & goals)
        if wanted:
            # By now the server has closed its copy of the client's standard error.
            self._builder = build(replace(context, stderr=-1), wanted, BuildOptions(quiet=self._quiet), force=False)
            return
        if not self._quiet:
            names = ", ".join(show(relative(path, context.invocation.cwd)) for path in self._paths)
            context.complain(f"no goal depends on {names}; goals are what redo-ifchange was asked for by hand")
        context.link.exit(0)
