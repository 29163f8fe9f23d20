"""What random histories are made of: nothing that they are meant to have may be missing without anybody noticing."""

from collections import Counter

from redod.core.graph import Kind
from redod.core.verdicts import Why
from tests.model.filesystem import Edit
from tests.model.histories import BETTER, MATCHED, TARGETS, Build, History, Restart
from tests.model.play import Play
from tests.model.test_model import history_of

SEEDS = range(1, 151)
SCRIPTS = [
    "need", "try", "fork", "from", "late", "copy", "odd", "absent", "always", "stamp", "parity", "redo", "ln", "sym",
    "out", "temp", "both", "self", "dir", "nothing", "fail", "die", "hold",
]  # fmt: skip
EDITS = ["write", "rewrite", "restore", "remove", "mkdir", "rename", "touch", "chmod", "link", "symlink", "wait"]


def test_scripts_do_all_that_the_little_language_has() -> None:
    said: Counter[str] = Counter()
    for history in map(history_of, SEEDS):
        edits = [*history.begin, *(step for step in history.steps if isinstance(step, Edit))]
        lines = [line for edit in edits if edit.verb == "write" for line in edit.argument.decode().splitlines()]
        said.update(line.split()[0] for line in lines if line)
    assert all(said[verb] >= 10 for verb in SCRIPTS), said


def test_users_do_all_that_users_do() -> None:
    done: Counter[str] = Counter()
    for history in map(history_of, SEEDS):
        for step in history.steps:
            done.update(_kinds(history, step))
    wanted = [
        *EDITS, "stop", "kill", "redo", "redo-ifchange", "-j1", "-j2", "-j3", "-j4", "-k", "broken by kill",
        "broken by stop", "broken by cancel", "broken by edit", "removes a dofile", "a better dofile", "edits a target",
        "removes a target", "coarse", "serial", "links",
    ]  # fmt: skip
    assert all(done[kind] >= 10 for kind in wanted), done


def _kinds(history: History, step: object) -> list[str]:
    kinds = [name for name in ("coarse", "serial", "links") if getattr(history, name)]
    match step:
        case Edit(verb, path):
            name = path.removeprefix(b"/p/")
            kinds.append(verb)
            kinds += ["removes a dofile"] * (verb == "remove" and name.endswith(b".do"))
            kinds += ["a better dofile"] * (verb == "write" and name in BETTER)
            kinds += [f"{verb}s a target".replace("write", "edit")] * (name in {*TARGETS, *MATCHED})
        case Restart(how):
            kinds.append(how)
        case Build():
            kinds += ["redo" if step.force else "redo-ifchange", f"-j{step.jobs}", *(["-k"] * step.keep_going)]
            kinds += [f"broken by {step.broken}"] * bool(step.broken)
    return kinds


def test_what_they_do_has_every_effect() -> None:
    """Each reason to build is given, and targets come to be all that a file can be."""
    whys: Counter[Why] = Counter()
    ends: Counter[str] = Counter()
    for seed in SEEDS:
        play = Play(history_of(seed))
        play.run()
        whys.update(ran.reason.why for ran in play.ours.ran)
        ends.update("failed" if status else "built" for _, status in play.ours.ended)
        for node in play.ours.graph:
            files = play.ours.files
            ends[node.kind.name] += 1
            if node.kind is Kind.TARGET:
                is_link, is_there = bool(files.stamp(node.path).referent), files.exists(node.path)
                ends["directory"] += files.is_directory(node.path)
                ends["symbolic link"] += is_link
                ends["hard link"] += files.stamp(node.path).nlink > 1
                ends["phony"] += not is_there and node.status == 0
    # Nothing in these projects depends on itself, or is a service.
    assert all(whys[why] for why in Why if why not in (Why.LOOP, Why.SERVICE_ENDED)), whys
    names = [*(kind.name for kind in Kind), "failed", "built", "directory", "symbolic link", "hard link", "phony"]
    assert all(ends[name] >= 10 for name in names), ends
