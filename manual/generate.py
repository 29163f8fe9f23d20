"""Writes the man pages and completions into a directory, for the build: `python -m manual.generate DIRECTORY`."""

import re
import sys
from pathlib import Path

from manual import pages, shells
from manual.usage import usages
from redod import __version__


def files() -> dict[str, str]:
    """All that is made, by name."""
    all_usages = usages()
    names = [usage.name for usage in all_usages]
    settings = (Path(__file__).parents[1] / "docs/configuration.md").read_text()
    made = {f"{usage.name}.1": pages.page(usage, names, __version__) for usage in all_usages}
    made["redod.toml.5"] = pages.settings_page(settings, __version__)
    made["_redo"] = shells.zsh(all_usages)
    made.update({f"{usage.name}.fish": shells.fish(usage) for usage in all_usages})
    made.update(dict.fromkeys([f"{name}.bash" for name in names], shells.bash(all_usages)))
    return made


def main(directory: str) -> None:
    for name, text in files().items():
        assert re.fullmatch(r"[\x00-\x7f]*", text), f"{name} has characters that not every pager shows"
        Path(directory, name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
