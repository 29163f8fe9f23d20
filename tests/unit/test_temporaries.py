"""The names of `$3`, and which entries beside it are litter."""

import os
from pathlib import Path

import pytest

from redod.files.litter import remove_siblings
from redod.files.temporaries import temporary_name


@pytest.mark.parametrize("target", [b"t", b"/d/t.c", b"../x/t", b"/d/" + b"n" * 255, b"-\xff"])
def test_the_temporary_name_is_beside_the_target_and_new_each_time(target: bytes) -> None:
    one, other = temporary_name(target), temporary_name(target)
    assert one != other
    directory, _, name = one.rpartition(b"/")
    assert directory == target.rpartition(b"/")[0]
    assert len(name) <= 255
    assert name.endswith(b".redo.tmp")
    assert one.startswith(target[:200])


def test_siblings_of_ended_jobs_are_removed_and_nothing_else(tmp_path: Path) -> None:
    place = bytes(tmp_path)
    ended, running, killed = temporary_name(b"t"), temporary_name(b"t"), temporary_name(b"t")
    kept = {b"t", running, running + b".d", b"x" + ended, b"t.redo.tmp"}
    for name in kept | {ended + b".d", ended, killed, killed + b".d"}:
        (tmp_path / os.fsdecode(name)).touch()
    os.makedirs(place + b"/" + ended + b".dir/sub")
    assert remove_siblings(place, {ended}, {place + b"/" + running}) == 5
    assert set(os.listdir(place)) == kept
    assert remove_siblings(place + b"/none", {ended}) == 0
