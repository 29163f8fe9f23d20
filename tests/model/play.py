"""Plays a history in the simulation and by the oracle, and compares the two after each build."""

from tests.model.filesystem import Edit, Files
from tests.model.histories import Build, History, Restart, Step
from tests.model.oracle import Entry, Oracle
from tests.model.shrink import shrink
from tests.model.simulation import Simulation
from tests.model.telling import changes, name_of, names_of, tell, tell_step

COARSE = 4_000_000
"""Nanoseconds: the tick of a common kernel's clock."""
_DIRECTORIES = (b"/", b"/p", b"/p/d")
"""What is watched: of four histories one after the other nothing, the first, two, all."""


class Comparing:
    """Compares what ran with what had to."""

    def __init__(self, history: History, oracle: Oracle) -> None:
        self.history = history
        self.oracle = oracle
        self.needless = 0
        """Runs that the oracle knows no cause for."""
        self._is_loose = False
        """Scripts may run, perhaps builds later, for what the oracle knows nothing of."""

    def _compare_runs(self, build: Build, ran: list[bytes], expected: list[bytes]) -> None:
        said = f"it ran {names_of(ran)} and should have run {names_of(expected)}"
        self._is_loose |= build.jobs > 1 and self._are_ahead(set(ran) - set(expected))
        if self.history.links or self._is_loose:
            assert set(expected) <= set(ran), said
            self.needless += len(ran) - len(expected)
        elif self.history.serial:
            assert ran == expected, said
        else:
            assert sorted(ran) == sorted(expected), said

    def _are_ahead(self, more: set[bytes]) -> bool:
        """Where several scripts run at a time, a target may be judged before what it was made from has failed. Then
        others with a checksum are built ahead, for which it would not have asked any more.
        """
        entries = self.oracle.entries
        has_checksum = all(path in entries and entries[path].checksum for path in more)
        return bool(more) and bool(self.oracle.session.failed) and has_checksum

    def _compare_both_runs(self, build: Build, ran: list[bytes], expected: list[bytes], before: list[bytes]) -> None:
        """What a build that was broken off ran before, and then again, is what it would have run.

        A script that has run before an edit in the midst of the build and after it may have changed its stamp and
        changed it back.
        """
        self._is_loose |= build.edit is not None and not set(ran).isdisjoint(before)
        said = f"it ran {names_of(before)}, then {names_of(ran)}, and should have run {names_of(expected)}"
        assert set(expected) <= {*ran, *before}, said
        assert self._is_loose or self.history.links or set(ran) <= set(expected), said

    def _targets(self, build: Build) -> list[bytes]:
        """Asked for at the same time, g may or may not find the script that is being made; then it is left out."""
        is_chance = not self.oracle.files.exists(b"/p/g.do")
        names = [name for name in build.targets if not (is_chance and name == b"g")]
        return [b"/p/" + name for name in names or [b"g.do"]]

    def _edit(self, edit: Edit) -> None:
        """For both sides."""
        raise NotImplementedError

    def _edit_before(self, build: Build, targets: list[bytes]) -> bool:
        """Make the edit at once that was to come in the middle, where a target begins to fail. One that has failed is
        run before what would else be built ahead for it, so what is built would depend on the moment.
        """
        if build.edit is None:
            return False
        entries = self.oracle.entries
        if all(path not in entries or entries[path].failed for path in self.oracle.would_fail(targets)):
            return False
        self._edit(build.edit)
        return True


class Play(Comparing):
    """One history: the same edits for both sides."""

    def __init__(self, history: History) -> None:
        super().__init__(history, Oracle(Files()))
        tick = COARSE if history.coarse else 1
        watched = _DIRECTORIES[: history.seed % 4]
        self.ours = Simulation(Files(tick), seed=history.seed, watched=watched)

    def run(self) -> None:
        """Raises AssertionError at the first difference."""
        for edit in self.history.begin:
            self._edit(edit)
        for number, step in enumerate(self.history.steps, 1):
            try:
                self._step(step)
            except Exception as error:
                raise AssertionError(f"step {number} ({tell_step(step)}): {error or type(error).__name__}") from error

    def _edit(self, edit: Edit) -> None:
        edit.apply(self.ours.files)
        edit.apply(self.oracle.files)

    def _step(self, step: Step) -> None:
        match step:
            case Edit():
                self._edit(step)
            case Restart("stop"):
                self.ours.restart()
            case Restart():
                self.ours.kill()
            case Build():
                self._build(step, self._break(step) if step.broken else None)

    def _break(self, build: Build) -> list[bytes] | None:
        """Begin a build, and break it off; what it has run. What it has done by then depends on chance."""
        targets = self._targets(build)
        if self._edit_before(build, targets):
            return None
        ours, before = self.ours, len(self.ours.ran)
        client = ours.start(targets, jobs=build.jobs, keep_going=True)
        for _ in range(build.after):
            ours.advance()
        match build.broken:
            case "kill":
                ours.kill()
            case "stop":
                ours.cancel(client)
                ours.finish()
                ours.restart()
            case "cancel":
                ours.cancel(client)
            case _:
                assert build.edit is not None
                self._edit(build.edit)
        ours.finish()
        return [ran.target for ran in ours.ran[before:]]

    def _build(self, build: Build, ran_before: list[bytes] | None) -> None:
        targets = self._targets(build)
        status, expected = self.oracle.build(targets, force=build.force, keep_going=build.keep_going)
        self.ours.most_running = 0
        result, ran = self.ours.build(*targets, force=build.force, jobs=build.jobs, keep_going=build.keep_going)
        if ran_before is None:
            self._compare_runs(build, ran, expected)
        else:
            self._compare_both_runs(build, ran, expected, ran_before)
        assert bool(result) == bool(status), f"its status is {result} and should be {status}"
        found, wanted = self.ours.files.contents, self.oracle.files.contents
        assert found == wanted, f"other bytes: {changes(wanted, found)}"
        for path in self.oracle.session.ready:
            assert self.ours.graph.node(path).is_target, f"{name_of(path)} is not known as ours"
        assert self.ours.most_running <= build.jobs, f"{self.ours.most_running} jobs ran at once"
        self._compare_with_clean(targets, build)

    def _compare_with_clean(self, targets: list[bytes], build: Build) -> None:
        """Every target that is up to date now must be as a build of a fresh copy of the sources makes it."""
        ready = self.oracle.session.ready
        if self.oracle.session.failed and not build.keep_going:
            return
        clean = Oracle(_fresh_copy(self.oracle))
        for path in self.oracle.session.failed & self.oracle.entries.keys():
            if self.oracle.entries[path].is_ours:
                # It keeps its old bytes, and fails again.
                clean.entries[path] = Entry(is_ours=True, failed=True, state=clean.files.state_of(path))
        clean.build(targets, force=False, keep_going=True)
        made, ours = clean.files.contents, self.ours.files.contents
        if failed := ready & clean.session.failed:
            assert self._calls_redo(), f"{names_of(failed)} would fail in a clean build"
            return
        for path in ready & clean.session.ready:
            assert ours.get(path) == made.get(path), (
                f"{name_of(path)} is {ours.get(path)!r}, and {made.get(path)!r} in a clean build"
            )

    def _calls_redo(self) -> bool:
        """What a script just calls `redo` for it does not depend on, and that may fail by now."""
        return any(b"\nredo " in b"\n" + text for text in self.ours.files.contents.values())


def _fresh_copy(oracle: Oracle) -> Files:
    """The sources, what the user edited, and what cannot be made any more: without what a build would make."""
    files, failed = oracle.files.copy(), oracle.session.failed
    for path, entry in oracle.entries.items():
        # A directory may be the user's, and g.do must be there before g can have a script.
        kept = path in failed or files.is_directory(path) or path == b"/p/g.do" or oracle.find_dofile(path) is None
        if entry.is_ours and not kept:
            files.remove(path)
    return files


def fails(history: History) -> str:
    """What is wrong with it; the empty string when it passes."""
    try:
        Play(history).run()
    except AssertionError as error:
        return str(error)
    return ""


def check(history: History, *, shrunk: bool = True) -> None:
    """Play it; if it fails, tell the shortest history found that fails, too. Raises AssertionError."""
    problem = fails(history)
    if problem:
        smallest = shrink(history, problem, fails) if shrunk else history
        raise AssertionError(f"{problem}\ncut down, {fails(smallest)}\n{tell(smallest)}")
