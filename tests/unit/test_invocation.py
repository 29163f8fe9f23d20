import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redod.protocol.frames import PeerError
from redod.protocol.invocation import MAX_FIELDS, Limit, Terminal, parse

NONE = (1 << 64) - 1
FIELDS: dict[int, bytes] = {
    1: struct.pack(">HH", 1, 0),
    2: b"0.1.0",
    3: b"redo-ifchange",
    4: b"a b\0-\xff\0\0",
    5: b"/home/\xe4",
    6: b"PATH=/bin\0REDO_JOB=tok\0A=1=2\0A=3\0odd\0=x\0E=\0",
    7: struct.pack(">I", 0o022),
    8: struct.pack(">32Q", *([1024, NONE] * 16)),
    9: b"\x06",
    10: struct.pack(">BHH", 4, 24, 80),
}


def field(tag: int, value: bytes) -> bytes:
    return struct.pack(">BI", tag, len(value)) + value


def payload(fields: dict[int, bytes]) -> bytes:
    return b"".join(field(tag, value) for tag, value in fields.items())


def test_every_field_arrives() -> None:
    invocation = parse(payload(FIELDS))
    assert invocation.protocol == (1, 0)
    assert invocation.version == "0.1.0"
    assert invocation.name == b"redo-ifchange"
    assert invocation.args == (b"a b", b"-\xff", b"")
    assert invocation.cwd == b"/home/\xe4"
    assert invocation.environ == FIELDS[6]
    assert invocation.umask == 0o022
    assert invocation.limits == (Limit(1024, -1),) * 16
    assert invocation.descriptors == (1, 2)
    assert invocation.terminal == Terminal((2,), 24, 80)


def test_the_environment_is_bytes_and_the_first_of_a_name_counts() -> None:
    invocation = parse(payload(FIELDS))
    assert invocation.environment == {b"PATH": b"/bin", b"REDO_JOB": b"tok", b"A": b"1=2", b"E": b""}
    assert invocation.environment is invocation.environment


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        (b"", None),
        (b"REDO_JOB=x\0", b"x"),
        (b"A=REDO_JOB=no\0XREDO_JOB=no\0REDO_JOB=x\0REDO_JOB=y\0", b"x"),
        (b"A=b\0REDO_JOBS=no\0", None),
        (b"REDO_JOB=\0", None),
    ],
)
def test_the_job_token_is_what_the_whole_environment_says(environ: bytes, token: bytes | None) -> None:
    invocation = parse(payload(FIELDS | {6: environ}))
    assert invocation.job_token == token
    assert invocation.job_token == (invocation.environment.get(b"REDO_JOB") or None)


@given(st.lists(st.sampled_from([b"A=1", b"AB=2", b"B=A=3", b"=A=4", b"A", b"", b"A=", b"\xffA=5"]), max_size=6))
def test_one_variable_is_found_as_in_the_parsed_environment(strings: list[bytes]) -> None:
    invocation = parse(payload(FIELDS | {6: b"".join(string + b"\0" for string in strings)}))
    for name in (b"A", b"AB", b"B", b"\xffA"):
        assert invocation.variable(name) == invocation.environment.get(name)


def test_it_cannot_be_changed() -> None:
    invocation = parse(payload(FIELDS))
    with pytest.raises(AttributeError):
        invocation.umask = 0  # type: ignore[misc]  # what is tested


def test_sixteen_megabytes_of_environment_are_accepted() -> None:
    invocation = parse(payload(FIELDS | {6: b"BIG=" + b"x" * (16 << 20) + b"\0LAST=1\0"}))
    assert invocation.variable(b"LAST") == b"1"


def test_many_thousands_of_names_are_accepted() -> None:
    names = tuple(b"dir/target-%06d" % n for n in range(100_000))
    assert parse(payload(FIELDS | {4: b"\0".join(names) + b"\0"})).args == names


def test_fields_in_any_order_and_of_newer_clients_are_read() -> None:
    reordered = field(1, FIELDS[1]) + field(200, b"new") + payload(dict(reversed(list(FIELDS.items())[1:])))
    assert parse(reordered + field(200, b"twice")) == parse(payload(FIELDS))


@pytest.mark.parametrize("tag", range(2, 11))
def test_a_missing_field_is_named(tag: int) -> None:
    with pytest.raises(PeerError, match="lacks the field"):
        parse(payload({t: value for t, value in FIELDS.items() if t != tag}))


@pytest.mark.parametrize("tag", range(1, 11))
def test_a_field_twice_is_an_error(tag: int) -> None:
    with pytest.raises(PeerError, match="twice"):
        parse(payload(FIELDS) + field(tag, FIELDS[tag]))


@pytest.mark.parametrize(
    ("tag", "value", "text"),
    [
        (1, b"\0\1\0", "protocol: has 3 bytes instead of 4"),
        (2, b"\xff", "version: is not UTF-8"),
        (2, b"x" * 1000, "version"),
        (3, b"", "name"),
        (3, b"bin/redo", "name: is not a command name"),
        (4, b"a\0b", "args: does not end with a NUL"),
        (4, b"\0" * (1 << 21), "args: has more than"),
        (5, b"", "cwd: is not an absolute path"),
        (5, b"(unreachable)/x", "cwd: is not an absolute path"),
        (5, b"/a\0b", "cwd"),
        (6, b"A=1", "environ: does not end with a NUL"),
        (7, b"\0\0\2\x00\0", "umask: has 5 bytes"),
        (7, b"\0\0\x02\0", "umask"),
        (8, bytes(255), "limits: has 255 bytes"),
        (8, struct.pack(">32Q", *([NONE, 1024] * 16)), "limits: a soft limit is above"),
        (9, b"\x08", "descriptors: names a descriptor above 2"),
        (9, b"", "descriptors"),
        (10, struct.pack(">BHH", 8, 0, 0), "terminal: names a descriptor above 2"),
        (10, struct.pack(">BHH", 1, 0, 0), "terminal: names a descriptor that is not open"),
    ],
)
def test_a_bad_value_is_named(tag: int, value: bytes, text: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse(payload(FIELDS | {tag: value}))
    assert text in str(caught.value)
    assert len(str(caught.value)) < 200


def test_another_major_version_is_refused_before_anything_else_with_both_versions() -> None:
    with pytest.raises(PeerError, match=r"2\.3.*1\.1"):
        parse(field(1, struct.pack(">HH", 2, 3)) + b"\xff\xff")


def test_a_newer_minor_version_is_accepted() -> None:
    assert parse(payload(FIELDS | {1: struct.pack(">HH", 1, 9)})).protocol == (1, 9)


def test_the_protocol_comes_first() -> None:
    with pytest.raises(PeerError, match="begin"):
        parse(payload({2: FIELDS[2], **FIELDS}))


def test_skipping_unknown_fields_is_bounded() -> None:
    with pytest.raises(PeerError, match="fields"):
        parse(payload(FIELDS) + field(99, b"") * MAX_FIELDS)


def test_cut_anywhere_it_is_a_peer_error() -> None:
    whole = payload(FIELDS)
    for end in range(len(whole)):
        with pytest.raises(PeerError):
            parse(whole[:end])


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_a_peer_error(data: bytes) -> None:
    with pytest.raises(PeerError):
        parse(data)


@given(st.dictionaries(st.integers(1, 12), st.binary(max_size=12)))
def test_random_values_raise_nothing_but_a_peer_error(changes: dict[int, bytes]) -> None:
    try:
        invocation = parse(payload(FIELDS | changes))
    except PeerError as error:
        assert str(error)  # noqa: PT017 - accepting the values is as good
    else:
        assert invocation.cwd.startswith(b"/")
