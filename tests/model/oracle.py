"""The oracle: the naive redo that SEMANTICS.md describes, strictly serial, on simulated files of its own.

It shares nothing with the core. It knows that a file changed because the history says so (`Files.state_of`), not from
stamps, and decides everything by plain recursion.
"""

from dataclasses import dataclass, field, replace
from functools import cache

from tests.model.filesystem import Files, State
from tests.model.scripts import Script, ScriptFailedError, Version


@dataclass(slots=True)
class Entry:
    """What was recorded of a target. `is_ours`: it is neither edited by hand nor become a source."""

    version: int = 0
    is_ours: bool = False
    state: State = ()
    facts: tuple[int, int] | None = None
    """mtime and size as it was made; None: there was no file."""
    is_lost: bool = False
    failed: bool = False
    always: bool = False
    checksum: bytes = b""
    dofile: bytes = b""
    deps: dict[tuple[str, bytes], Version] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    keep_going: bool = False
    ready: set[bytes] = field(default_factory=set)
    failed: set[bytes] = field(default_factory=set)
    ran: list[bytes] = field(default_factory=list)


class Oracle:
    def __init__(self, files: Files) -> None:
        self.files = files
        self.entries: dict[bytes, Entry] = {}
        self._versions = 0
        self.session = Session()

    def build(self, targets: list[bytes], *, force: bool, keep_going: bool) -> tuple[int, list[bytes]]:
        """One session: its status, and the targets whose scripts ran, in order."""
        self.session = Session(keep_going)
        status = 0 if self.ask(targets, None, force) else 1
        return status, self.session.ran

    def would_fail(self, targets: list[bytes]) -> set[bytes]:
        """What fails when these are built, to the end of it all."""
        twin = Oracle(self.files.copy())
        twin.entries = {path: replace(entry) for path, entry in self.entries.items()}
        twin._versions = self._versions
        twin.build(targets, force=False, keep_going=True)
        return twin.session.failed

    # The commands.

    def ask(self, targets: list[bytes], deps: dict[tuple[str, bytes], Version] | None, force: bool = False) -> bool:
        good = True
        for target in dict.fromkeys(targets):
            done = self._make(target, force)
            if deps is not None:
                deps.setdefault(("ifchange", target), self.version(target))
            good = good and done
            if not good and not self.session.keep_going:
                return False
        return good

    def _make(self, target: bytes, force: bool) -> bool:
        session = self.session
        if target in session.failed and not force:
            return False
        self._look(target)
        if self._is_source(target):
            return True
        while True:
            verdict = None if force else self._judge(target, [])
            if isinstance(verdict, list) and verdict:
                self.ask(verdict, None)
                continue
            if verdict is not None:
                return True
            dofile = self.find_dofile(target)
            if dofile is None:
                return self._without_dofile(target)
            path, stem = dofile
            if path in session.failed:
                session.failed.add(target)
                return False
            self._look(path)
            if self._is_ours(path) and path not in session.ready:
                self._make(path, False)
                continue
            return self._run(target, path, stem)

    def _without_dofile(self, target: bytes) -> bool:
        self.entries.pop(target, None)
        if self.files.exists(target):
            return True
        self.session.failed.add(target)
        return False

    # What is out of date.

    def _judge(self, target: bytes, above: list[bytes]) -> list[bytes] | None:
        """None: out of date. A list: up to date if these, built first, turn out to be unchanged."""
        self._look(target)
        entry = self.entries.get(target)
        if entry is None or not entry.is_ours:
            return None
        if target in self.session.ready:
            return []
        if self._is_out_of_date_itself(target, entry):
            return None
        for _, path in entry.deps:
            self._look(path)
        first: list[bytes] = []
        for (kind, path), version in entry.deps.items():
            if kind == "ifcreate":
                if self.files.exists(path):
                    return None
                continue
            below = self._judge_dependency(path, version, [*above, target])
            if below is None:
                return None
            first.extend(below)
        if not first:
            self.session.ready.add(target)
        return list(dict.fromkeys(first))

    def _is_out_of_date_itself(self, target: bytes, entry: Entry) -> bool:
        if entry.is_lost or entry.failed or entry.always or self._differs(target, entry):
            return True
        return any(map(self.files.leads_to_file, _names_before(target, entry.dofile)))

    def _judge_dependency(self, path: bytes, version: Version, above: list[bytes]) -> list[bytes] | None:
        if path in above:
            return None
        entry = self.entries.get(path)
        if self._is_ours(path):
            assert entry is not None
            verdict = self._judge(path, above)
            if verdict is None:
                return [path] if entry.checksum and path not in self.session.failed else None
            if verdict:
                return verdict
        elif not self.files.exists(path) or (self.files.is_directory(path) and self.find_dofile(path) is not None):
            return None
        return [] if self.version(path) == version else None

    # What is there.

    def _look(self, path: bytes) -> None:
        """A target of ours that the user deleted is lost; one that the user wrote is the user's."""
        entry = self.entries.get(path)
        if entry is None or not entry.is_ours or self.files.state_of(path) == entry.state:
            return
        files, facts = self.files, entry.facts
        if not files.exists(path):
            if facts is not None:
                entry.is_lost, entry.facts, entry.state = True, None, ()
        elif not files.is_directory(path) and facts != self._facts(path):
            entry.is_ours, entry.checksum = False, b""

    def _differs(self, path: bytes, entry: Entry) -> bool:
        """A directory is a directory, and nothing is nothing, whatever was there meanwhile."""
        if not self.files.exists(path) or self.files.is_directory(path):
            return self._facts(path) != entry.facts
        return self.files.state_of(path) != entry.state

    def _facts(self, path: bytes) -> tuple[int, int] | None:
        stamp = self.files.stamp(path)
        return (stamp.mtime_ns, stamp.size) if stamp.exists else None

    def _is_ours(self, path: bytes) -> bool:
        entry = self.entries.get(path)
        return entry is not None and entry.is_ours

    def _is_source(self, path: bytes) -> bool:
        return self.files.exists(path) and not self.files.is_directory(path) and not self._is_ours(path)

    def version(self, path: bytes) -> Version:
        if self._is_ours(path):
            return "made", self.entries[path].version
        if self.files.is_directory(path):
            return "directory", 0
        return "file", self.files.source_state(path)

    def find_dofile(self, target: bytes) -> tuple[bytes, bytes] | None:
        return next((found for found in _dofile_names(target) if self.files.leads_to_file(found[0])), None)

    # Running a script.

    def _run(self, target: bytes, dofile: bytes, stem: bytes) -> bool:
        session, files = self.session, self.files
        session.ran.append(target)
        script = Script(self, target, dofile, stem)
        before = files.state_of(target)
        entry = self.entries.setdefault(target, Entry())
        try:
            script.run()
            self._put_in_place(target, script, before)
        except ScriptFailedError:
            session.failed.add(target)
            session.ready.discard(target)
            entry.failed = True
            entry.always = entry.always or script.always
            entry.deps = {**entry.deps, **script.deps}
            entry.dofile = dofile
            if files.state_of(target) != before:
                self._is_as_made(target, entry)
                self._renew(entry)
            if not files.exists(target):
                entry.checksum = b""
            return False
        if not (script.checksum and script.checksum == entry.checksum):
            self._renew(entry)
        self._is_as_made(target, entry)
        entry.failed, entry.always, entry.checksum = False, script.always, script.checksum
        entry.dofile, entry.deps = dofile, script.deps
        session.ready.add(target)
        session.failed.discard(target)
        return True

    def _renew(self, entry: Entry) -> None:
        self._versions += 1
        entry.version = self._versions

    def _is_as_made(self, target: bytes, entry: Entry) -> None:
        entry.is_ours, entry.is_lost = True, False
        entry.state, entry.facts = self.files.state_of(target), self._facts(target)

    def _put_in_place(self, target: bytes, script: Script, before: State) -> None:
        files, made = self.files, script.made
        if files.state_of(target) != before or {"out", "temp"} <= made:
            raise ScriptFailedError
        if "dir" in made:
            files.remove(target)
            files.mkdir(target)
        elif made:
            if files.is_directory(target):
                raise ScriptFailedError
            if "ln" in made:
                files.hard_link(target, script.leads_to)
            elif "sym" in made:
                files.symlink(target, script.leads_to)
            else:
                files.write(target, script.output)
        elif not files.is_directory(target):
            files.remove(target)


@cache
def _dofile_names(target: bytes) -> list[tuple[bytes, bytes]]:
    """Where the script may be, best first, each with its `$2`."""
    directory, name = target.rsplit(b"/", 1)
    found = [(directory + b"/" + name + b".do", name)]
    below = b""
    while True:
        pieces = name.split(b".")
        for count in range(1, len(pieces) + 1):
            extension = b"".join(b"." + piece for piece in pieces[count:])
            stem = below + name[: len(name) - len(extension)]
            found.append((directory + b"/default" + extension + b".do", stem))
        if not directory:
            return found
        directory, last = directory.rsplit(b"/", 1)
        below = last + b"/" + below


def _names_before(target: bytes, dofile: bytes) -> list[bytes]:
    names = [path for path, _ in _dofile_names(target)]
    return names[: names.index(dofile)]
