"""Stamps of real files, and canonical names."""

import os
from pathlib import Path

import pytest

from redod.core.stamps import DIRECTORY, MISSING, RACY_NS, difference, is_racy, settled, source_difference
from redod.errors import BadNameError
from redod.files.observe import (
    ObserveError,
    all_canonical,
    canonical,
    links_on_the_way,
    observe,
    observe_source,
)


@pytest.fixture
def place(tmp_path: Path) -> bytes:
    return os.path.realpath(bytes(tmp_path))


def write(path: bytes, data: bytes = b"data") -> bytes:
    with open(path, "wb") as file:
        file.write(data)
    return path


def test_a_stamp_says_what_lstat_says(place: bytes) -> None:
    path = write(place + b"/f")
    found, stamp = os.lstat(path), observe(path)
    assert stamp[:8] == (
        found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode,
        found.st_uid, found.st_gid, found.st_ctime_ns, found.st_nlink,
    )  # fmt: skip
    assert stamp.referent is None


def test_a_directory_is_only_known_to_exist(place: bytes) -> None:
    assert observe(place) is DIRECTORY


@pytest.mark.parametrize("name", [b"/none", b"/none/x", b"/file/x", b"/loop/x", b"/" + b"n" * 256])
def test_a_name_that_cannot_lead_anywhere_is_missing(place: bytes, name: bytes) -> None:
    write(place + b"/file")
    os.symlink(b"loop", place + b"/loop")
    assert observe(place + name) is MISSING


def test_a_link_has_the_stamp_of_what_it_leads_to(place: bytes) -> None:
    write(place + b"/f")
    os.symlink(b"f", place + b"/link")
    before = observe(place + b"/link")
    assert before.referent == observe(place + b"/f")
    write(place + b"/f", b"longer data")
    assert difference(before, observe(place + b"/link")) == "referent"


@pytest.mark.parametrize("leads_to", [b"nowhere", b"link"])
def test_a_link_that_leads_nowhere_exists(place: bytes, leads_to: bytes) -> None:
    os.symlink(leads_to, place + b"/link")
    stamp = observe(place + b"/link")
    assert stamp.exists
    assert stamp.referent is MISSING


def test_a_file_that_cannot_be_looked_at_is_an_error(place: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: bytes) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(ObserveError, match="Permission denied"):
        observe(place + b"/f")


def test_a_change_within_a_clock_tick_is_found_by_its_content(place: bytes) -> None:
    path = write(place + b"/f", b"one")
    first = observe(path)
    recorded = observe_source(path, first.ctime_ns + RACY_NS - 1)
    assert len(recorded.content) == 16
    write(path, b"two")
    later = observe_source(path, first.ctime_ns + 10 * RACY_NS, recorded)
    # As a coarse clock would have it: all but the content is the same.
    unseen = first._replace(content=later.content)
    assert source_difference(recorded, unseen) == "content"


def test_a_racy_link_has_the_content_of_its_file(place: bytes) -> None:
    path = write(place + b"/f", b"one")
    os.symlink(b"f", place + b"/link")
    now = observe(path).ctime_ns
    assert observe_source(place + b"/link", now).content == observe_source(path, now).content != b""


def test_a_stamp_is_no_longer_racy_when_the_clock_has_moved_on(place: bytes) -> None:
    path = write(place + b"/f")
    stamp = observe(path)
    later = stamp.ctime_ns + RACY_NS
    assert is_racy(stamp, later - 1)
    assert observe_source(path, later) == stamp
    recorded = observe_source(path, later - 1)
    assert settled(recorded, later - 1) == recorded
    assert settled(observe_source(path, later, recorded), later) == stamp


def test_only_files_have_content_to_miss(place: bytes) -> None:
    os.mkfifo(place + b"/fifo")
    assert observe_source(place + b"/fifo", 0).content == b""
    assert observe_source(place, 0) == DIRECTORY
    assert observe_source(place + b"/none", 0) == MISSING


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"f", b"/real/f"),
        (b"./f", b"/real/f"),
        (b"sub/../f", b"/real/f"),
        (b"sub//f", b"/real/sub/f"),
        (b"sub/f/", b"/real/sub/f"),
        (b"../link/f", b"/real/f"),
        (b"leaf", b"/real/leaf"),
        (b"../link", b"/link"),
        (b".", b"/real"),
        (b"..", b""),
        (b"sub/..", b"/real"),
        (b"sub/.", b"/real/sub"),
        (b"none/deep/f", b"/real/none/deep/f"),
        (b"\xff \n"[:2], b"/real/\xff "),
    ],
)
@pytest.mark.parametrize("cwd", [b"/real", b"/link"])
def test_every_spelling_has_one_canonical_name(place: bytes, name: bytes, expected: bytes, cwd: bytes) -> None:
    os.makedirs(place + b"/real/sub")
    os.symlink(b"real", place + b"/link")
    os.symlink(b"nowhere", place + b"/real/leaf")
    memory: dict[bytes, bytes] = {}
    assert canonical(name, place + cwd) == place + expected
    assert canonical(name, place + cwd, memory) == canonical(name, place + cwd, memory) == place + expected


@pytest.mark.parametrize("name", [b"/", b"//", b"/..", b"/."])
def test_the_root_has_one_name(name: bytes) -> None:
    assert canonical(name, b"/tmp") == b"/"
    assert canonical(name.rstrip(b"/.") + b"//x", b"/tmp") == b"/x"


@pytest.mark.parametrize("name", [b"", b"a\nb", b"a\0b"])
def test_names_that_no_target_can_have_are_refused(name: bytes) -> None:
    with pytest.raises(BadNameError):
        canonical(name, b"/tmp")


@pytest.mark.parametrize(
    "odd", [b"", b"a\nb", b"a\0b", b".", b"..", b"sub/f", b"sub/../f", b"f/", b"/x", b"x" * 300, b"x" * 4100]
)
def test_of_many_names_each_is_what_it_is_alone(place: bytes, odd: bytes) -> None:
    def attempt(names: list[bytes], *, alone: bool) -> list[bytes] | str:
        directories = {place: place}
        try:
            if alone:
                return [canonical(name, place, directories) for name in names]
            return all_canonical(names, place, directories)
        except BadNameError as error:
            return str(error)

    for names in ([odd], [b"f", odd], [odd, b"f"], [b"f", b"g"], [b"f"], []):
        assert attempt(names, alone=False) == attempt(names, alone=True)


def test_the_links_on_the_way_to_a_directory_are_all_that_are_followed(place: bytes) -> None:
    os.makedirs(place + b"/real/sub")
    os.symlink(b"real", place + b"/one")
    os.symlink(place + b"/one/sub", place + b"/two")
    for directory, links in (
        (b"real/sub", []),
        (b"./real/../one/", [b"/one"]),
        (b"one/../one/sub", [b"/one", b"/one"]),
        (b"two", [b"/two", b"/one"]),
        (place + b"/two/..", [b"/two", b"/one"]),
        (b"missing/two", []),
    ):
        assert links_on_the_way(directory, place) == [place + link for link in links]


def test_links_that_lead_to_each_other_come_to_an_end(place: bytes) -> None:
    os.symlink(b"b", place + b"/a")
    os.symlink(b"a", place + b"/b")
    assert set(links_on_the_way(b"a", place)) == {place + b"/a", place + b"/b"}
