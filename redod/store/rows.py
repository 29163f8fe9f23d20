"""How a graph's values become the columns of a row, and back.

It owns the binary layouts (little-endian, see the structs) and how paths are written. It does not know SQL.
A path inside the workspace is stored relative to its root, so that a workspace may be moved; one outside is stored
absolute, because a moved workspace was still made from that very file.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import repeat
from struct import Struct
from typing import NamedTuple

from redod.core.graph import Dep, DepKind, Node
from redod.core.stamps import DIRECTORY, MISSING, Stamp
from redod.core.verdicts import Reason, Why

_STAMP = Struct("<qqQIIIqI")
_HEAD = Struct("<qqQ12sqI")
"""The same bytes, mode, uid and gid in one piece."""
_RIGHTS = Struct("<III")
_EDGE = Struct("<QIB")
_IFCREATE = 1
_LATE = 2
_SLASH = ord("/")
_new = tuple.__new__
"""What makes a named tuple, without the function in Python around it: a third of the time."""
_KINDS = (DepKind.IFCHANGE, DepKind.IFCREATE)

Edge = tuple[int, int, int]
"""A dependency on disk: the version that was seen, the id of the other file's row, flags."""


FileRow = tuple[int, bytes, int, int, bytes | None]
"""What is stored of a file that is not this workspace's target: id, name, kind, version, stamp. A target of another has
only its name.
"""
NameRow = tuple[int, bytes, int]
"""A target's id, name and version."""
RecordRow = tuple[
    int, int, bytes | None, bytes, int | None, int | None, int | None, bytes | None, bytes | None, bytes | None
]
"""A target's id, kind, stamp, and its columns from `edges` on."""


class TargetRow(NamedTuple):
    """What is stored of this workspace's target; of other files, the columns from `edges` on are NULL."""

    id: int
    name: bytes
    kind: int
    version: int
    stamp: bytes | None
    edges: bytes | None
    dofile: int | None
    status: int | None
    always: int | None
    checksum: bytes | None
    log: bytes | None
    reason: bytes | None


class Names:
    """Paths as they are stored, for the workspace whose top is `root`."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self.prefix = root if root == b"/" else root + b"/"

    def name(self, path: bytes) -> bytes:
        if path.startswith(self.prefix):
            return path[len(self.prefix) :]
        return b"" if path == self._root else path

    def paths(self, names: Iterable[bytes]) -> list[bytes]:
        """`path` for many."""
        prefix, path = self.prefix, self.path
        return [prefix + name if name and name[0] != _SLASH else path(name) for name in names]

    def path(self, name: bytes) -> bytes:
        if name.startswith(b"/"):
            return name
        return self.prefix + name if name else self._root


def file_row(number: int, name: bytes, node: Node) -> TargetRow:
    return TargetRow(number, name, node.kind, node.version, pack_stamp(node.stamp), *(None,) * 7)


def foreign_row(number: int, name: bytes) -> TargetRow:
    return TargetRow(number, name, 0, 0, None, *(None,) * 7)


def target_row(number: int, node: Node, names: Names, id_of: Callable[[Node], int]) -> TargetRow:
    return TargetRow(
        number,
        names.name(node.path),
        node.kind,
        node.version,
        pack_stamp(node.stamp),
        pack_edges(node.deps, id_of),
        id_of(node.dofile) if node.dofile else None,
        node.status,
        node.always,
        node.checksum,
        node.log or None,
        pack_reason(node.reason, names),
    )


def pack_edges(deps: tuple[Dep, ...], id_of: Callable[[Node], int]) -> bytes:
    # One growing piece: a list of as many as a large target has would be five times as large.
    packed = bytearray()
    for kind, node, version, late in deps:
        packed += _EDGE.pack(version, id_of(node), kind + _LATE if late else kind)
    return bytes(packed)


def unpack_edges(blob: bytes) -> Iterator[Edge]:
    """Raises struct.error."""
    return _EDGE.iter_unpack(blob)


def plain_deps(nodes: Iterable[Node], versions: Iterable[int]) -> Iterator[Dep]:
    """A dependency on the content of each of these."""
    return map(_new, repeat(Dep), zip(repeat(DepKind.IFCHANGE), nodes, versions, repeat(False)))


def dep(edge: Edge, node: Node, version: int) -> Dep:
    return Dep(_KINDS[edge[2] & _IFCREATE], node, version, bool(edge[2] & _LATE))


def pack_reason(reason: Reason | None, names: Names) -> bytes | None:
    """Three words, the last of which may be any name."""
    if reason is None:
        return None
    about = names.name(reason.about) if reason.about else b""
    return b"\0".join((reason.why.name.encode(), reason.detail.encode(), about))


def unpack_reason(blob: bytes | None, names: Names) -> Reason | None:
    """Raises ValueError, and AttributeError where the blob is none."""
    if not blob:
        return None
    why, detail, about = blob.split(b"\0")
    known = Why.__members__.get(why.decode())
    return Reason(known, names.path(about) if about else b"", detail.decode()) if known else None


@lru_cache(256)
def _rights(packed: bytes) -> tuple[int, int, int]:
    """Nearly all files have the same few: shared, they save 84 bytes a file."""
    mode, uid, gid = _RIGHTS.unpack(packed)
    return mode, uid, gid


def pack_stamp(stamp: Stamp | None) -> bytes | None:
    """The two stamps that many files share are one byte each."""
    if stamp is None:
        return None
    if stamp == MISSING:
        return b"-"
    if stamp == DIRECTORY:
        return b"/"
    head = _STAMP.pack(*stamp[:8])
    if stamp.referent is None and not stamp.content:
        return head
    return b"%s%c%s%s" % (head, len(stamp.content), stamp.content, pack_stamp(stamp.referent) or b"")


def unpack_stamps(blobs: Sequence[bytes | None]) -> list[Stamp | None]:
    """`unpack_stamp` for many. Raises TypeError, too."""
    most = _unpack_plain(b"".join([blob for blob in blobs if blob is not None and len(blob) == _STAMP.size]))
    return [next(most) if blob is not None and len(blob) == _STAMP.size else unpack_stamp(blob) for blob in blobs]


def _unpack_plain(blobs: bytes) -> Iterator[Stamp]:
    last = b""
    for mtime_ns, size, inode, rights, ctime_ns, nlink in _HEAD.iter_unpack(blobs):
        if rights != last:
            last = rights
            mode, uid, gid = _rights(rights)
        yield _new(Stamp, (mtime_ns, size, inode, mode, uid, gid, ctime_ns, nlink, None, b""))


def unpack_stamp(blob: bytes | None) -> Stamp | None:
    """Raises struct.error, IndexError and RecursionError."""
    if blob is None:
        return None
    if len(blob) == _STAMP.size:
        return next(_unpack_plain(blob))
    if blob == b"-":
        return MISSING
    if blob == b"/":
        return DIRECTORY
    content = _STAMP.size + 1
    referent = content + blob[_STAMP.size]
    tail = (unpack_stamp(blob[referent:] or None), blob[content:referent])
    return Stamp._make(_STAMP.unpack_from(blob) + tail)
