"""Cgroups of jobs, played by ordinary directories; `tests/behaviour/test_cgroups.py` has real ones."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from redod.jobs import cgroups
from redod.jobs.cgroups import Cgroup, Cgroups, cgroup_of, delegated

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "33 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
BOUND = "40 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
SERVER = 12


def play(monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str]) -> None:
    monkeypatch.setattr(cgroups, "_read", lambda path: files[os.fsdecode(path)].encode())


@pytest.mark.parametrize(
    ("own", "mounts", "expected"),
    [
        pytest.param("0::/a.service/redod-12-3", UNIFIED, b"/sys/fs/cgroup/a.service/redod-12-3", id="unified"),
        pytest.param("9:cpu:/x\n0::/a/redod-12-3", HYBRID, b"/sys/fs/cgroup/unified/a/redod-12-3", id="hybrid"),
        pytest.param("0::/docker/1/redod-12-3", BOUND, b"/sys/fs/cgroup/redod-12-3", id="a part"),
        pytest.param("0::/a/redod-12-3/redod-13-1", UNIFIED, b"/sys/fs/cgroup/a/redod-12-3", id="below it"),
        pytest.param("0::/docker/12/redod-12-3", BOUND, None, id="of another part"),
        pytest.param("0::/a/redod-120-3", UNIFIED, None, id="of another server"),
        pytest.param("0::/a/redod-12-3x", UNIFIED, None, id="of another name"),
        pytest.param("0::/", UNIFIED, None, id="the root"),
        pytest.param("9:cpu:/x", HYBRID, None, id="version 1 alone"),
        pytest.param("0::/a/redod-12-3", "", None, id="not mounted"),
    ],
)
def test_a_jobs_cgroup_is_known_by_its_name(
    monkeypatch: pytest.MonkeyPatch, own: str, mounts: str, expected: bytes | None
) -> None:
    play(monkeypatch, {"/proc/77/cgroup": own + "\n", "/proc/self/mountinfo": mounts})
    assert cgroup_of(77, SERVER) == (Cgroup(expected) if expected else None)


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What seems to be our own cgroup."""
    monkeypatch.setattr(cgroups, "_directory_of", lambda pid: bytes(tmp_path))
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "cgroup.kill").touch()
    return tmp_path


def test_what_belongs_to_an_ordinary_user_is_delegated(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(parent).st_uid or 1)
    os.chown(parent, os.geteuid(), -1)
    assert delegated() == bytes(parent)


@pytest.mark.parametrize(
    ("value", "is_delegated"), [pytest.param(b"1", True), pytest.param(b"0", False), pytest.param(None, False)]
)
def test_roots_is_delegated_only_where_it_is_marked(
    parent: Path, monkeypatch: pytest.MonkeyPatch, value: bytes | None, is_delegated: bool
) -> None:
    attributes = {} if value is None else {"user.delegate": value}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(cgroups, "_attribute", lambda path, name: attributes.get(name, b""))
    assert delegated() == (bytes(parent) if is_delegated else b"")


@pytest.mark.parametrize("name", ["cgroup.procs", "cgroup.kill"])
def test_without_what_is_needed_nothing_is_delegated(parent: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(cgroups, "_attribute", lambda path, name: b"1")
    (parent / name).unlink()
    assert delegated() == b""


def test_without_a_parent_there_are_none() -> None:
    pool = Cgroups(b"")
    assert pool.take() is None
    pool.give_back(None)
    pool.let_go()


def take(pool: Cgroups) -> Cgroup:
    cgroup = pool.take()
    assert cgroup is not None
    return cgroup


def test_one_is_used_again_unless_somebody_lives_there(parent: Path) -> None:
    pool = Cgroups(bytes(parent))
    first, second = take(pool), take(pool)
    assert first.path != second.path
    events = Path(os.fsdecode(first.path), "cgroup.events")
    events.write_bytes(b"populated 0\nfrozen 0\n")
    pool.give_back(first)
    assert take(pool) == first
    events.write_bytes(b"populated 1\nfrozen 0\n")
    pool.give_back(first)
    third = take(pool)
    assert third.path not in (first.path, second.path)
    events.unlink()
    # It is empty now: removed when the next one is made.
    fourth = take(pool)
    assert not os.path.exists(first.path)
    for cgroup in (second, third, fourth):
        pool.give_back(cgroup)
    opened = len(os.listdir("/proc/self/fd"))
    pool.let_go()
    assert len(os.listdir("/proc/self/fd")) == opened - 3
    assert sorted(os.listdir(parent)) == ["cgroup.kill", "cgroup.procs"]


def test_one_that_was_killed_is_not_used_again(parent: Path) -> None:
    pool = Cgroups(bytes(parent))
    killed = take(pool)
    Path(os.fsdecode(killed.path), "cgroup.events").write_bytes(b"populated 0\n")
    killed.kill()
    pool.give_back(killed)
    assert take(pool).path != killed.path


def test_where_none_can_be_made_there_is_none(parent: Path) -> None:
    pool = Cgroups(bytes(parent))
    (parent / f"redod-{os.getpid()}-1").mkdir()
    assert pool.take() is None
    assert pool.take() is not None
    pool.let_go()


def test_those_of_dead_servers_are_removed(parent: Path) -> None:
    dead = 1 << 30
    kept = [f"redod-{os.getppid()}-1", f"redod-{dead}-2x", "service"]
    for name in [*kept, f"redod-{dead}-2", f"redod-{dead}-3/redod-{dead}-4"]:
        (parent / name).mkdir(parents=True)
    Cgroups(bytes(parent))
    assert sorted(os.listdir(parent)) == sorted(["cgroup.kill", "cgroup.procs", *kept])


def test_what_runs_below_it_runs_in_it(tmp_path: Path) -> None:
    (tmp_path / "redod-7-1").mkdir()
    (tmp_path / "cgroup.procs").write_text("3\n5\n")
    (tmp_path / "redod-7-1/cgroup.procs").write_text("8\n")
    cgroup = Cgroup(bytes(tmp_path))
    assert sorted(cgroup.pids()) == [3, 5, 8]
    cgroup.kill()
    assert (tmp_path / "cgroup.kill").read_bytes() == b"1"


def test_one_that_is_gone_has_no_processes(tmp_path: Path) -> None:
    cgroup = Cgroup(bytes(tmp_path / "gone"))
    cgroup.kill()
    assert (cgroup.pids(), cgroup.is_populated) == ([], None)
