"""The search for a target's workspace, and the making of its store's directory."""

import os
import stat
from pathlib import Path

import pytest

from redod.store import StoreError
from redod.store.workspaces import MARKERS, Workspace, Workspaces, filesystem_type, remake, state_directory

NOWHERE = b"/nonexistent"


@pytest.fixture
def top(tmp_path: Path) -> bytes:
    return os.path.realpath(os.fsencode(tmp_path))


def local(_: bytes) -> str:
    return "ext4"


def search(top: bytes) -> Workspaces:
    return Workspaces(top + b"/state/redod", local)


def make(*paths: bytes) -> None:
    for path in paths:
        os.makedirs(path)


def test_the_nearest_store_wins_over_a_nearer_project(top: bytes) -> None:
    make(top + b"/a/.redo", top + b"/a/b/.git", top + b"/a/b/c")
    assert search(top).root(top + b"/a/b/c/t", top + b"/a/b", NOWHERE) == top + b"/a"


@pytest.mark.parametrize("marker", MARKERS)
def test_without_a_store_the_nearest_project_wins_over_cwd(top: bytes, marker: bytes) -> None:
    make(top + b"/p/q/r", top + b"/p/.hg")
    os.close(os.open(top + b"/p/q/" + marker, os.O_CREAT))
    assert search(top).root(top + b"/p/q/r/t", top + b"/p/q/r", NOWHERE) == top + b"/p/q"


def test_without_a_project_cwd_is_the_root_of_targets_below_it(top: bytes) -> None:
    make(top + b"/p/q", top + b"/pq")
    found = search(top)
    assert found.root(top + b"/p/q/t", top + b"/p", NOWHERE) == top + b"/p"
    assert found.root(top + b"/pq/t", top + b"/p", NOWHERE) == top + b"/pq"


def test_a_target_in_a_directory_to_be_made_belongs_to_the_nearest_that_exists(top: bytes) -> None:
    make(top + b"/p")
    assert search(top).root(top + b"/p/new/newer/t", NOWHERE, NOWHERE) == top + b"/p"


def test_the_home_directory_is_passed_over(top: bytes) -> None:
    home = top + b"/home"
    make(home + b"/.redo", home + b"/.git", home + b"/p/q")
    assert search(top).root(home + b"/p/q/t", home, home) == home + b"/p/q"


def test_a_directory_in_which_everybody_may_make_files_is_passed_over(top: bytes) -> None:
    """Once made in /tmp by whoever built there first, a store would have all projects below it."""
    shared = top + b"/tmp"
    make(shared + b"/.redo", shared + b"/.git", shared + b"/p/q")
    os.chmod(shared, 0o1777)
    found = search(top)
    assert found.root(shared + b"/p/q/t", shared, NOWHERE) == shared + b"/p/q"
    assert found.root(shared + b"/p/q/t", shared + b"/p", NOWHERE) == shared + b"/p"
    assert found.find(shared + b"/t", shared, NOWHERE).directory.startswith(top + b"/state/redod/")


@pytest.mark.parametrize("target", [b"/t", b"/home/t"])
def test_a_target_directly_in_root_or_home_is_stored_in_the_state_directory(top: bytes, target: bytes) -> None:
    home = top + b"/home"
    make(home)
    target = target if target == b"/t" else top + target
    workspace = search(top).find(target, b"/", home)
    assert workspace.root == os.path.dirname(target)
    assert os.path.dirname(workspace.directory) == top + b"/state/redod"
    assert not os.path.exists(home + b"/.redo")


def test_a_new_store_is_readable_to_all_and_ignored_by_git(top: bytes) -> None:
    make(top + b"/p/.git")
    workspace = search(top).find(top + b"/p/t", NOWHERE, NOWHERE)
    assert workspace == Workspace(top + b"/p", top + b"/p/.redo")
    assert workspace.in_tree
    assert stat.S_IMODE(os.stat(workspace.directory).st_mode) == 0o755
    assert Path(os.fsdecode(workspace.directory), ".gitignore").read_bytes() == b"*\n"


def test_a_store_made_under_a_narrow_umask_is_readable_to_all(top: bytes) -> None:
    make(top + b"/p")
    old = os.umask(0o077)
    try:
        workspace = search(top).prepare(top + b"/p", NOWHERE)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(workspace.directory).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(workspace.directory + b"/.gitignore").st_mode) == 0o644


def test_asking_for_a_root_makes_nothing(top: bytes) -> None:
    make(top + b"/p")
    search(top).root(top + b"/p/t", NOWHERE, NOWHERE)
    assert os.listdir(top + b"/p") == []


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "afs", "fuse.sshfs"])
def test_a_remote_workspace_is_stored_in_the_state_directory_and_found_there(top: bytes, kind: str) -> None:
    make(top + b"/p/q")
    workspace = Workspaces(top + b"/state", lambda _: kind).find(top + b"/p/t", NOWHERE, NOWHERE)
    assert not workspace.in_tree
    assert os.path.isdir(workspace.directory)
    again = Workspaces(top + b"/state", lambda _: kind)
    assert again.find(top + b"/p/q/t", NOWHERE, NOWHERE) == workspace


def test_where_no_store_can_be_made_it_is_in_the_state_directory(top: bytes) -> None:
    make(top + b"/p")
    Path(os.fsdecode(top), "p/.redo").write_bytes(b"a file is in the way")
    workspace = search(top).prepare(top + b"/p", NOWHERE)
    assert os.path.dirname(workspace.directory) == top + b"/state/redod"


def test_a_directory_that_we_may_not_write_is_stored_in_the_state_directory(top: bytes) -> None:
    # The kernel refuses mkdir there to everybody, root too.
    workspace = search(top).prepare(b"/proc/self", NOWHERE)
    assert os.path.dirname(workspace.directory) == top + b"/state/redod"


def test_without_a_state_directory_the_error_says_what_to_do(top: bytes) -> None:
    with pytest.raises(StoreError, match="XDG_STATE_HOME"):
        Workspaces(b"/proc/self/none", local).prepare(b"/proc/self", NOWHERE)


def test_a_store_made_later_is_noticed_after_forget(top: bytes) -> None:
    make(top + b"/p/q")
    found = search(top)
    assert found.root(top + b"/p/q/t", NOWHERE, NOWHERE) == top + b"/p/q"
    make(top + b"/p/.redo")
    assert found.root(top + b"/p/q/t", NOWHERE, NOWHERE) == top + b"/p/q"
    found.forget()
    assert found.root(top + b"/p/q/t", NOWHERE, NOWHERE) == top + b"/p"


def test_a_directory_is_looked_at_once(top: bytes) -> None:
    make(top + b"/p/.git", top + b"/p/q")
    asked: list[bytes] = []

    def filesystem(path: bytes) -> str:
        asked.append(path)
        return "ext4"

    found = Workspaces(top + b"/state", filesystem)
    assert {found.find(top + b"/p/q/%d" % i, NOWHERE, NOWHERE).root for i in range(1000)} == {top + b"/p"}
    assert asked == [top + b"/p"]


def test_names_need_not_be_text(top: bytes) -> None:
    make(top + b"/\xff\n/.git")
    assert search(top).find(top + b"/\xff\n/t", NOWHERE, NOWHERE).directory == top + b"/\xff\n/.redo"


def test_a_removed_store_directory_is_made_again_but_not_its_workspace(top: bytes) -> None:
    make(top + b"/p")
    workspace = Workspace(top + b"/p", top + b"/p/.redo")
    remake(workspace)
    assert os.path.isdir(workspace.directory)
    with pytest.raises(StoreError, match="still there"):
        remake(Workspace(top + b"/gone", top + b"/gone/.redo"))
    assert not os.path.exists(top + b"/gone")


def test_without_a_home_the_error_says_what_to_set(top: bytes) -> None:
    """A user of whom the password file knows nothing: os.path.expanduser leaves `~` as it is."""
    os.close(os.open(top + b"/.redo", os.O_CREAT))
    with pytest.raises(StoreError, match=r"no home directory.* set HOME or XDG_STATE_HOME"):
        Workspaces(state_directory(b"~"), local).find(top + b"/t", top, NOWHERE)


def test_the_state_directory_follows_the_xdg_specification() -> None:
    assert state_directory(b"/h") == b"/h/.local/state/redod"
    assert state_directory(b"/h", b"/s") == b"/s/redod"
    assert state_directory(b"/h", b"relative") == b"/h/.local/state/redod"


def test_the_kernel_names_file_systems() -> None:
    assert filesystem_type(b"/proc") == "proc"
