"""`redo-log`: show again what builds printed."""

import time
from collections.abc import Iterable
from functools import partial

from redod.commands.context import Attendant, Context, Errand
from redod.commands.display import DISPLAY, switch
from redod.core.paths import relative, show
from redod.engine.keeping import log_of
from redod.engine.run import Run
from redod.errors import RedodError, UsageError
from redod.logs.joblog import JobLog
from redod.logs.records import Entry
from redod.logs.replay import replay
from redod.logs.transcript import Style
from redod.progress.line import status_line
from redod.services.tail import Tail
from redod.session.handover import open_stores
from redod.session.options import DisplayOptions
from redod.session.progress import progress_of
from redod.session.screen import Screen


def redo_log(context: Context) -> Attendant | None:
    """Show the last logs of targets, or a running build."""
    found, names = context.options("rufdt", (*DISPLAY, "recursive", "unchanged", "follow", "debug", "timestamps"))
    given = [option for option, _ in found]
    if not names:
        raise UsageError("needs a target; see redo-log --help")
    options = DisplayOptions.model_validate(dict(switch(option) for option in given if option[2:] in DISPLAY))
    short = {option.lstrip("-")[0] for option in given if option[2:] not in DISPLAY}
    style = options.style(context.invocation.cwd, context.terminal(1))
    style = style._replace(times="t" in short, debug="d" in short)
    return _Shown(context, context.paths(names), options, style, "r" in short, "u" in short, "f" in short)


class _Shown(Errand):
    def __init__(
        self, context: Context, paths: list[bytes], options: DisplayOptions, style: Style,
        recursive: bool, unchanged: bool, follow: bool,
    ) -> None:  # fmt: skip
        super().__init__(context, self._start)
        self._paths = paths
        self._options = options
        self._style = style
        self._terminal = context.terminal(2)
        self._recursive = recursive
        self._unchanged = unchanged
        self._follow = follow
        self._screen: Screen | None = None
        self._root = JobLog(context.invocation.cwd)
        self._tails: list[Tail] = []

    def gone(self) -> None:
        super().gone()
        for tail in self._tails:
            tail.close()
        if self._screen is not None:
            self._screen.close()

    async def _start(self) -> None:
        context = self._context
        engine, setting = context.engine, context.setting()
        engine.stores.look_again()
        await open_stores(engine, context, self._paths, setting)
        self._check_known()
        running = self._running() if self._follow else []
        if running:
            for run in running:
                self._root.child(run.log)
            self._root.give_up()
            has_status = self._options.status and self._style.terminal and not self._terminal.is_dumb
            self._screen = Screen(
                engine.loop,
                context.link,
                self._root,
                self._style,
                lambda: context.link.exit(0),
                self._recursive,
                descriptor=1,
                status=partial(self._status_line, running[0]) if has_status else None,
            )
            return
        self._replay()

    def _check_known(self) -> None:
        for path in self._paths:
            node = self._context.engine.graph.find(path)
            if node is None or (not node.workspace and path not in self._running_paths()):
                name = show(relative(path, self._context.invocation.cwd))
                raise RedodError(f"{name} is not a target that redo has built; redo-targets lists those")

    def _running_paths(self) -> set[bytes]:
        return {job.node.path for job in self._context.engine.runs}

    def resized(self, columns: int) -> None:
        self._terminal.columns = columns
        if self._screen is not None:
            self._screen.resized()

    def _status_line(self, run: Run) -> bytes:
        """How far the build is to which the first of the targets belongs."""
        seconds = time.monotonic() - run.began
        progress = progress_of(run.job.session, self._context.invocation.cwd, seconds, is_preparing=False)
        return status_line(progress, self._terminal.columns, self._options.has_color(self._terminal)).encode()

    def _running(self) -> list[Run]:
        runs = {job.node.path: run for job, run in self._context.engine.runs.items()}
        return [runs[path] for path in self._paths if path in runs]

    def _replay(self) -> None:
        context, graph, stores = self._context, self._context.engine.graph, self._context.engine.stores

        def lookup(path: bytes) -> Iterable[Entry] | None:
            node = graph.find(path)
            return None if node is None else log_of(node, stores)

        pieces = replay(self._paths, lookup, self._style, self._recursive, self._unchanged)

        def send() -> None:
            while not context.link.is_full:
                piece = next(pieces, None)
                if piece is None:
                    self._replayed()
                    return
                context.link.output(1, piece)

        context.link.on_room(send)
        send()

    def _replayed(self) -> None:
        """What services have printed comes after what their scripts have."""
        graph, services = self._context.engine.graph, self._context.daemon.services
        found = [services.find(graph.find(path)) for path in self._paths]
        self._tails = [Tail(service, self._context.link, self._follow, self._tail_over) for service in found if service]
        self._next_tail()

    def _next_tail(self) -> None:
        if self._tails:
            self._tails[0].send()
        else:
            self._context.link.exit(0)

    def _tail_over(self) -> None:
        del self._tails[0]
        self._next_tail()
