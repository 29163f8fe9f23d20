"""The usage texts (`redod.commands.usage`) taken apart: what man pages and completions are made from.

A usage text is a line `usage: NAME ...`, then paragraphs, then perhaps items of two columns, two spaces before the
first and at least two between them, then paragraphs again. An item's text goes on in lines that begin with many spaces.
"""

import re
from dataclasses import dataclass, field

from redod.commands.usage import USAGE

_ITEM = re.compile(r"  (\S.*?)(?:  +(\S.*))?")
_MORE = re.compile(r" {6,}(\S.*)")
_FLAG = re.compile(r"(--?[A-Za-z][\w-]*)(?:(?:=| )([A-Z]+)|=([a-z]+))?")


@dataclass
class Flag:
    """An option under one of its names. `value`: what it takes, as the usage text calls it, or the one word that it
    does, in lower case; empty: nothing.
    """

    name: str
    value: str


@dataclass
class Item:
    """`head`: an option, or a subcommand, with what it takes."""

    head: str
    text: str

    @property
    def flags(self) -> list[Flag]:
        """Its names as an option; none for a subcommand. A value named once is that of all names."""
        if not self.head.startswith("-"):
            return []
        found = [Flag(name, value or word) for name, value, word in _FLAG.findall(self.head)]
        value = next((flag.value for flag in found if flag.value), "")
        return [Flag(flag.name, value) for flag in found]


@dataclass
class Usage:
    """`before` and `after` the items: paragraphs of one line each."""

    name: str
    synopsis: str
    before: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @property
    def operands(self) -> str:
        """What it takes beside options: `TARGET`, `FILE`, `COMMAND` ..., or nothing."""
        found = re.findall(r"[A-Z]+", self.synopsis.replace("OPTION", "").replace("ARGUMENT", ""))
        return found[-1] if found else ""


_STANDARD = {"--help": "show the usage", "--version": "say which redo this is"}


def parse(text: str) -> Usage:
    """Take a usage text apart. Raises ValueError for one that has another form."""
    first, *lines = text.splitlines()
    match = re.fullmatch(r"usage: (\S+) ?(.*)", first)
    if match is None:
        raise ValueError(f"not a usage: {first}")
    usage = Usage(match[1], match[2])
    ends_paragraph = True
    for line in lines:
        paragraphs = usage.after if usage.items else usage.before
        if usage.items and (more := _MORE.fullmatch(line)):
            usage.items[-1].text = f"{usage.items[-1].text} {more[1]}".strip()
        elif item := _ITEM.fullmatch(line):
            usage.items.append(Item(item[1], item[2] or ""))
            ends_paragraph = True
        elif not line:
            ends_paragraph = True
        elif ends_paragraph:
            paragraphs.append(line)
            ends_paragraph = False
        else:
            paragraphs[-1] += " " + line
    named = {flag.name for item in usage.items for flag in item.flags}
    usage.items += [Item(name, said) for name, said in _STANDARD.items() if name not in named]
    return usage


def usages() -> list[Usage]:
    """Those of all commands, by name."""
    return [parse(USAGE[name]) for name in sorted(USAGE)]
