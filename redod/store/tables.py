"""The SQLite database of one store: its one connection, its schema, its transactions.

It owns all SQL. It does not know what the columns mean (see `rows`). Ids are dense and start at 1; there is no index
beside them, because the one writer has all names in memory.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from redod.core.paths import show
from redod.failpoints import reach
from redod.store import StoreError
from redod.store.made import Mark
from redod.store.ownership import open_file
from redod.store.rows import FileRow, NameRow, RecordRow, TargetRow

SCHEMA = 2
DATABASE = b"redod.sqlite3"
_SOME = 500
"""Rows that are read at a time: some 2 ms until they are in the graph."""
KEPT = 3
"""Damaged databases that are kept for a look."""

_CREATE = """
CREATE TABLE node(id INTEGER PRIMARY KEY, name BLOB NOT NULL, kind INTEGER NOT NULL, version INTEGER NOT NULL,
    stamp BLOB, edges BLOB, dofile INTEGER, status INTEGER, always INTEGER, checksum BLOB, log BLOB, reason BLOB);
CREATE TABLE made(generation INTEGER NOT NULL, offset INTEGER NOT NULL);
INSERT INTO made VALUES(0, 0);
"""
_FROM_1 = "ALTER TABLE node ADD COLUMN reason BLOB;"
# Exclusive before WAL: then SQLite needs no shared memory file. NORMAL: a commit is not fsynced, so a power cut may
# take the last ones, never the database. A checkpoint is fsynced and stalls the daemon: seldom, better when it is idle.
_PRAGMAS = (
    "locking_mode=EXCLUSIVE",
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "wal_autocheckpoint=16384",
    "cell_size_check=ON",
)
# What sqlite3.Error.sqlite_errorcode says of the world around the file, not of what is in it: PERM, ABORT, BUSY,
# LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL, NOLFS, AUTH.
_CIRCUMSTANCES = frozenset((3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 22, 23))


class Damaged(Exception):  # noqa: N818  (a verdict about the file)
    """The database is not ours to read: garbage, or of another schema."""


class Tables:
    """An open database."""

    def __init__(self, path: bytes) -> None:
        """Open the database at `path`, or make it. Raises Damaged, and StoreError when it cannot be opened now."""
        self._path = path
        try:
            os.close(open_file(path, os.O_RDWR))
            reach("database.empty")
            self._file = os.stat(path)
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot open {show(path)}: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise self._judge(error) from error
        except Damaged:
            self._connection.close()
            raise

    @property
    def in_place(self) -> bool:
        """Whether the database is still the file of its name (`git clean` may have removed it)."""
        try:
            return os.path.samestat(self._file, os.stat(self._path))
        except OSError:
            return False

    def mark(self) -> Mark:
        """Up to where in the `made` journal everything is recorded. Raises as `files`."""
        for row in self._read("SELECT generation, offset FROM made"):
            return Mark._make(row)
        raise Damaged("it holds no mark")

    def last_id(self) -> int:
        """The highest id of a row; 0: there are none. Raises as `files`."""
        for row in self._read("SELECT coalesce(max(id), 0) FROM node"):
            return int(row[0])
        return 0

    def files(self) -> Iterator[list[FileRow]]:
        """The rows of files that are not this workspace's targets, some at a time. Raises Damaged, StoreError."""
        return self._read_some("SELECT id, name, kind, version, stamp FROM node WHERE edges IS NULL")

    def targets(self) -> Iterator[list[NameRow]]:
        """The names of this workspace's targets. Raises as `files`."""
        return self._read_some("SELECT id, name, version FROM node WHERE edges IS NOT NULL")

    def records(self) -> Iterator[list[RecordRow]]:
        """What is recorded of this workspace's targets. Raises as `files`."""
        return self._read_some(
            "SELECT id, kind, stamp, edges, dofile, status, always, checksum, log, reason FROM node"
            " WHERE edges IS NOT NULL"
        )

    def write(self, rows: Sequence[TargetRow], mark: Mark, unused: Iterable[int] = ()) -> None:
        """Write rows over those of the same id, and the mark, and remove the rows `unused`: all or nothing.

        Raises StoreError (nothing is written: a full disk, no permission) and Damaged.
        """
        execute = self._connection.execute
        reach("commit.before")
        try:
            execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO node VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", rows)
            self._connection.executemany("DELETE FROM node WHERE id=?", [(number,) for number in unused])
            execute("UPDATE made SET generation=?, offset=?", mark)
            reach("commit.rows")
            execute("COMMIT")
            reach("commit.after")
        except BaseException as error:
            # SQLite has ended the transaction itself after some errors.
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._judge(error) from error
            raise

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database and fsync. Raises StoreError, Damaged."""
        reach("checkpoint.before")
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            reach("checkpoint.after")
        except sqlite3.Error as error:
            raise self._judge(error) from error

    def close(self) -> None:
        """Also a checkpoint. SQLite leaves a file alone that has taken this one's name."""
        self._connection.close()

    def _prepare(self) -> None:
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        (schema,) = self._connection.execute("PRAGMA user_version").fetchone()
        if schema == 0 and not self._connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._connection.executescript(f"BEGIN; {_CREATE} PRAGMA user_version={SCHEMA}; COMMIT")
            reach("database.created")
        elif schema == 1:
            self._connection.executescript(f"BEGIN; {_FROM_1} PRAGMA user_version={SCHEMA}; COMMIT")
        elif schema != SCHEMA:
            raise Damaged(f"its schema is {schema}, this redod's is {SCHEMA}")

    def _read(self, query: str) -> Iterator:  # type: ignore[type-arg]
        try:
            yield from self._connection.execute(query)
        except sqlite3.Error as error:
            raise self._judge(error) from error

    def _read_some(self, query: str) -> Iterator[list]:  # type: ignore[type-arg]
        try:
            cursor = self._connection.execute(query)
            while rows := cursor.fetchmany(_SOME):
                yield rows
        except sqlite3.Error as error:
            raise self._judge(error) from error

    def _judge(self, error: sqlite3.Error) -> Exception:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            # Python's own complaint about how it was called.
            return error
        if code & 0xFF in _CIRCUMSTANCES:
            return StoreError(f"cannot use {show(self._path)}: {error}; is the disk full, or the file not writable?")
        return Damaged(str(error))


def set_aside(path: bytes) -> bytes:
    """Rename a damaged database to `PATH.damaged-N`, the oldest of more than `KEPT` removed; returns the new name.

    Raises StoreError.
    """
    directory, prefix = os.path.dirname(path), os.path.basename(path) + b".damaged-"
    try:
        numbers = [entry.removeprefix(prefix) for entry in os.listdir(directory) if entry.startswith(prefix)]
        taken = sorted(int(number) for number in numbers if number.isdigit())
        aside = b"%s/%s%d" % (directory, prefix, taken[-1] + 1 if taken else 1)
        # The log first: a new database must never meet it.
        for suffix in (b"-wal", b"-shm", b""):
            with suppress(FileNotFoundError):
                os.rename(path + suffix, aside + suffix)
        reach("aside.done")
        for number in taken[: -KEPT + 1]:
            remove(b"%s/%s%d" % (directory, prefix, number))
    except OSError as error:
        raise StoreError(f"cannot set {show(path)} aside: {error.strerror}") from error
    return aside


def remove(path: bytes) -> None:
    """Remove a database that nobody has open. Raises OSError."""
    for suffix in (b"-wal", b"-shm", b""):
        with suppress(FileNotFoundError):
            os.unlink(path + suffix)
