"""Copies of the examples."""

import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
MADE = {
    "hello": ("cc", "hello", "greetings.h", "*.o"),
    "library": ("out/config.h", "out/flags", "out/demo", "out/lib*", "out/*.o"),
    "notes": ("index.html", "sources", "notes/*.html", "notes/*.words"),
    "site": ("html/*.html", "pages", "lighttpd.conf"),
    "pipeline": ("stations", "charts", "names", "report.txt", "*.mean", "*.days"),
}
"""What a build in the checkout itself may have left in an example, where `*` may be several directories."""


def copy(example: str, target: Path) -> None:
    """An example that was never built."""
    source = CHECKOUT / "examples" / example

    def made(directory: str, names: list[str]) -> list[str]:
        place = os.path.relpath(directory, source)
        paths = [(name, os.path.normpath(os.path.join(place, name))) for name in names]
        patterns = (".redo", ".do-built", *MADE[example])
        return [name for name, path in paths if any(fnmatch(path, pattern) for pattern in patterns)]

    shutil.copytree(source, target, ignore=made, dirs_exist_ok=True)
