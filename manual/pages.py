"""Man pages, in the man(7) macros."""

import re

from manual.texts import SECTIONS, SUMMARIES
from manual.usage import Item, Usage

_WORD = re.compile(r"(--?[A-Za-z][\w-]*)|([A-Z]{2,}|\b[A-Z]\b)")


def page(usage: Usage, names: list[str], version: str) -> str:
    """The page of a command. `names`: of all commands."""
    lines = [_title(usage.name, 1, version), ".SH NAME", f"{plain(usage.name)} \\- {plain(SUMMARIES[usage.name])}"]
    lines += [".SH SYNOPSIS", f"\\fB{plain(usage.name)}\\fR {marked(usage.synopsis)}".rstrip()]
    lines += [".SH DESCRIPTION", *_paragraphs(usage.before)]
    commands = [item for item in usage.items if not item.flags]
    options = [item for item in usage.items if item.flags]
    for heading, items in (("COMMANDS", commands), ("OPTIONS", options)):
        if items:
            lines += [f".SH {heading}", *_items(items)]
    if usage.after:
        lines += [".SH NOTES", *_paragraphs(usage.after)]
    for heading, items in SECTIONS.get(usage.name, SECTIONS[""]):
        lines += [f".SH {heading}", *_items(items)]
    others = [f"\\fB{plain(name)}\\fR(1)" for name in names if name != usage.name]
    lines += [".SH SEE ALSO", *(f"{other}," for other in others), "\\fBredod.toml\\fR(5)"]
    return "\n".join(lines) + "\n"


def settings_page(markdown: str, version: str) -> str:
    """redod.toml(5), from docs/configuration.md: paragraphs, and one table of settings."""
    lines = [_title("redod.toml", 5, version), ".SH NAME", "redod.toml \\- settings of a workspace for redo"]
    lines.append(".SH DESCRIPTION")
    blocks = [block.split("\n") for block in re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown).strip().split("\n\n")]
    for block in blocks:
        if block[0].startswith("# "):
            continue
        if block[0].startswith("|"):
            cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in block[2:]]
            items = [Item(_code(name), f"({_code(values)}) {_code(does)}") for name, values, does in cells]
            lines += [".SH SETTINGS", *_items(items)]
        elif block[0].startswith("#"):
            lines.append(f".SH {plain(_code(block[0].lstrip('# ')).upper())}")
        elif block[0].startswith("```"):
            lines += [".PP", ".nf", *(plain(line) for line in block[1:-1]), ".fi"]
        else:
            lines += [*[".PP"] * (not lines[-1].startswith(".SH")), plain(_code(" ".join(block)))]
    lines += [".SH SEE ALSO", "\\fBredo\\fR(1), \\fBredod\\fR(1)"]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Text that roff takes for nothing else."""
    text = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    )
    return "\\&" + text if text.startswith(".") else text


def marked(text: str) -> str:
    """A synopsis or the like: options bold, values italic."""
    pieces, end = [], 0
    for match in _WORD.finditer(text):
        font = "B" if match[1] else "I"
        pieces += [plain(text[end : match.start()]), f"\\f{font}{plain(match[0])}\\fR"]
        end = match.end()
    return "".join([*pieces, plain(text[end:])])


def _title(name: str, section: int, version: str) -> str:
    return f'.TH {plain(name).upper()} {section} "" "redod {version}" "redo"'


def _paragraphs(texts: list[str]) -> list[str]:
    lines = [line for text in texts for line in (".PP", plain(text))]
    return lines[1:]


def _items(items: list[Item]) -> list[str]:
    lines = []
    for item in items:
        head = marked(item.head) if item.head.startswith("-") else f"\\fB{plain(item.head)}\\fR"
        lines += [".TP", head, plain(item.text)]
    return lines


def _code(text: str) -> str:
    return text.replace("`", "").replace("**", "")
