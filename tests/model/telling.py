"""Histories as text, for who has to find out what went wrong."""

from collections.abc import Iterable, Mapping

from tests.model.filesystem import Edit
from tests.model.histories import Build, History, Restart, Step


def tell(history: History) -> str:
    """What the project is at first, then one step a line."""
    clock = "a clock of 4 ms ticks" if history.coarse else "a fine clock"
    lines = [f"seed {history.seed}, {clock}"]
    lines += [f"  {name_of(edit.path)}: {_text(edit.argument)}" for edit in history.begin]
    lines += [f"{number}. {tell_step(step)}" for number, step in enumerate(history.steps, 1)]
    return "\n".join(lines)


def tell_step(step: Step) -> str:
    match step:
        case Edit("wait"):
            return "wait"
        case Edit(verb, path, argument):
            told = name_of(argument) if verb in ("rename", "symlink") else _text(argument) if argument else ""
            return f"{verb} {name_of(path)} {told}".rstrip()
        case Restart(how):
            return f"{how} the server"
        case Build(targets, force, jobs, keep_going, broken, after, edit):
            options = f"-j{jobs}{' -k' if keep_going else ''}"
            end = f", and {tell_step(edit) if edit else broken} after {after} events" if broken else ""
            return f"{'redo' if force else 'redo-ifchange'} {options} {b' '.join(targets).decode()}{end}"


def changes(before: Mapping[bytes, bytes | None], after: Mapping[bytes, bytes | None]) -> str:
    names = sorted(before.keys() | after.keys())
    changed = (name for name in names if before.get(name) != after.get(name))
    return ", ".join(f"{name_of(name)} is {after.get(name)!r}, not {before.get(name)!r}" for name in changed)


def names_of(paths: Iterable[bytes]) -> str:
    return " ".join(map(name_of, paths)) or "nothing"


def name_of(path: bytes) -> str:
    return path.removeprefix(b"/p/").decode()


def _text(content: bytes) -> str:
    return " | ".join(content.decode().splitlines()) or "(empty)"
