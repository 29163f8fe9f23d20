"""What the model test is worth: in cores with one rule broken it must find the error, within so many histories."""

import os
from collections.abc import Callable

import pytest

from redod.core import check as checks
from redod.core import moves, runs, settle, stamps, suspects
from redod.core.check import Check
from redod.core.graph import NO_DOUBTS, Dep, DepKind, Node
from redod.core.model import Job, World
from redod.core.stamps import Stamp
from redod.core.tokens import Pool
from redod.core.verdicts import Clean, Verdict
from tests.model import storage
from tests.model.play import fails
from tests.model.shrink import shrink
from tests.model.test_model import history_of

SEEDS = range(1, int(os.environ.get("REDOD_MUTANT_RUNS", "600")) + 1)
Patch = pytest.MonkeyPatch
Break = Callable[[Patch], None]


def ignore_ifcreate(patch: Patch) -> None:
    _drop_deps(patch, lambda job, dep: dep.kind is DepKind.IFCREATE)


def ignore_the_dofile(patch: Patch) -> None:
    _drop_deps(patch, lambda job, dep: dep.node is job.dofile_node)


def ignore_late_sources(patch: Patch) -> None:
    patch.setattr(moves, "_is_late", lambda job, node: False)


def ignore_mode_bits(patch: Patch) -> None:
    _see_the_same(patch, lambda old, new: old._replace(mode=new.mode) if old.exists and new.exists else old)


def ignore_missing_targets(patch: Patch) -> None:
    _see_the_same(patch, lambda old, new: old if new.exists else new)


def ignore_the_ctime_of_sources(patch: Patch) -> None:
    original = stamps.source_difference
    patch.setattr(settle, "source_difference", lambda old, new: original(old._replace(ctime_ns=new.ctime_ns), new))


def ignore_what_racy_sources_hold(patch: Patch) -> None:
    original = stamps.source_difference
    patch.setattr(settle, "source_difference", lambda old, new: original(old._replace(content=b""), new))


def ignore_edits_of_targets(patch: Patch) -> None:
    patch.setattr(settle, "is_hand_edit", lambda recorded, found: False)


def ignore_better_dofiles(patch: Patch) -> None:
    patch.setattr(Check, "_passed_over", lambda check, node: [])


def forget_always(patch: Patch) -> None:
    def before(job: Job) -> None:
        job.always = False

    _before_installing(patch, before)


def forget_checksums(patch: Patch) -> None:
    def before(job: Job) -> None:
        job.checksum = b""

    _before_installing(patch, before)


def keep_the_checksum_of_an_earlier_build(patch: Patch) -> None:
    def before(job: Job) -> None:
        job.checksum = job.checksum or job.node.checksum

    _before_installing(patch, before)


def forget_failures(patch: Patch) -> None:
    original = runs._record_failure
    patch.setattr(runs, "_record_failure", lambda world, job, status, *rest: original(world, job, 0, *rest))


def verify_once_and_for_all(patch: Patch) -> None:
    original = Check._judge_itself

    def judge(check: Check, frame: checks._Frame) -> Verdict | None:
        return Clean() if frame.node.is_target and frame.node.verified else original(check, frame)

    patch.setattr(Check, "_judge_itself", judge)


def recover_nothing_after_a_kill(patch: Patch) -> None:
    patch.setattr(storage, "recover", lambda *arguments: [])


def hear_of_no_script(patch: Patch) -> None:
    patch.setattr(suspects, "_script_came", lambda graph, path: None)


def lose_a_watch_and_go_on(patch: Patch) -> None:
    patch.setattr(suspects, "lose", lambda graph, directories: None)


def doubt_only_the_next_target(patch: Patch) -> None:
    original = suspects.doubt

    def doubt(node: Node) -> None:
        if not node.is_target:
            original(node)

    for module in (suspects, settle, runs):
        patch.setattr(module, "doubt", doubt)


def resolve_all_doubts(patch: Patch) -> None:
    def resolve(node: Node, judged: object) -> None:
        node.doubts = None if node.doubts is None else NO_DOUBTS

    patch.setattr(checks, "resolve", resolve)


def trust_whatever_was_built(patch: Patch) -> None:
    patch.setattr(suspects, "is_sound", lambda dep: True)


def give_a_token_too_many(patch: Patch) -> None:
    original = Pool.__init__
    patch.setattr(Pool, "__init__", lambda pool, size: original(pool, size + 1))


MUTANTS: list[Break] = [
    ignore_ifcreate, ignore_the_dofile, ignore_late_sources, ignore_mode_bits, ignore_missing_targets,
    ignore_the_ctime_of_sources, ignore_what_racy_sources_hold, ignore_edits_of_targets, ignore_better_dofiles,
    forget_always, forget_checksums, keep_the_checksum_of_an_earlier_build, forget_failures, verify_once_and_for_all,
    recover_nothing_after_a_kill, give_a_token_too_many, hear_of_no_script, lose_a_watch_and_go_on,
    doubt_only_the_next_target, resolve_all_doubts, trust_whatever_was_built,
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_model_finds_a_core_that_would(mutant: Break, monkeypatch: Patch) -> None:
    mutant(monkeypatch)
    assert any(fails(history_of(seed)) for seed in SEEDS)


def test_a_failing_history_is_cut_down_to_what_matters(monkeypatch: Patch) -> None:
    ignore_ifcreate(monkeypatch)
    failing = next(history for history in map(history_of, SEEDS) if fails(history))
    smallest = shrink(failing, fails(failing), fails)
    assert fails(smallest)
    assert len(smallest.steps) == 3, "a build, the name that comes to exist, a build"
    assert len(smallest.begin) <= 2
    assert b"absent" in b"".join(edit.argument for edit in smallest.begin)


def _drop_deps(patch: Patch, is_dropped: Callable[[Job, Dep], bool]) -> None:
    original = Job.dep

    def dep(job: Job, kind: DepKind, node: Node, late: bool = False) -> None:
        if not is_dropped(job, Dep(kind, node, 0)):
            original(job, kind, node, late)

    patch.setattr(Job, "dep", dep)


def _see_the_same(patch: Patch, old_as: Callable[[Stamp, Stamp], Stamp]) -> None:
    original = stamps.difference
    for module in (stamps, settle, checks):
        patch.setattr(module, "difference", lambda old, new: original(old_as(old, new), new))


def _before_installing(patch: Patch, change: Callable[[Job], None]) -> None:
    original = runs.installed

    def installed(world: World, job: Job, stamp: Stamp, is_watched: bool, content: bytes) -> None:
        change(job)
        original(world, job, stamp, is_watched, content)

    patch.setattr(runs, "installed", installed)
