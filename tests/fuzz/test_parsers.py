"""Whatever bytes come, each reader of ours says what its docstring says, and nothing else is raised.

A failure prints the input. REDOD_FUZZ_INPUTS, for each reader, from the seed REDOD_FUZZ_SEED on.
"""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

from redod.config.reading import ConfigError, Configs
from redod.core.graph import Dep, DepKind, LogPlace, Node
from redod.core.stamps import DIRECTORY, MISSING, Stamp
from redod.core.verdicts import Reason, Why
from redod.jobserver.makeflags import named_jobserver, with_jobserver
from redod.logs.joblog import JobLog
from redod.logs.records import decode
from redod.logs.segments import Segments
from redod.protocol.frames import FrameReader, Invoke, PeerError
from redod.protocol.invocation import parse
from redod.services.record import Record, Records
from redod.store.lock import read_owner
from redod.store.made import Journal, Mark, Print
from redod.store.rows import (
    Names,
    pack_edges,
    pack_reason,
    pack_stamp,
    unpack_edges,
    unpack_reason,
    unpack_stamp,
    unpack_stamps,
)
from tests.fuzz.mutations import damaged
from tests.unit.test_frames import CONVERSATION, frame
from tests.unit.test_invocation import FIELDS, payload

INPUTS = int(os.environ.get("REDOD_FUZZ_INPUTS", "3000"))
SEED = int(os.environ.get("REDOD_FUZZ_SEED", "1"))


def fuzz(samples: list[bytes], read: Callable[[bytes], object], *expected: type[Exception], dear: int = 1) -> None:
    """One in `dear` of the inputs, for readers that open files."""
    random = Random(SEED)
    for sample in samples:
        read(sample)
    for _ in range(max(1, INPUTS // dear)):
        data = damaged(random, samples)
        try:
            read(data)
        except expected:
            pass
        except BaseException as error:
            error.add_note(f"the input: {data!r}")
            raise


def test_what_clients_say() -> None:
    def read(stream: bytes) -> None:
        reader = FrameReader()
        reader.allow_stdin()
        reader.allow_jobs()
        half = len(stream) // 2
        for piece in (stream[:half], stream[half:]):
            reader.feed(piece)
            while (found := reader.next_frame()) is not None:
                if isinstance(found, Invoke):
                    parse(found.payload)

    fuzz([frame(1, payload(FIELDS)), frame(1, payload(FIELDS)) + CONVERSATION.partition(b"fields")[2]], read, PeerError)


def test_invocations() -> None:
    def read(data: bytes) -> None:
        invocation = parse(data)
        assert all(isinstance(name, bytes) for name in invocation.environment)

    fuzz([payload(FIELDS), payload({**FIELDS, 4: b"", 6: b"", 9: b"\x07"})], read, PeerError)


def a_log() -> bytes:
    log = JobLog(b"/w/all")
    log.write(b"cc: warning\n" * 3)
    log.message(b"redo: something is odd")
    log.note(b"because a has changed")
    log.unchanged([b"/w/a", b"/elsewhere/b"])
    log.finish(1, 0.5)
    return log.encode(b"/w")


def test_logs() -> None:
    fuzz([a_log()], lambda data: list(decode(data, b"/new")))


def test_log_segments(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path / "log")
    segments = Segments(directory)
    place = segments.append(b"all", a_log())
    assert isinstance(place, LogPlace)
    path = segments.path(place.segment)
    segments.close()

    def read(data: bytes) -> None:
        Path(os.fsdecode(path)).write_bytes(data)
        found = Segments(directory)
        for offset in (0, place.offset, 1 << 62):
            for length in (0, place.length, 1 << 62):
                record = found.read(LogPlace(place.segment, offset, length), b"all")
                assert record is None or list(decode(record, b"/w"))
        found.close()

    fuzz([Path(os.fsdecode(path)).read_bytes()], read, dear=10)


FILE = Stamp(1_700_000_000_000_000_001, 2**40, 2**64 - 1, 0o100644, 2**32 - 1, 1000, -5, 2)
STAMPS = [
    FILE,
    FILE._replace(content=b"hash"),
    FILE._replace(referent=MISSING),
    FILE._replace(referent=FILE),
    MISSING,
    DIRECTORY,
]


def test_stamps() -> None:
    packed = [blob for blob in map(pack_stamp, STAMPS) if blob is not None]
    fuzz(packed, unpack_stamp, struct.error, IndexError, RecursionError)
    fuzz(packed, lambda data: unpack_stamps([data, packed[0], data]), struct.error, IndexError, RecursionError)


def test_edges_and_reasons() -> None:
    node = Node(b"/w/a")
    edges = pack_edges((Dep(DepKind.IFCHANGE, node, 7), Dep(DepKind.IFCREATE, node, 0)), lambda _: 3)
    fuzz([edges, edges * 5], lambda data: list(unpack_edges(data)), struct.error)
    names = Names(b"/w")
    reason = pack_reason(Reason(next(iter(Why)), b"/w/a", "detail"), names)
    assert reason is not None
    fuzz([reason], lambda data: unpack_reason(data, names), ValueError, AttributeError)


def test_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "made"
    written = Journal(os.fsencode(path))
    for name in (b"a", b"sp ace\n\\n\\\xff"):
        written.append(name, Print(1_700_000_000_000_000_001, 5, 77))
    written.close()

    def read(data: bytes) -> None:
        path.write_bytes(data)
        journal = Journal(os.fsencode(path))
        journal.entries(Mark(0, 0))
        journal.entries(Mark(journal.generation, journal.length))
        assert 0 <= journal.generation < 1 << 63, "the database keeps it"
        journal.close()

    fuzz([path.read_bytes()], read, dear=5)


def test_owners_and_services(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path)

    def read_lock(data: bytes) -> None:
        (tmp_path / "lock").write_bytes(data)
        read_owner(directory)

    fuzz([json.dumps({"socket": "/run/s", "host": "here", "pid": 1, "started": 2}).encode() + b"\n"], read_lock, dear=5)
    (tmp_path / "services").mkdir()

    def read_record(data: bytes) -> None:
        (tmp_path / "services" / "x.json").write_bytes(data)
        list(Records(directory))

    fuzz([Record(target="6161", token="x", pid=5, command="sleep 1").model_dump_json().encode()], read_record, dear=5)


def test_settings(tmp_path: Path) -> None:
    text = b'goals = ["all", "docs/all"]\njobs = 4\nconsole = ["menu"]\nbackground = "kill"\n[timeout]\n"*.o" = 2.5\n'

    def read(data: bytes) -> None:
        (tmp_path / "redod.toml").write_bytes(data)
        Configs().read(os.fsencode(tmp_path))

    fuzz([text], read, ConfigError, dear=10)


def test_makeflags() -> None:
    def read(flags: bytes) -> None:
        named_jobserver(flags)
        with_jobserver(flags, 4, b"3,4")

    fuzz([b"kj4 --jobserver-auth=3,4 -- A=1", b" -j2 --jobserver-auth=fifo:/tmp/x", b" -j --jobserver-fds=5,6"], read)
