"""The store of one workspace: what builds have recorded, kept on disk in step with the graph.

It owns the order in which journal, database and lock are written, and what is done when they are damaged or gone. It
does not know how rows look (`rows`), how they meet the graph (`loading`, `writing`), nor when to commit (the engine).
"""

import gc
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from redod.core.graph import Graph, Kind, Node
from redod.core.leaving import blank
from redod.core.paths import directory_of, join, show
from redod.core.stamps import Stamp
from redod.core.suspects import suspect
from redod.failpoints import reach
from redod.store import StoreError, classic
from redod.store.copied import copy_store
from redod.store.intents import Intents
from redod.store.loading import Loading
from redod.store.lock import Owner, acquire
from redod.store.made import Entry, Journal, Mark, print_of
from redod.store.recovery import Observe, recover
from redod.store.rows import Names
from redod.store.tables import DATABASE, Damaged, Tables, remove, set_aside
from redod.store.workspaces import Workspace, remake
from redod.store.writing import Writing

COMPACT_ABOVE = 1 << 20
"""Bytes below which a journal is not rewritten for its size."""
_LINE = 100
"""About the bytes of a journal's line."""
_SOME = 100
"""Lines of the journal whose files are looked at in one step."""
_NOWHERE = Mark(0, 0)


class Loaded(NamedTuple):
    """What opening a store did: targets read, targets known by the journal alone (out of date), and
    a text for the user, empty if there is nothing to say. `knows_nothing`: of no file is known whether redo built it.
    """

    targets: int
    recovered: int
    notice: str
    knows_nothing: bool = False


class Store:
    """An open store. `put` marks nodes, `commit` writes them, `intend` writes a line of the journal.

    When a method raises StoreError nothing is lost: the marks stay, and the next commit tries again.
    """

    def __init__(self, workspace: Workspace, number: int, graph: Graph, owner: Owner, observe: Observe) -> None:
        """Own the workspace's store, to be read by `load`; `number` (above 0) is the workspace's in the graph.

        Raises WorkspaceBusy, StoreError.
        """
        self.workspace = workspace
        self.number = number
        self.loaded = Loaded(0, 0, "")
        self._graph = graph
        self._lock = acquire(workspace.lock, owner)
        self._observe = observe
        self._names = Names(workspace.root)
        self._database = join(workspace.directory, DATABASE)
        self._tables: Tables | None = None
        self._journal: Journal | None = None
        self._writing = Writing(self._names, number)
        self._changed: set[Node] = set()
        self._intents = Intents()
        self._compact_at = COMPACT_ABOVE
        self._notice = ""
        """What the next commit has to tell."""
        self.on_renew: Callable[[], None] = lambda: None
        """Called when all of `.redo` was lost and the store is made anew: others keep files there, too."""
        self._adopt(self._loading())

    @classmethod
    def open(cls, workspace: Workspace, number: int, graph: Graph, owner: Owner, observe: Observe) -> "Store":
        """One that is loaded, at once. Raises what its two parts raise."""
        store = cls(workspace, number, graph, owner, observe)
        for _ in store.load():
            pass
        return store

    def load(self) -> Generator[None, None, None]:
        """Read it into the graph, in steps of a few milliseconds between which others may use the graph.

        A damaged store is set aside, which `loaded` tells. Raises StoreError when the files cannot be used now; then,
        and when the last step is not taken, the workspace is released.
        """
        collecting = gc.isenabled()
        # The collector would walk the growing graph again and again, and there is no garbage: not now, not later.
        gc.disable()
        try:
            if self.workspace.original:
                copy_store(self.workspace.original, self.workspace.directory)
            yield from self._begin()
        except BaseException:
            self._lock.give_back()
            raise
        finally:
            gc.freeze()
            if collecting:
                gc.enable()

    @property
    def predecessor(self) -> Owner | None:
        """The server that had the store before and was killed; None after an orderly end."""
        return self._lock.predecessor

    @property
    def pending(self) -> bool:
        """Whether something is to be committed."""
        return bool(self._changed)

    def paths(self) -> list[bytes]:
        """Every path that it names, and those of all our targets; some may be there twice.

        In the order in which they were read, so that memory becomes free from one end to the other.
        """
        paths = self._writing.paths()
        if self._changed:
            # What could not be written may be named nowhere.
            paths += [node.path for node in self._own()]
        return paths

    def places(self) -> list[bytes]:
        """The directories of all files that it named when it was loaded."""
        found = [self._names.path(name[:-1] or name) for name in self._directories]
        return [*found, directory_of(self.workspace.root)] if self.workspace.root in self._writing.ids else found

    @property
    def is_replaced(self) -> bool:
        """Whether `.redo` was removed, and somebody else has made a new one."""
        return self._lock.is_replaced

    @property
    def lock_identity(self) -> bytes:
        """Tells this store from any other, by whatever path it is reached."""
        return self._lock.identity

    def begin(self, node: Node) -> None:
        """The node is a target of this workspace from now on."""
        node.workspace = self.number
        self._writing.begin(node.path)

    def put(self, node: Node) -> None:
        """Mark a node as changed: a target of this workspace, or a file that one of them names."""
        self._changed.add(node)

    def intend(self, path: bytes, stamp: Stamp) -> None:
        """Note that the file with this stamp (lstat's mtime, size and inode) is about to be renamed to `path`.

        To be called before the rename; afterwards put the target. Raises StoreError: then do not rename.
        """
        self.renew()
        file = print_of(stamp)
        self._intents.add(path, self._made.append(self._names.name(path), file), file)

    def commit(self) -> str:
        """Write the present state of all marked nodes, and of what they name, in one transaction.

        Returns a text for the user, nearly always empty. Raises StoreError; WorkspaceBusy if `.redo` was removed and
        somebody else has made and taken a new one.
        """
        if not self._changed:
            return ""
        self.renew()
        notice, self._notice = self._notice, ""
        try:
            self._write()
        except Damaged as damage:
            notice = self._replace(damage)
        if self._made.length > self._compact_at:
            # All that it saves is room: when it fails there is nothing to tell.
            with suppress(StoreError, Damaged):
                self._compact()
        return notice

    def renew(self) -> None:
        """Make everything anew from memory if `.redo` was removed; the next commit tells of it. Raises as `commit`."""
        if not self._is_in_place():
            self._begin_anew()
            self._notice = f"{show(self.workspace.directory)} was removed; it was written anew from memory"
            self.on_renew()

    def checkpoint(self) -> None:
        """Bring what was committed to the disk for good, with fsync: for idle moments. Raises StoreError."""
        if self._tables and self._is_in_place():
            try:
                self._tables.checkpoint()
            except Damaged as damage:
                self._replace(damage)

    def forget(self) -> int:
        """Start over: nothing stays recorded but which files are ours. Returns their number. Raises StoreError.

        If that were forgotten too, each built file would look like a source and never be built again.
        """
        for node in list(self._own()):
            blank(node)
        self._changed.clear()
        self._close_files()
        try:
            remove(self._database)
            reach("forget.removed")
        except OSError as error:
            raise StoreError(f"cannot remove {show(self._database)}: {error.strerror}") from error
        self._adopt(self._loading())
        for _ in self._begin():
            pass
        self.commit()
        return self.loaded.recovered

    def close(self) -> None:
        """Commit and release the workspace. It is released also when this raises StoreError.

        What others have made in its place stays as it is.
        """
        try:
            if not self.is_replaced:
                self.commit()
        finally:
            self._close_files()
            self._lock.close()

    def _begin(self) -> Iterator[None]:
        """Open the files and read them into the graph."""
        notice = ""
        try:
            self._journal = Journal(join(self.workspace.directory, b"made"))
            try:
                mark = yield from self._read()
            except Damaged as damage:
                mark = _NOWHERE
                notice = self._set_aside(damage)
                self._tables = self._open_new()
            targets = self._targets
            entries = self._journal.entries(mark)
            knows_nothing = not self._writing.ids and not entries
            recovered: list[Node] = []
            for start in range(0, len(entries), _SOME):
                recovered += self._recover(entries[start : start + _SOME])
                yield
            imported = self._take(classic.built(self.workspace.root, self._observe)) if knows_nothing else []
        except BaseException:
            self._close_files()
            raise
        self._changed.update(recovered)
        self._compact_at = max(COMPACT_ABOVE, 4 * _LINE * (targets + len(recovered)))
        if not self._journal.generation or mark.generation not in (0, self._journal.generation):
            # A journal that is not the one the database knows may lack what it had: written anew with the next commit.
            self._compact_at = 0
        if notice:
            notice += f"; {len(recovered)} files are known to be built and will be built again"
        if imported:
            notice += (
                f"{notice and '; '}{len(imported)} files that the classic redo built are taken over, and out of date"
            )
        self.loaded = Loaded(targets, len(recovered) + len(imported), notice, knows_nothing and not imported)

    def adopt(self, paths: Iterable[bytes]) -> list[Node]:
        """Make targets, out of date, of files that are known as sources at most; the nodes. Raises StoreError."""
        entries = []
        for path in paths:
            node = self._graph.node(path)
            if node.kind in (Kind.SOURCE, Kind.UNKNOWN) and node.workspace in (0, self.number):
                suspect(node)
                node.stamp = None
                with suppress(OSError):
                    entries.append(Entry(print_of(self._observe(path)), self._names.name(path)))
        return self._take(entries)

    def _take(self, entries: list[Entry]) -> list[Node]:
        """These files are ours from now on; the journal knows it before the database does."""
        for file, name in entries:
            self._intents.add(self._names.path(name), self._made.append(name, file), file)
        taken = self._recover(entries)
        self._changed.update(taken)
        return taken

    def _read(self) -> Generator[None, None, Mark]:
        self._tables = Tables(self._database)
        mark = self._tables.mark()
        loading = self._loading()
        yield from loading.steps(self._tables)
        self._adopt(loading)
        return mark

    def _recover(self, entries: list[Entry]) -> list[Node]:
        return recover(entries, self._graph, self.number, self._names.path, self._observe)

    def _loading(self) -> Loading:
        return Loading(self._graph, self._names, self.number, self._observe)

    def _adopt(self, loading: Loading) -> None:
        self._writing.continue_from(loading)
        self._targets = loading.targets
        self._directories = loading.directories
        self._changed.update(loading.translated)

    def _is_in_place(self) -> bool:
        return self._tables is not None and self._journal is not None and self._tables.in_place

    def _begin_anew(self) -> None:
        """Write everything from memory: `.redo` was removed, or could not be written anew before."""
        self._close_files()
        remake(self.workspace)
        self._lock.renew()
        if os.path.lexists(self._database):
            # Somebody had the workspace between us and us.
            set_aside(self._database)
        journal = self._journal = Journal(join(self.workspace.directory, b"made"))
        self._tables = self._open_new()
        self._changed.update(self._recover(journal.entries(_NOWHERE)))
        for path, file in self._intents.take():
            self._intents.add(path, journal.append(self._names.name(path), file), file)
        self._compact_at = 0

    def _replace(self, damage: Damaged) -> str:
        """Write everything from memory: the open database turned out to be damaged."""
        notice = self._set_aside(damage)
        self._tables = self._open_new()
        try:
            self._write()
        except Damaged as error:
            raise StoreError(f"cannot use {show(self._database)}: {error}") from error
        return f"{notice}; it was written anew from memory"

    def _set_aside(self, damage: Damaged) -> str:
        if self._tables:
            self._tables.close()
            self._tables = None
        aside = set_aside(self._database)
        return f"{show(self._database)} cannot be used ({damage}); it is now {show(aside)}"

    def _open_new(self) -> Tables:
        """A database without rows, to which all that is known of the workspace is to be written."""
        try:
            tables = Tables(self._database)
        except Damaged as error:
            raise StoreError(f"cannot use {show(self._database)}: {error}") from error
        self._adopt(self._loading())
        self._changed.update(self._own())
        return tables

    def _write(self) -> None:
        """The one transaction. Nothing in memory changes before it has succeeded."""
        assert self._tables
        journal = self._made
        settled = self._intents.settled_by(self._changed)
        mark = Mark(journal.generation, self._intents.start(journal.length, settled))
        self._writing.write(self._tables, self._changed, mark)
        self._intents.settle(settled)
        self._changed.clear()

    def _compact(self) -> None:
        """Rewrite the journal: the targets that there are, then the lines that wait for their result.

        Everything else must be committed. A crash between the two files leaves a journal of a generation that the
        database does not know: all its lines are looked at, and each finds its target recorded.
        """
        assert self._tables
        journal = self._made
        self._compact_at = 2 * journal.length
        start = self._intents.start(journal.length)
        lines = (
            Entry(print_of(node.stamp), self._names.name(node.path))
            for node in self._own()
            if node.kind is Kind.TARGET and node.stamp and node.stamp.exists
        )
        self._intents.move(journal.replace(lines, start) - start)
        self._compact_at = max(COMPACT_ABOVE, 4 * journal.length)
        self._tables.write((), Mark(journal.generation, self._intents.start(journal.length)))
        reach("compaction.marked")

    @property
    def _made(self) -> Journal:
        assert self._journal
        return self._journal

    def _own(self) -> Iterator[Node]:
        return (node for node in self._graph if node.workspace == self.number)

    def _close_files(self) -> None:
        if self._tables:
            self._tables.close()
            self._tables = None
        if self._journal:
            self._journal.close()
            self._journal = None
