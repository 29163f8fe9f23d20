"""Facts that the repository's texts state, read from where they stand."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def readme_commands() -> list[str]:
    """The one-line shell commands of the README's first section, in order."""
    section = (CHECKOUT / "README.md").read_text().split("## Try it")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*)\n```$", section, re.MULTILINE)


def stated(pattern: str, name: str) -> str:
    """What the pattern's group matches in the file of this name; it must match exactly once."""
    found: list[str] = re.findall(pattern, (CHECKOUT / name).read_text(), re.MULTILINE)
    assert len(found) == 1, f"{pattern} matches {len(found)} times in {name}"
    return found[0]
