"""What the classic redo (the Python one, 0.42) says it has built: read from its database, which is left as it is.

It owns that format, as docs/design.md describes it. It does not know what is made of the answer.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress

from redod.core.paths import join
from redod.core.stamps import Stamp
from redod.store.made import Entry, print_of
from redod.store.recovery import Observe

DATABASE = b"db.sqlite3"
_SCHEMA = 2
_ROUNDING = 1500
"""Nanoseconds: its times are written with six decimals, of a floating-point number."""


def built(root: bytes, observe: Observe) -> list[Entry]:
    """The files below `root` that it built and has left as they are; none when its database cannot be read."""
    database = join(join(root, b".redo"), DATABASE)
    if not os.path.isfile(database):
        return []
    with suppress(OSError, sqlite3.Error), tempfile.TemporaryDirectory() as directory:
        # SQLite would write beside the original, and may not be the only one that has it open.
        copy = join(os.fsencode(directory), DATABASE)
        shutil.copyfile(database, copy)
        with suppress(FileNotFoundError):
            shutil.copyfile(database + b"-wal", copy + b"-wal")
        return list(_unchanged(_generated(copy), root, observe))
    return []


def _generated(path: bytes) -> Iterator[tuple[bytes, str]]:
    """Names, relative to the directory that holds `.redo`, and stamps. Raises sqlite3.Error."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        if connection.execute("SELECT version FROM Schema").fetchone() != (_SCHEMA,):
            return
        query = "SELECT name, stamp FROM Files WHERE is_generated AND NOT coalesce(is_override, 0)"
        for name, stamp in connection.execute(query):
            if isinstance(name, bytes) and isinstance(stamp, bytes):
                yield name, stamp.decode("ascii", "replace")


def _unchanged(generated: Iterator[tuple[bytes, str]], root: bytes, observe: Observe) -> Iterator[Entry]:
    for name, stamp in generated:
        if name.startswith((b"/", b"../")):
            continue
        with suppress(OSError):
            found = observe(join(root, name))
            if found.exists and not found.is_directory and _is_same(found, stamp):
                yield Entry(print_of(found), name)


def _is_same(found: Stamp, stamp: str) -> bool:
    """A link's stamp is followed by its referent's, which is no part of the target."""
    fields = stamp.partition("+")[0].rsplit("-", 5)
    try:
        seconds, _, micros = fields[0].partition(".")
        mtime = int(seconds) * 10**9 + int(micros.ljust(6, "0")[:6]) * 1000
        rest = tuple(map(int, fields[1:]))
    except ValueError:
        return False
    same = (found.size, found.inode, found.mode, found.uid, found.gid)
    return rest == same and abs(found.mtime_ns - mtime) <= _ROUNDING
