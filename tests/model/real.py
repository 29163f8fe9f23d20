"""A random project on a real disk: the edits of `tests.model.histories` as system calls, its scripts run by `sh`.

The little language stays as it is: each verb is a shell function, defined by the file that every script reads first.
"""

import os
import stat
from pathlib import Path

from redod.core.stamps import Stamp
from redod.files.observe import observe
from tests.model.filesystem import Files

PRELUDE = b'. "$MODEL_VERBS"\n'
VERBS = rb"""
TARGET=$1 TEMPORARY=$3 TEXT= LATE=
printf '%s\n' "$PWD/$1" >>"$MODEL_RAN"
content() {
    CONTENT=-
    if [ -f "$1" ]; then
        CONTENT=
        while IFS= read -r LINE; do CONTENT="$CONTENT$LINE
"; done <"$1"
        CONTENT=$CONTENT$LINE
    fi
}
append() { for name; do content "$name"; TEXT="$TEXT[$CONTENT]"; done; }
need() { redo-ifchange "$@"; append "$@"; }
try() { redo-ifchange "$@" || :; append "$@"; }
fork() {
    PIDS= FAILED=
    for name; do redo-ifchange "$name" & PIDS="$PIDS $!"; done
    for pid in $PIDS; do wait "$pid" || FAILED=yes; done
    [ -z "$FAILED" ]
    append "$@"
}
from() { need "$1"; content "$1"; need $CONTENT; }
late() { append "$@"; LATE="$LATE $*"; }
declare_late() { [ -z "$LATE" ] || redo-ifchange $LATE; }
copy() { need "$1"; content "$1"; TEXT=$CONTENT; }
odd() { need "$1"; content "$1"; [ $((${#CONTENT} % 2)) = 0 ]; }
absent() { redo-ifcreate "$@"; }
always() { redo-always; }
stamp() { printf '%s:%s' "$*" "$TEXT" | redo-stamp; }
parity() { TEXT=$((${#TEXT} % 2)); }
ln() { need "$1"; command ln "$1" "$TEMPORARY"; declare_late; }
sym() { need "$1"; command ln -s "$PWD/$1" "$TEMPORARY"; declare_late; }
out() { printf %s "${TEXT:-text}"; declare_late; }
temp() { printf %s "${TEXT:-text}" >"$TEMPORARY"; declare_late; }
both() { out; temp; }
self() { [ ! -h "$TARGET" ] || rm "$TARGET"; printf %s "${TEXT:-text}" >"$TARGET"; declare_late; }
dir() { mkdir "$TEMPORARY"; declare_late; }
nothing() { declare_late; }
fail() { exit "$1"; }
die() { kill -"$1" $$; }
hold() { redo-whichdo all >/dev/null 2>&1 & }
"""
"""Each script first says that it runs. What `hold` starts may outlive it for a moment. `self` leaves alone what an old
target is a link to, which is a file of its own.
"""


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
        content = on_disk(path, content)
        if in_place and self.is_regular(path):
            self.real(path).write_bytes(content)
        else:
            self._spare.joinpath("new").write_bytes(content)
            self._place(path)

    def symlink(self, path: bytes, to: bytes) -> None:
        self._spare.joinpath("new").symlink_to(self.real(to))
        self._place(path)

    def mkdir(self, path: bytes) -> None:
        if not self.is_directory(path):
            self.remove(path)
            self.real(path).mkdir()

    def remove(self, path: bytes) -> None:
        real = self.real(path)
        if self.is_directory(path):
            real.rmdir()
        else:
            real.unlink(missing_ok=True)

    def rename(self, old: bytes, new: bytes) -> None:
        if self.exists(old) and not self.is_directory(old) and not self.is_directory(new):
            self.real(old).rename(self.real(new))

    def change(self, path: bytes, *, mtime_ns: int | None = None, mode: int | None = None) -> None:
        if mtime_ns is not None and self.is_regular(path):
            os.utime(self.real(path), ns=(mtime_ns, mtime_ns))
        if mode is not None and self.is_regular(path):
            self.real(path).chmod(stat.S_IMODE(mode))

    def link(self, path: bytes) -> None:
        if self.is_regular(path):
            os.link(self.real(path), self._spare / f"link{len(os.listdir(self._spare))}")

    def exists(self, path: bytes) -> bool:
        return os.path.lexists(self.real(path))

    def is_directory(self, path: bytes) -> bool:
        return self.stamp(path).is_directory

    def is_regular(self, path: bytes) -> bool:
        return stat.S_ISREG(self.stamp(path).mode)

    def stamp(self, path: bytes) -> Stamp:
        return observe(os.fsencode(self.real(path)))

    @property
    def contents(self) -> dict[bytes, bytes]:
        found = {}
        for directory, directories, names in os.walk(self.root):
            directories[:] = [name for name in directories if name not in (".redo", "link", "ask")]
            for name in [*directories, *names]:
                path = Path(directory, name)
                found[self._told(path)] = self._content(path)
        return found

    def _content(self, path: Path) -> bytes:
        if path.is_symlink():
            return b"-> " + self._told(Path(os.path.normpath(path.readlink())))
        return b"-" if path.is_dir() else path.read_bytes()

    def _told(self, real: Path) -> bytes:
        """The path that histories know."""
        return b"/p/" + os.fsencode(real.relative_to(self.root))

    def _place(self, path: bytes) -> None:
        if self.is_directory(path):
            self.real(path).rmdir()
        self._spare.joinpath("new").rename(self.real(path))

    def wait(self) -> None:
        """Return when the file system's clock has moved on: what happens now can be told from what has happened."""
        mark = self._spare / "clock"
        mark.write_bytes(b"")
        before = mark.stat().st_mtime_ns
        while mark.stat().st_mtime_ns == before:
            mark.write_bytes(b"")


def on_disk(path: bytes, content: bytes) -> bytes:
    """What the oracle's bytes of a file are on the disk."""
    is_script = path.endswith(b".do") or path in (b"/p/gs", b"/p/lib")
    is_plain = content.startswith((PRELUDE, b"-> ")) or not is_script
    return content if is_plain else PRELUDE + content
