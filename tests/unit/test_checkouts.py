"""The locks of version control: each tells of the tree that it belongs to."""

import os
from pathlib import Path

import pytest

from redod.files.checkouts import lock_around


def lock(directory: Path) -> Path | None:
    found = lock_around(os.fsencode(directory))
    return Path(os.fsdecode(found)) if found else None


def place(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", [".git/index.lock", ".hg/wlock"])
def test_a_lock_is_found_from_below_the_top(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir()
    assert lock(tmp_path / "a/b") is None
    made = place(tmp_path / name)
    assert lock(tmp_path / "a/b") == made


@pytest.mark.parametrize("is_relative", [False, True])
def test_where_git_is_a_file_the_lock_is_in_the_directory_that_it_names(tmp_path: Path, is_relative: bool) -> None:
    made = place(tmp_path / "main/.git/worktrees/tree/index.lock")
    named = os.path.relpath(made.parent, tmp_path / "tree") if is_relative else made.parent
    place(tmp_path / "tree/.git", f"gitdir: {named}\n")
    found = lock(tmp_path / "tree/sub")
    assert found is not None
    assert found.resolve() == made


def test_the_lock_of_a_tree_around_this_one_does_not_count(tmp_path: Path) -> None:
    place(tmp_path / ".git/index.lock")
    (tmp_path / "sub/.git").mkdir(parents=True)
    assert lock(tmp_path / "sub") is None
