"""Cells: how much room text takes on a terminal, and cutting it to fit.

It does not know what the text means. Wide characters take two cells, combining ones none.
"""

from collections.abc import Iterable
from unicodedata import category, east_asian_width

CUT = ".."
"""Stands for what was cut off. Not the one character for it: a terminal need not be able to show that."""


def width(text: str) -> int:
    """How many cells printable text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def last_cells(text: str, most: int) -> str:
    """The end of `text` in `most` cells at most; what was cut off is marked. A path's end says more than its start."""
    if width(text) <= most:
        return text
    if most <= len(CUT):
        return ""
    kept: list[str] = []
    room = most - len(CUT)
    for character in reversed(text):
        room -= _cells(character)
        if room < 0:
            break
        kept.append(character)
    # A combining character whose base was cut off would be drawn onto the mark.
    while kept and not _cells(kept[-1]):
        kept.pop()
    return CUT + "".join(reversed(kept))


def fit(words: Iterable[str], most: int) -> str:
    """As many of `words` as fit into `most` cells, a blank between two, then `+N` for the others; a first one that is
    too long is cut. Empty where nothing fits.
    """
    left = list(words)
    shown: list[str] = []
    used = 0
    while left:
        more = f" +{len(left) - 1}" if len(left) > 1 else ""
        room = most - used - len(more)
        word = left[0] if shown else last_cells(left[0], room)
        if not word or width(word) > room:
            break
        shown.append(word)
        used += width(word) + 1
        del left[0]
    if shown and left:
        shown.append(f"+{len(left)}")
    return " ".join(shown)


def _cells(character: str) -> int:
    if category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
