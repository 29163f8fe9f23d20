import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redod.protocol.frames import (
    MAX_DATA,
    MAX_INVOKE,
    MAX_PAYLOAD,
    READ_STDIN,
    Frame,
    FrameReader,
    FrameType,
    Invoke,
    JobEnded,
    JobStarted,
    PeerError,
    Resized,
    Settled,
    Signal,
    Stdin,
    encode_exit_signal,
    encode_exit_status,
    encode_output,
    encode_refused,
)


def frame(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack(">IB", len(payload), kind) + payload


def take(reader: FrameReader) -> list[Frame]:
    frames: list[Frame] = []
    while (found := reader.next_frame()) is not None:
        frames.append(found)
    return frames


def read(*pieces: bytes, stdin: bool = True) -> tuple[list[Frame], str]:
    """All frames of a stream that comes in these pieces, and the error that ended it, if one did."""
    reader = FrameReader()
    if stdin:
        reader.allow_stdin()
    frames: list[Frame] = []
    for piece in pieces:
        reader.feed(piece)
        try:
            while (found := reader.next_frame()) is not None:
                frames.append(found)
        except PeerError as error:
            return frames, str(error)
    return frames, ""


CONVERSATION = frame(1, b"fields") + frame(4, b"\0\x18\0\x50") + frame(3, b"abc") + frame(2, b"\x02") + frame(3)
FRAMES = [Invoke(b"fields"), Resized(24, 80), Stdin(b"abc"), Signal(2), Stdin(b"")]


def test_frames_come_out_as_they_went_in() -> None:
    assert read(CONVERSATION) == (FRAMES, "")


@pytest.mark.parametrize("tail", [b"", frame(99, b"bad"), frame(2, b"\x09"), frame(1)])
def test_splitting_at_any_byte_gives_the_same_frames_and_error(tail: bytes) -> None:
    stream = CONVERSATION + tail
    whole = read(stream)
    assert len(whole[0]) == len(FRAMES)
    for at in range(len(stream) + 1):
        assert read(stream[:at], stream[at:]) == whole
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == whole


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_random_bytes_raise_nothing_but_a_peer_error(pieces: list[bytes], invoked: bool) -> None:
    first = [frame(1)] if invoked else []
    split = read(*first, *pieces)
    assert split == read(b"".join([*first, *pieces]))


@given(st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=6)), max_size=6), st.data())
def test_random_frames_are_judged_alike_however_they_are_split(
    sent: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = frame(1) + b"".join(frame(*one) for one in sent)
    at = data.draw(st.integers(0, len(stream)))
    assert read(stream[:at], stream[at:]) == read(stream)


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (frame(2, b"\x02"), "first frame"),
        (frame(1) + frame(1), "second INVOKE"),
        (frame(0), "type 0"),
        (frame(FrameType.OUTPUT, b"\1x"), "type 16"),
        (frame(1) + frame(2, b""), "SIGNAL"),
        (frame(1) + frame(2, b"\x09"), "SIGNAL"),
        (frame(1) + frame(4, b"123"), "WINSIZE"),
    ],
)
def test_a_frame_out_of_order_or_shape_is_named(stream: bytes, text: str) -> None:
    assert text in read(stream)[1]


def test_a_reader_stays_broken() -> None:
    reader = FrameReader()
    reader.feed(frame(9))
    with pytest.raises(PeerError, match="type 9") as first:
        reader.next_frame()
    reader.feed(CONVERSATION)
    with pytest.raises(PeerError, match="type 9") as second:
        reader.next_frame()
    assert first.value.status == second.value.status == 2


def test_frames_about_jobs_are_in_order_only_after_start_job() -> None:
    numbers = struct.pack(">II", 4000, 256)
    assert "not asked for" in read(frame(1) + frame(5, numbers))[1]
    reader = FrameReader()
    reader.allow_jobs()
    reader.feed(frame(1) + frame(5, numbers) + frame(7) + frame(6, numbers) + frame(6, b"short"))
    assert [reader.next_frame() for _ in range(4)] == [
        Invoke(b""), JobStarted(4000, 256), Settled(), JobEnded(4000, 256)
    ]  # fmt: skip
    with pytest.raises(PeerError, match="5 bytes instead of 8"):
        reader.next_frame()


def test_stdin_is_in_order_only_between_read_stdin_and_its_end() -> None:
    assert "not asked for" in read(frame(1) + frame(3, b"x"), stdin=False)[1]
    frames, error = read(frame(1) + frame(3, b"x") + frame(3) + frame(3, b"y"))
    assert frames == [Invoke(b""), Stdin(b"x"), Stdin(b"")]
    assert "not asked for" in error


def test_lengths_at_the_limits_pass_and_one_more_is_refused_by_the_header_alone() -> None:
    reader = FrameReader()
    reader.feed(struct.pack(">IB", MAX_INVOKE, 1))
    assert reader.next_frame() is None
    piece = bytes(1 << 20)
    for _ in range(MAX_INVOKE >> 20):
        assert not reader.invoked
        reader.feed(piece)
        found = reader.next_frame()
    assert isinstance(found, Invoke)
    assert len(found.payload) == MAX_INVOKE
    assert reader.invoked
    reader.allow_stdin()
    reader.feed(frame(3, bytes(MAX_DATA)))
    assert take(reader) == [Stdin(bytes(MAX_DATA))]

    assert "too long" in read(struct.pack(">IB", MAX_INVOKE + 1, 1))[1]
    assert "too long" in read(frame(1) + struct.pack(">IB", MAX_DATA + 1, 3))[1]
    assert "too long" in read(frame(1) + struct.pack(">IB", MAX_PAYLOAD + 1, 4))[1]


def decode(stream: bytes) -> list[tuple[int, bytes]]:
    frames = []
    while stream:
        length, kind = struct.unpack_from(">IB", stream)
        frames.append((kind, stream[5 : 5 + length]))
        stream = stream[5 + length :]
    return frames


@pytest.mark.parametrize("size", [0, 1, MAX_DATA, MAX_DATA + 1, 3 * MAX_DATA])
def test_output_is_split_at_the_limit(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    frames = decode(encode_output(2, data))
    assert b"".join(payload[1:] for _, payload in frames) == data
    assert all(kind == 16 and payload[0] == 2 and len(payload) <= MAX_PAYLOAD for kind, payload in frames)
    assert len(frames) == -(-size // MAX_DATA)


def test_the_last_frames_are_as_documented() -> None:
    assert decode(READ_STDIN) == [(17, b"")]
    assert decode(encode_exit_status(206)) == [(18, b"\x00\xce")]
    assert decode(encode_exit_signal(15)) == [(18, b"\x01\x0f")]
    assert decode(encode_refused(2, "nö \udcff")) == [(19, b"\x02n\xc3\xb6 \\udcff")]


def test_a_long_refusal_is_cut_at_a_character() -> None:
    ((_, payload),) = decode(encode_refused(1, "x" + "ö" * MAX_DATA))
    assert MAX_DATA - 1 <= len(payload) - 1 <= MAX_DATA
    assert payload[1:].decode() == "x" + "ö" * ((MAX_DATA - 1) // 2)
