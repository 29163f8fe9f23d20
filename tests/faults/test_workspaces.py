"""Workspaces wherever they are, and between servers: nothing is built twice, nobody hangs."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from redod.store.lock import Owner
from redod.store.workspaces import Workspaces
from tests.behaviour.events import Fifo, count, expect, finish, status_of
from tests.behaviour.project import CHECKOUT, CLIENTS, PATIENCE, Project, make_install

IS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


@pytest.fixture
def other(project: Project, tmp_path: Path) -> Iterator[Project]:
    """The same project through another daemon."""
    made = Project(project.path, project.bindir, tmp_path / "other")
    yield made
    made.close()


def mount(*arguments: str) -> None:
    result = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"this needs the right to mount: {result.stderr.strip()}")


# ---- Where a workspace is


def test_a_worktree_is_a_workspace_of_its_own(project: Project) -> None:
    project.write("main/.git/HEAD", "ref: refs/heads/main\n")
    project.write("tree/.git", "gitdir: ../main/.git/worktrees/tree\n")
    project.write("default.x.do", "echo $1\n")
    for name in ("main", "tree"):
        directory = project.path / name / "sub"
        directory.mkdir()
        project.run("redo-ifchange", "a.x", cwd=directory, check=True)
        assert (project.path / name / ".redo").is_dir()
        assert not (directory / ".redo").exists()
    assert not (project.path / ".redo").exists()


def test_a_bind_mounted_tree_is_the_same_workspace(project: Project, tmp_path: Path) -> None:
    project.write("x.do", "redo-ifchange source; cat source; echo run >>count\n")
    project.write("source", "1\n")
    project.redo("x")
    seen = tmp_path / "seen"
    seen.mkdir()
    mount("--bind", str(project.path), str(seen))
    try:
        for directory in (seen, project.path, seen):
            result = project.run("redo-ifchange", "x", cwd=directory, check=True)
            assert project.jobs(result) == []
        project.write("source", "22\n")
        assert project.jobs(project.run("redo-ifchange", "x", cwd=seen, check=True)) == ["x"]
        assert project.redo("x") == []
        assert count(project, "count") == 2
        assert len(status_of(project)["workspaces"]) == 1
        project.run("redod", "stop", check=True)
    finally:
        subprocess.run(["umount", str(seen)], check=True)


def test_on_read_only_media_what_is_up_to_date_is_found_so(project: Project, tmp_path: Path) -> None:
    """Its store cannot be written there; what a store elsewhere does not know are sources."""
    project.write("sub/x", "given\n")
    project.write("y.do", "redo-ifchange medium/x; cat medium/x\n")
    medium = project.path / "medium"
    medium.mkdir()
    mount("--bind", str(project.path / "sub"), str(medium))
    try:
        mount("-o", "remount,ro,bind", str(medium))
        assert project.redo("y") == ["y"]
        assert project.redo("y") == []
        (medium.parent / "sub/z.do").write_text("echo z\n")
        result = project.run("redo", "z", cwd=medium)
        assert result.returncode == 1
        assert b"is on a read-only file system" in result.stderr
        project.run("redod", "stop", check=True)
    finally:
        subprocess.run(["umount", str(medium)], check=True)


def test_what_was_built_is_known_when_its_medium_is_read_only(project: Project, tmp_path: Path) -> None:
    """Its targets are not taken for sources: what is out of date cannot be built there, which is said."""
    project.write("x.do", f"redo-ifchange {tmp_path}/outside; cat {tmp_path}/outside\n")
    (tmp_path / "outside").write_text("1\n")
    medium = tmp_path / "medium"
    medium.mkdir()
    mount("--bind", str(project.path), str(medium))
    try:
        project.run("redo", "x", cwd=medium, check=True)
        project.run("redod", "stop", check=True)
        mount("-o", "remount,ro,bind", str(medium))
        for _ in range(3):
            again = project.run("redo-ifchange", "x", cwd=medium, check=True)
            assert again.stderr == b""
        assert project.run("redo-targets", cwd=medium, check=True).stdout == b"x\n"
        (tmp_path / "outside").write_text("22\n")
        result = project.run("redo-ifchange", "x", cwd=medium)
        assert result.returncode == 1
        assert b"is on a read-only file system" in result.stderr
        assert b"removed" not in result.stderr
        project.run("redod", "stop", check=True)
    finally:
        subprocess.run(["umount", str(medium)], check=True)
    assert project.redo("x") == ["x"]


def test_on_a_remote_file_system_the_store_is_elsewhere_and_the_lock_in_the_tree(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "p")
    os.mkdir(root)
    workspace = Workspaces(os.fsencode(tmp_path / "state"), lambda _: "nfs4").prepare(root, b"/nonexistent")
    assert workspace.directory.startswith(os.fsencode(tmp_path / "state"))
    assert workspace.lock == root + b"/.redo"
    assert sorted(os.listdir(root + b"/.redo")) == [b".gitignore"]


def test_a_lock_of_another_host_is_named_and_nobody_waits_for_it(project: Project) -> None:
    project.write("x.do", "echo x\n")
    project.redo("x")
    project.run("redod", "stop", check=True)
    code = (
        "import sys; from redod.store.lock import acquire, Owner\n"
        f"lock = acquire({bytes(project.path / '.redo')!r}, {Owner(b'/run/s.sock', 'elsewhere', 1, 2)!r})\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    python = project.bindir / "python3"
    with project.start(str(python), "-I", "-c", code, stdin=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        result = project.run("redo-ifchange", "x")
        assert result.returncode == 1
        assert b"on elsewhere" in result.stderr
        holder.communicate(b"", timeout=PATIENCE)
    assert project.redo("x") == []


# ---- Two servers


def make_pair(project: Project) -> tuple[Path, Path]:
    """Two workspaces that need each other: each `all` builds its own `slow`, then asks for the other's `lib`."""
    one, two = project.path / "one", project.path / "two"
    for here, there in ((one, two), (two, one)):
        (here / ".redo").mkdir(parents=True)
        project.write(f"{here.name}/lib.do", f"echo {here.name}; echo lib >>../count\n")
        project.write(
            f"{here.name}/all.do",
            f"echo {here.name} >{project.runtime}/pids; read x <{project.runtime}/go{here.name}\n"
            f"redo-ifchange ../{there.name}/lib; cat ../{there.name}/lib\n",
        )
    return one, two


def test_of_two_servers_that_need_each_others_workspace_one_goes_on(
    project: Project, other: Project, pids: Fifo
) -> None:
    """Both build, then each asks for what the other has: neither could ever have it."""
    one, two = make_pair(project)
    gates = [Fifo(project.runtime / f"go{where.name}") for where in (one, two)]
    first = project.start("redo", "all", cwd=one)
    second = other.start("redo", "all", cwd=two)
    assert {pids.receive(), pids.receive()} == {"one", "two"}
    for gate in gates:
        gate.send()
    results = [finish(client, status=None)[1] for client in (first, second)]
    statuses = [first.returncode, second.returncode]
    assert sorted(statuses) == [0, 1], results
    refused = results[statuses.index(1)]
    assert b"run it again when that has ended" in refused
    for gate in gates:
        gate.send()
    assert project.run("redo-ifchange", "all", cwd=one).returncode == 0
    for gate in gates:
        gate.send()
    assert other.run("redo-ifchange", "all", cwd=two).returncode == 0
    assert count(project, "count") == 2
    for gate in gates:
        gate.close()


def test_servers_that_know_what_they_need_take_it_in_turn(project: Project, other: Project) -> None:
    """Each already has one of the two workspaces, and both sessions need both."""
    for here, there in (("one", "two"), ("two", "one")):
        (project.path / here / ".redo").mkdir(parents=True)
        project.write(f"{here}/source", "1\n")
        project.write(f"{here}/lib.do", "redo-ifchange source; cat source; echo run >>../count\n")
        project.write(f"{here}/all.do", f"redo-ifchange lib ../{there}/lib; cat lib ../{there}/lib\n")
    for here in ("one", "two"):
        project.run("redo-ifchange", "all", cwd=project.path / here, check=True)
    for turn in range(5):
        for here in ("one", "two"):
            project.write(f"{here}/source", "x" * turn + "\n")
        other.run("redo-ifchange", "lib", cwd=project.path / "two", check=True)
        project.run("redo-ifchange", "lib", cwd=project.path / "one", check=True)
        clients = [
            project.start("redo-ifchange", "all", cwd=project.path / "one"),
            other.start("redo-ifchange", "all", cwd=project.path / "two"),
        ]
        for client in clients:
            finish(client)
    assert count(project, "count") == 2 + 2 * 5


def test_two_installs_used_in_turn_a_hundred_times_never_restart(project: Project, tmp_path: Path) -> None:
    second = Project(project.path, make_install(tmp_path / "second", CLIENTS[-1]), tmp_path / "unused")
    second.environment["XDG_RUNTIME_DIR"] = project.environment["XDG_RUNTIME_DIR"]
    project.write("x.do", "redo-ifchange source; cat source; echo run >>count\n")
    project.write("source", "1\n")
    project.redo("x")
    assert second.redo("x") == []
    pids = (project.server_pid, second.server_pid)
    for turn in range(100):
        one, two = (project, second) if turn % 2 else (second, project)
        if turn % 10 == 0:
            project.write("source", f"{turn}\n")
            assert one.redo("x") == ["x"]
        assert two.redo("x") == []
    assert (project.server_pid, second.server_pid) == pids
    assert count(project, "count") == 11
    second.close()


# ---- Root beside a user

USER = 65534


@pytest.fixture
def shared(bindir: Path) -> Iterator[Path]:
    """A directory that another user can get at, with everything the user needs."""
    top = Path(tempfile.mkdtemp(prefix="redod-user-", dir="/tmp"))
    top.chmod(0o755)
    shutil.copytree(bindir.parent, top / "install", symlinks=True)
    (top / "install").chmod(0o755)
    yield top
    shutil.rmtree(top)


def as_user(project: Project, *argv: str, cwd: Path | None = None) -> "subprocess.Popen[bytes]":
    command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", str(project.bindir / argv[0])]
    return project.start(*command, *argv[1:], cwd=cwd)


@pytest.fixture
def user(shared: Path) -> Iterator[Project]:
    made = Project(shared / "project", shared / "install/bin", shared / "user")
    for path in (made.path, made.runtime, made.runtime / "home"):
        os.chown(path, USER, USER)
    probe = as_user(made, "redo-whichdo", "x")
    _, err = probe.communicate(timeout=PATIENCE)
    if b"Traceback" in err or b"cannot run" in err or b"without an answer" in err:
        pytest.skip(f"another user cannot run what is in {CHECKOUT}: {err!r}")
    yield made
    finish(as_user(made, "redod", "stop"), status=None)


@pytest.fixture
def root(user: Project, shared: Path) -> Iterator[Project]:
    made = Project(user.path, user.bindir, shared / "root")
    yield made
    made.close()


@IS_ROOT
def test_root_and_the_user_build_in_turn_and_nothing_twice(user: Project, root: Project) -> None:
    user.write("source", "1\n")
    user.write("all.do", "redo-ifchange source; cat source >&2\n")
    for turn in range(3):
        user.write("source", "x" * turn + "\n")
        _, err = finish(as_user(user, "redo-ifchange", "all"))
        assert b"redo  all" in err
        assert root.redo() == []
        user.write("source", "y" * turn + "\n")
        assert root.redo() == ["all"]
        _, err = finish(as_user(user, "redo-ifchange", "all"))
        assert b"redo  all" not in err
    owners = {path.name: path.stat().st_uid for path in (user.path / ".redo").rglob("*")}
    assert set(owners.values()) == {USER}, owners


@IS_ROOT
def test_the_user_waits_for_what_root_is_building(user: Project, root: Project) -> None:
    """Root's server cannot be asked by the user, and gives the workspace up by itself."""
    pids, go = Fifo(user.runtime / "pids"), Fifo(user.runtime / "go")
    user.write("all.do", f"echo run >>count; echo $$ >{pids.path}; read x <{go.path}; echo all\n")
    building = root.start("redo-ifchange", "all")
    pids.receive()
    waiting = as_user(user, "redo-ifchange", "all")
    expect(waiting, b"waiting for another build server")
    go.send()
    finish(building)
    _, err = finish(waiting)
    assert b"redo  all" not in err
    assert count(user, "count") == 1
    pids.close()
    go.close()


@IS_ROOT
def test_of_root_and_a_user_who_need_each_others_workspace_root_is_refused(user: Project, root: Project) -> None:
    """The user's server may not ask root's, so it cannot see that both wait."""
    one, two = make_pair(user)
    for path in user.path.rglob("*"):
        os.chown(path, USER, USER)
    pids, *gates = [Fifo(user.runtime / name) for name in ("pids", "goone", "gotwo")]
    for fifo in (pids, *gates):
        fifo.path.chmod(0o666)
    clients = [as_user(user, "redo", "all", cwd=one), root.start("redo", "all", cwd=two)]
    assert {pids.receive(), pids.receive()} == {"one", "two"}
    for gate in gates:
        gate.send()
    results = [finish(client, status=None)[1] for client in clients]
    assert [client.returncode for client in clients] == [0, 1], results
    assert b"run it again when that has ended" in results[1]
    for fifo in (pids, *gates):
        fifo.close()


@IS_ROOT
def test_a_script_that_calls_redo_as_another_user_is_told_and_does_not_hang(user: Project, root: Project) -> None:
    """As with `sudo redo install`, which clears the environment: another server, and a workspace that is in use."""
    runtime = root.environment["XDG_RUNTIME_DIR"]
    user.write("install.do", "echo done\n")
    user.write("all.do", f"env -i PATH=/usr/bin:/bin XDG_RUNTIME_DIR={runtime} {user.bindir}/redo install\n")
    server = Project(user.path, user.bindir, user.runtime.parent / "third")
    result = server.run("redo", "all")
    assert result.returncode == 1
    assert b"keep REDO_JOB and REDOD_SOCKET" in result.stderr
    server.close()


def test_this_host_is_the_one_that_locks_name(project: Project) -> None:
    project.write("x.do", "echo x\n")
    project.redo("x")
    assert f'"host": "{socket.gethostname()}"' in project.read(".redo/lock")
