"""When two stamps mean a change."""

import stat

import pytest

from redod.core.stamps import (
    CERTAIN,
    DIRECTORY,
    MISSING,
    RACY,
    RACY_NS,
    Stamp,
    difference,
    is_hand_edit,
    is_racy,
    settled,
    source_difference,
)

FILE = Stamp(100, 5, 7, stat.S_IFREG | 0o644, 1, 2, 100, 1)
LINK = Stamp(100, 1, 8, stat.S_IFLNK | 0o777, 1, 2, 100, 1, FILE)
FIELDS = ["mtime_ns", "size", "inode", "mode", "uid", "gid"]


def changed(stamp: Stamp, field: str) -> Stamp:
    return stamp._replace(**{field: getattr(stamp, field) + 1})


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_but_ctime_and_links_makes_a_target_differ(field: str) -> None:
    assert difference(FILE, changed(FILE, field)) == field.removesuffix("_ns")
    assert source_difference(FILE, changed(FILE, field)) == field.removesuffix("_ns")


def test_ctime_and_links_never_count_for_a_target() -> None:
    assert difference(FILE, FILE._replace(ctime_ns=999, nlink=2)) == ""


def test_ctime_counts_for_a_source_while_the_number_of_links_is_the_same() -> None:
    assert source_difference(FILE, FILE._replace(ctime_ns=999)) == "ctime"
    assert source_difference(FILE, FILE._replace(ctime_ns=999, nlink=2)) == ""


def test_the_ctime_of_a_file_with_several_links_never_counts() -> None:
    """A script that does `ln x $3` changes that of x in each run, and leaves as many links as before."""
    linked = FILE._replace(nlink=2)
    assert source_difference(linked, linked._replace(ctime_ns=999)) == ""
    assert source_difference(linked, changed(linked, "mtime_ns")) == "mtime"


def test_a_file_that_came_or_went_differs() -> None:
    assert difference(MISSING, FILE) == "new"
    assert difference(FILE, MISSING) == "missing"
    assert difference(MISSING, MISSING) == difference(DIRECTORY, DIRECTORY) == ""
    assert difference(DIRECTORY, FILE) != ""


def test_a_link_differs_when_what_it_leads_to_does() -> None:
    assert difference(LINK, LINK) == ""
    assert difference(LINK, LINK._replace(referent=changed(FILE, "size"))) == "referent"
    assert difference(LINK, LINK._replace(referent=MISSING)) == "referent"
    assert difference(LINK, LINK._replace(referent=None)) == "referent"


def test_the_ctime_of_what_a_link_leads_to_counts_for_a_source() -> None:
    """It was edited, and its mtime set back."""
    assert source_difference(LINK, LINK._replace(referent=FILE._replace(ctime_ns=999))) == "referent"
    assert difference(LINK, LINK._replace(referent=FILE._replace(ctime_ns=999))) == ""


def test_where_files_are_compared_by_content_only_that_and_the_rights_count() -> None:
    one = FILE._replace(content=CERTAIN + bytes(16))
    touched = one._replace(mtime_ns=200, ctime_ns=200, inode=9, content=RACY + bytes(16))
    assert source_difference(one, touched) == ""
    assert source_difference(one, touched._replace(mode=one.mode ^ 0o100)) != ""
    assert source_difference(one, one._replace(content=CERTAIN + b"1" * 16)) == "content"
    assert source_difference(FILE, one) == source_difference(one, FILE) == ""
    assert settled(one, 10**15) == one


def test_the_content_decides_between_equal_stamps_that_both_have_it() -> None:
    one = FILE._replace(content=b"1")
    assert source_difference(one, FILE._replace(content=b"2")) == "content"
    assert source_difference(one, one) == source_difference(one, FILE) == source_difference(FILE, one) == ""


@pytest.mark.parametrize("field", FIELDS)
def test_only_mtime_and_size_make_a_hand_edit(field: str) -> None:
    assert is_hand_edit(FILE, changed(FILE, field)) == (field in ("mtime_ns", "size"))


def test_a_target_that_is_gone_was_not_edited() -> None:
    assert not is_hand_edit(FILE, MISSING)


def test_a_stamp_is_racy_until_the_clock_has_moved_on() -> None:
    recent = FILE._replace(ctime_ns=10 * RACY_NS, content=b"1")
    assert is_racy(recent, 11 * RACY_NS - 1)
    assert not is_racy(recent, 11 * RACY_NS)
    assert is_racy(recent, 0), "a ctime in the future"
    assert is_racy(LINK._replace(referent=recent), 11 * RACY_NS - 1)
    assert not is_racy(MISSING, 0)
    assert not is_racy(DIRECTORY, 0)


def test_the_content_is_dropped_once_the_stamp_is_not_racy() -> None:
    recent = FILE._replace(ctime_ns=10 * RACY_NS, content=b"1")
    assert settled(recent, 10 * RACY_NS) == recent
    assert settled(recent, 12 * RACY_NS).content == b""
