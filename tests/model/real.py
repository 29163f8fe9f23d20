"""A random project on a real disk: the edits of `tests.model.histories` as system calls, its scripts run by `sh`.

The little language stays as it is: each verb is a shell function, defined by the file that every script reads first.
"""

import os
import stat
from pathlib import Path

from redod.core.stamps import MISSING, Stamp
from redod.files.observe import observe
from tests.model.filesystem import Files

PRELUDE = b'. "$MODEL_VERBS"\n'
VERBS = rb"""
TARGET=$1 TEMPORARY=$3 TEXT=
content() {
    # The dot keeps the newlines at the end.
    if [ -f "$1" ]; then CONTENT=$(cat "./$1"; echo .); CONTENT=${CONTENT%.}; else CONTENT=-; fi
}
append() { for name; do content "$name"; TEXT="$TEXT[$CONTENT]"; done; }
need() { redo-ifchange "$@"; append "$@"; }
try() { redo-ifchange "$@" || :; append "$@"; }
from() { need "$1"; content "$1"; need $CONTENT; }
late() { append "$@"; redo-ifchange "$@"; }
copy() { need "$1"; content "$1"; TEXT=$CONTENT; }
absent() { redo-ifcreate "$@"; }
always() { redo-always; }
stamp() { printf '%s:%s' "$*" "$TEXT" | redo-stamp; }
parity() { TEXT=$(($(printf %s "$TEXT" | tr -dc '13579esuy/[]\-' | wc -c) % 2)); }
out() { printf %s "${TEXT:-text}"; }
temp() { printf %s "${TEXT:-text}" >"$TEMPORARY"; }
both() { out; temp; }
self() { printf %s "${TEXT:-text}" >"$TARGET"; }
dir() { mkdir "$TEMPORARY"; }
fail() { exit "$1"; }
die() { kill -"$1" $$; }
hold() { redo-whichdo all >/dev/null 2>&1 & }
"""
"""`parity` counts the odd bytes that texts are made of. What `hold` starts may outlive the script for a moment."""


class Disk(Files):
    """What stands below `root`, where the histories say `/p`."""

    def __init__(self, root: Path, spare: Path) -> None:
        super().__init__()
        self.root = root
        self._spare = spare
        """An empty directory on the same file system, for hard links."""
        root.mkdir()
        spare.mkdir()

    def real(self, path: bytes) -> Path:
        return self.root / os.fsdecode(path[len(b"/p/") :])

    def write(self, path: bytes, content: bytes, *, in_place: bool = False) -> None:
        real = self.real(path)
        content = on_disk(path, content)
        if in_place and real.is_file():
            real.write_bytes(content)
            return
        self._spare.joinpath("new").write_bytes(content)
        if real.is_dir():
            real.rmdir()
        self._spare.joinpath("new").rename(real)

    def mkdir(self, path: bytes) -> None:
        self.real(path).mkdir()

    def remove(self, path: bytes) -> None:
        real = self.real(path)
        if real.is_dir():
            real.rmdir()
        else:
            real.unlink(missing_ok=True)

    def change(self, path: bytes, *, mtime_ns: int | None = None, mode: int | None = None) -> None:
        if mtime_ns is not None:
            os.utime(self.real(path), ns=(mtime_ns, mtime_ns))
        if mode is not None:
            self.real(path).chmod(stat.S_IMODE(mode))

    def link(self, path: bytes) -> None:
        os.link(self.real(path), self._spare / f"link{len(os.listdir(self._spare))}")

    def exists(self, path: bytes) -> bool:
        return os.path.lexists(self.real(path))

    def stamp(self, path: bytes) -> Stamp:
        return observe(os.fsencode(self.real(path))) if self.exists(path) else MISSING

    def read_all(self) -> dict[bytes, bytes]:
        """What the oracle's `contents` should be; the names of the histories."""
        found = {}
        for directory, directories, files in os.walk(self.root):
            directories[:] = [name for name in directories if name != ".redo"]
            below = Path(directory)
            for name in directories:
                found[b"/p/" + os.fsencode((below / name).relative_to(self.root))] = b"-"
            for name in files:
                found[b"/p/" + os.fsencode((below / name).relative_to(self.root))] = (below / name).read_bytes()
        return found

    def wait_for_tick(self) -> None:
        """Return when the file system's clock has moved on: what happens now can be told from what has happened."""
        mark = self._spare / "clock"
        mark.write_bytes(b"")
        before = mark.stat().st_mtime_ns
        while mark.stat().st_mtime_ns == before:
            mark.write_bytes(b"")


def on_disk(path: bytes, content: bytes) -> bytes:
    """What the oracle's bytes of a file are on the disk."""
    is_script = path.endswith(b".do") or path == b"/p/gs"
    return content if content.startswith(PRELUDE) or not is_script else PRELUDE + content
