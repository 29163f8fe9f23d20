"""What becomes of values in a row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redod.core.stamps import DIRECTORY, MISSING, Stamp
from redod.store.rows import Names, pack_stamp, unpack_stamp

TIME = st.integers(-(2**63), 2**63 - 1)
UNSIGNED = st.integers(0, 2**32 - 1)


def stamps(referent: st.SearchStrategy[Stamp | None]) -> st.SearchStrategy[Stamp]:
    inode = st.integers(0, 2**64 - 1)
    content = st.binary(max_size=64)
    return st.builds(
        Stamp, TIME, st.integers(0, 2**63 - 1), inode, UNSIGNED, UNSIGNED, UNSIGNED, TIME, UNSIGNED, referent, content
    )


SHARED = st.sampled_from([None, MISSING, DIRECTORY])


@given(st.one_of(SHARED, stamps(st.one_of(SHARED, stamps(st.none())))))
def test_every_stamp_is_read_back(stamp: Stamp | None) -> None:
    assert unpack_stamp(pack_stamp(stamp)) == stamp


@pytest.mark.parametrize("root", [b"/", b"/w", b"/w/\xff"])
@pytest.mark.parametrize("path", [b"/", b"/w", b"/w/a", b"/w/\xff/a/\xfe", b"/wa", b"/other"])
def test_every_path_is_read_back(root: bytes, path: bytes) -> None:
    names = Names(root)
    assert names.path(names.name(path)) == path


def test_a_path_inside_moves_with_the_root_and_one_outside_stays() -> None:
    here, there = Names(b"/here"), Names(b"/there")
    assert there.path(here.name(b"/here/d/x")) == b"/there/d/x"
    assert there.path(here.name(b"/here")) == b"/there"
    assert there.path(here.name(b"/hereafter")) == b"/hereafter"
