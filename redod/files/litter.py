"""What scripts, and killed servers, have left of `$3` and beside it.

It owns which entries of a directory are litter. It does not know when one had better look (`redod.engine.litter`).
"""

import os
from collections.abc import Collection, Container

from redod.files.outputs import discard
from redod.files.temporaries import SUFFIX, target_in, temporary_in


def remove_siblings(directory: bytes, temporaries: Collection[bytes], in_use: Container[bytes] = ()) -> int:
    """Remove every entry whose name begins with one of these `$3` names (without directory); return how many.

    With them go those of earlier runs for the same targets, which a killed server has left, unless they are `in_use`
    (absolute names). Lists the whole directory (200 us for 1,000 entries), so call it once for many ended jobs.
    """
    targets = {target_in(temporary) for temporary in temporaries}

    def is_litter(temporary: bytes) -> bool:
        if temporary in temporaries:
            return True
        return target_in(temporary) in targets and os.path.join(directory, temporary) not in in_use

    try:
        entries = os.listdir(directory)
    except OSError:
        return 0
    found = [entry for entry in entries if SUFFIX in entry and is_litter(temporary_in(entry))]
    for entry in found:
        discard(os.path.join(directory, entry))
    return len(found)


def remove_litter(root: bytes, in_use: Container[bytes]) -> None:
    """Remove what a killed server has left in a whole workspace of `$3` and its siblings. Takes long: in a thread."""
    for directory, names, files in os.walk(root):
        if directory != root and b".redo" in names:
            # Another workspace, which has another owner.
            names.clear()
            continue
        for name in names + files:
            temporary = temporary_in(name) if SUFFIX in name else b""
            if target_in(temporary) != temporary and os.path.join(directory, temporary) not in in_use:
                discard(os.path.join(directory, name))
        names[:] = [name for name in names if SUFFIX not in name]
