"""Who owns a workspace's store."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from redod.store.lock import Owner, WorkspaceBusy, acquire, read_owner

ME = Owner(b"/run/\xff.sock", "here", 12, 1_700_000_000)
OTHER = Owner(b"/run/a/rather/longer/path.sock", "there", 3456, 1_800_000_000)


def test_a_second_owner_is_told_of_the_first(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path)
    lock = acquire(directory, ME)
    with pytest.raises(WorkspaceBusy, match="pid 12 on here") as busy:
        acquire(directory, OTHER)
    assert busy.value.owner == ME
    lock.close()
    acquire(directory, OTHER).close()


def test_a_shorter_name_replaces_a_longer_one(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path)
    (tmp_path / "lock").write_bytes(b"x" * 500 + b"\n")
    lock = acquire(directory, ME)
    assert read_owner(directory) == ME
    assert (tmp_path / "lock").read_bytes().count(b"\n") == 1
    lock.close()


def test_a_released_store_has_no_owner(tmp_path: Path) -> None:
    acquire(os.fsencode(tmp_path), ME).close()
    assert read_owner(os.fsencode(tmp_path)) is None


INFINITE = b'{"socket": "/s", "host": "h", "pid": 1e999, "started": 1}\n'


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]\n", b"\xff\xfe\n", b'{"socket": 1}\n', b"[" * 100_000, INFINITE],
    ids=["empty", "nothing", "list", "binary", "no name", "deep", "infinite"],
)  # fmt: skip
def test_a_lock_file_of_another_kind_names_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock").write_bytes(content)
    assert read_owner(os.fsencode(tmp_path)) is None


def test_a_killed_owner_holds_nothing(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path)
    ready, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            acquire(directory, OTHER)
            os.write(write, b"held")
            signal.pause()
        finally:
            os._exit(1)
    try:
        assert os.read(ready, 4) == b"held"
        with pytest.raises(WorkspaceBusy):
            acquire(directory, ME)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(write)
    acquire(directory, ME).close()


def test_a_lock_whose_directory_was_removed_is_renewed(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path / "store")
    os.mkdir(directory)
    lock = acquire(directory, ME)
    shutil.rmtree(directory)
    os.mkdir(directory)
    lock.renew()
    with pytest.raises(WorkspaceBusy):
        acquire(directory, OTHER)
    lock.close()


def test_a_lock_is_not_renewed_when_somebody_else_was_first(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path / "store")
    os.mkdir(directory)
    lock = acquire(directory, ME)
    shutil.rmtree(directory)
    os.mkdir(directory)
    other = acquire(directory, OTHER)
    with pytest.raises(WorkspaceBusy) as busy:
        lock.renew()
    assert busy.value.owner == OTHER
    other.close()
    lock.renew()
    assert read_owner(directory) == ME
    lock.close()
