"""The build tools that are compared, and how each is called. It does not know what they build."""

import shutil
import sys
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path

from bench.workloads import Flavour


@dataclass(frozen=True, slots=True)
class Tool:
    """`full` builds all from nothing, `again` brings `all` up to date, `stop` ends the tool's daemon (empty: none)."""

    label: str
    flavour: Flavour
    full: tuple[str, ...]
    again: tuple[str, ...]
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Redo:
    """An installed redo, by the directory of its commands. It may be any redo: one without `redod` has no daemon."""

    label: str
    directory: Path

    def command(self, name: str, *args: str) -> tuple[str, ...]:
        return (str(self.directory / name), *args)

    def tool(self, jobs: int) -> Tool:
        stop = self.command("redod", "stop") if (self.directory / "redod").exists() else ()
        full = self.command("redo", f"-j{jobs}", "all")
        return Tool(self.label, Flavour.REDO, full, self.command("redo-ifchange", "all"), stop)


def peers(jobs: int) -> list[Tool]:
    """make and ninja; one that is not installed is left out, which is said on stderr."""
    found = []
    for flavour in (Flavour.MAKE, Flavour.NINJA):
        program = _find(flavour.value)
        if program is None:
            print(f"{flavour.value}: not found, left out", file=sys.stderr)
            continue
        argv = (program, f"-j{jobs}", "all")
        found.append(Tool(flavour.value, flavour, argv, argv))
    return found


def add_redo_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--redo",
        metavar="[LABEL=]DIRECTORY",
        action="append",
        type=_redo,
        help="where a redo's commands are; may be given several times (default: the redo on PATH)",
    )


def chosen_redos(given: list[Redo] | None) -> list[Redo]:
    """The redos named on the command line, else the one that is found. Raises SystemExit where there is none."""
    if given:
        if len({redo.label for redo in given}) < len(given):
            raise SystemExit("--redo: give each its own label, as in --redo native=DIRECTORY --redo python=DIRECTORY")
        return given
    program = _find("redo")
    if program is None:
        raise SystemExit("redo: not found; install this project, or say where it is with --redo DIRECTORY")
    return [Redo("redod", Path(program).parent)]


def _redo(text: str) -> Redo:
    label, equals, directory = text.rpartition("=")
    found = Redo(label if equals else "redod", Path(directory).absolute())
    if not (found.directory / "redo-ifchange").exists():
        raise ArgumentTypeError(f"{directory}: holds no redo-ifchange")
    return found


def _find(name: str) -> str | None:
    beside_python = Path(sys.executable).parent / name
    return shutil.which(name) or (str(beside_python) if beside_python.exists() else None)
