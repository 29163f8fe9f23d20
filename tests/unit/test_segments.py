import errno
import os
from pathlib import Path

import pytest

from redod.core.graph import LogPlace
from redod.logs.segments import NotKept, Segments
from tests.descriptors import own_descriptors


def at(path: Path, segment_size: int = 1000, total_size: int = 5000) -> Segments:
    return Segments(os.fsencode(path), segment_size, total_size)


def put(segments: Segments, target: bytes, data: bytes) -> LogPlace:
    place = segments.append(target, data)
    assert isinstance(place, LogPlace)
    return place


def files(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def test_nothing_is_made_before_the_first_log(tmp_path: Path) -> None:
    segments = at(tmp_path / "log")
    assert segments.read(LogPlace(1, 0, 30), b"a") is None
    assert files(tmp_path) == []
    place = put(segments, b"a", b"data")
    assert files(tmp_path / "log") == ["000001"]
    assert segments.read(place, b"a") == b"data"


def test_logs_are_appended_and_found_again_by_the_next_process(tmp_path: Path) -> None:
    first = at(tmp_path / "log")
    places = [put(first, b"t%d" % n, b"log %d" % n) for n in range(3)]
    second = at(tmp_path / "log")
    places.append(put(second, b"t3", b"log 3"))
    assert files(tmp_path / "log") == ["000001"]
    for segments in (first, second):
        assert [segments.read(place, b"t%d" % n) for n, place in enumerate(places)] == [b"log %d" % n for n in range(4)]


def test_a_place_of_another_target_is_not_read(tmp_path: Path) -> None:
    segments = at(tmp_path / "log")
    place = put(segments, b"a", b"data")
    assert segments.read(place, b"b") is None


@pytest.mark.parametrize(
    "place",
    [LogPlace(1, 1, 30), LogPlace(1, 0, 5), LogPlace(1, 0, 1 << 70), LogPlace(1, -1, 24), LogPlace(2, 0, 24)],
)
def test_a_wrong_place_is_not_kept(tmp_path: Path, place: LogPlace) -> None:
    segments = at(tmp_path / "log")
    put(segments, b"a", b"0123456789")
    assert segments.read(place, b"a") is None


def test_every_byte_of_a_record_is_checked(tmp_path: Path) -> None:
    segments = at(tmp_path / "log")
    put(segments, b"before", b"before")
    place = put(segments, b"a", b"some data")
    file = tmp_path / "log" / "000001"
    whole = file.read_bytes()
    for offset in range(place.offset, place.offset + place.length):
        file.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        assert segments.read(place, b"a") is None
    file.write_bytes(whole)
    assert segments.read(place, b"a") == b"some data"


def test_cut_anywhere_by_a_crash_the_log_is_not_kept_and_later_ones_are(tmp_path: Path) -> None:
    writer = at(tmp_path / "log")
    kept = put(writer, b"kept", b"kept")
    torn = put(writer, b"torn", b"torn data")
    file = tmp_path / "log" / "000001"
    whole = file.read_bytes()
    for cut in range(torn.offset, torn.offset + torn.length):
        file.write_bytes(whole[:cut])
        segments = at(tmp_path / "log")
        assert segments.read(torn, b"torn") is None
        later = put(segments, b"later", b"later")
        assert segments.read(torn, b"torn") is None
        assert segments.read(kept, b"kept") == b"kept"
        assert segments.read(later, b"later") == b"later"


def test_a_full_segment_is_followed_by_the_next_and_the_oldest_are_deleted(tmp_path: Path) -> None:
    segments = at(tmp_path / "log", segment_size=100, total_size=300)
    places = [put(segments, b"t", bytes([n]) * 60) for n in range(9)]
    assert files(tmp_path / "log") == ["000007", "000008", "000009"]
    assert sum((tmp_path / "log" / name).stat().st_size for name in files(tmp_path / "log")) <= 300
    logs = [segments.read(place, b"t") for place in places]
    assert logs == [None] * 6 + [bytes([n]) * 60 for n in range(6, 9)]


def test_the_limit_counts_what_earlier_processes_left(tmp_path: Path) -> None:
    for n in range(9):
        put(at(tmp_path / "log", segment_size=100, total_size=300), b"t", bytes([n]) * 60)
    assert files(tmp_path / "log") == ["000007", "000008", "000009"]


def test_a_log_longer_than_a_segment_or_all_of_them_is_kept_until_the_next(tmp_path: Path) -> None:
    segments = at(tmp_path / "log", segment_size=100, total_size=300)
    put(segments, b"a", b"small")
    big = put(segments, b"b", b"x" * 1000)
    assert segments.read(big, b"b") == b"x" * 1000
    put(segments, b"c", b"small")
    assert segments.read(big, b"b") is None


def test_a_segment_can_be_read_after_it_was_deleted_and_then_it_is_closed(tmp_path: Path) -> None:
    segments = at(tmp_path / "log", segment_size=100, total_size=300)
    before = own_descriptors()
    place = put(segments, b"a", b"0123456789" * 6)
    segment = segments.find(place.segment)
    assert segment is not None
    for _ in range(9):
        put(segments, b"b", b"x" * 60)
    assert segments.read(place, b"a") is None
    assert segment.piece(place, 8, 4) == b"8901"
    assert segment.record(place, b"a") == b"0123456789" * 6
    assert len(os.listdir("/proc/self/fd")) == before + 2
    del segment
    segments.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_is_a_value_and_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = at(tmp_path / "log")
    first = put(segments, b"a", b"first")
    size = (tmp_path / "log" / "000001").stat().st_size

    def short(descriptor: int, buffers: tuple[bytes, ...], offset: int) -> int:
        return os.pwrite(descriptor, b"".join(buffers)[:10], offset)

    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    real = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", lambda fd, buffers, offset: real(fd, b"".join(buffers)[:10], offset))
        patch.setattr(os, "pwrite", full)
        assert segments.append(b"a", b"second") == NotKept(os.strerror(errno.ENOSPC))
    assert (tmp_path / "log" / "000001").stat().st_size == size
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", short)
        third = put(segments, b"a", b"third")
    assert segments.read(first, b"a") == b"first"
    assert segments.read(third, b"a") == b"third"


def test_a_log_directory_that_cannot_be_made_is_a_value(tmp_path: Path) -> None:
    segments = at(tmp_path / "gone" / "log")
    assert isinstance(segments.append(b"a", b"data"), NotKept)
    assert files(tmp_path) == []
    (tmp_path / "gone").mkdir()
    put(segments, b"a", b"data")


def test_cleaned_away_under_us_the_next_log_goes_to_a_new_segment(tmp_path: Path) -> None:
    segments = at(tmp_path / "log")
    put(segments, b"a", b"data")
    (tmp_path / "log" / "000001").unlink()
    (tmp_path / "log").rmdir()
    place = put(segments, b"a", b"new")
    assert files(tmp_path / "log") == ["000002"]
    assert at(tmp_path / "log").read(place, b"a") == b"new"


def test_a_segment_that_somebody_else_made_is_not_overwritten(tmp_path: Path) -> None:
    ours, theirs = at(tmp_path / "log", segment_size=100), at(tmp_path / "log", segment_size=100)
    put(ours, b"a", b"x" * 90)
    other = put(theirs, b"b", b"y" * 90)
    assert isinstance(ours.append(b"a", b"z" * 90), NotKept)
    place = put(ours, b"a", b"z" * 90)
    assert ours.read(other, b"b") == b"y" * 90
    assert ours.read(place, b"a") == b"z" * 90


def test_other_files_in_the_directory_are_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    for name in ("notes", "12", "999999999999999"):
        (directory / name).write_bytes(b"x" * 1000)
    segments = at(directory, segment_size=100, total_size=300)
    for _ in range(9):
        put(segments, b"t", b"x" * 60)
    assert files(directory) == ["000007", "000008", "000009", "12", "999999999999999", "notes"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "log" / "000001").symlink_to(victim)
    assert isinstance(at(tmp_path / "log").append(b"a", b"data"), NotKept)
    assert victim.read_bytes() == b"precious"


def test_written_anew_nothing_old_is_touched_until_it_is_deleted(tmp_path: Path) -> None:
    segments = at(tmp_path / "log", segment_size=100, total_size=300)
    places = {name: put(segments, name, b"x" * 60) for name in (b"a", b"b", b"c")}
    old = segments.begin_anew()
    assert sorted(old) == [1, 2, 3]
    anew = {name: put(segments, name, b"y" * 60) for name in places}
    assert all(place.segment not in old for place in anew.values())
    assert all(segments.read(place, name) == b"x" * 60 for name, place in places.items())
    segments.delete(old)
    segments.end_anew()
    assert all(segments.read(place, name) == b"y" * 60 for name, place in anew.items())
    assert all(segments.read(place, name) is None for name, place in places.items())
    assert segments.size == 3 * 80


def test_where_there_is_nothing_nothing_is_made_anew(tmp_path: Path) -> None:
    segments = at(tmp_path / "log")
    assert segments.begin_anew() == frozenset()
    segments.end_anew()
    assert files(tmp_path) == []
