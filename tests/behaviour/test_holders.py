"""The completion pipe: a target is done when its script has ended and nothing that it started holds the pipe."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, count, expect, finish, status_of
from tests.behaviour.project import CHECKOUT, CLIENTS, PATIENT, Project

DETACHED = "bash -c 'for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 )) && exec {f}>&-; done; exec COMMAND' &"
"""What works as well as redo-detach; dash cannot name descriptors above 9."""
LAST = b"redo-service COMMAND\n"
"""How the notice ends."""
NOTICE = b"what it started still holds the target open"
UP = "echo >up; "
AWAIT = "read up <up; "
"""In a background process, and in the script after it: the script does not end before the other is what it is to be."""


@pytest.fixture
def bindir(request: pytest.FixtureRequest, installs: dict[str, Path]) -> Path:
    """The client has no part in this."""
    return installs[getattr(request, "param", CLIENTS[0])]


@pytest.fixture
def up(project: Project) -> None:
    """What `UP` and `AWAIT` use."""
    os.mkfifo(project.path / "up")


@pytest.mark.usefixtures("up")
def test_the_user_reads_once_who_holds_a_target_and_what_to_do(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", f"sh -c '{UP}read x <go' holder & echo $! >pids; {AWAIT}echo x\n")
    client = project.start("redo", "x")
    holder = pids.receive_process()
    seen = expect(client, LAST)
    assert NOTICE in seen
    assert re.search(rb"\n    pid %d, \d+ s old: sh -c echo >up; read x <go holder\n" % holder.pid, seen)
    assert b"kill %d" % holder.pid in seen
    assert b"Ctrl-C" in seen
    assert client.poll() is None
    assert not (project.path / "x").exists()
    go.send()
    _, rest = finish(client)
    assert rest == b""
    assert project.read("x") == "x\n"


def test_a_process_that_closes_all_descriptors_holds_nothing(project: Project, pids: Fifo) -> None:
    project.write("x.do", DETACHED.replace("COMMAND", "sleep 1000") + " echo $! >pids; echo x\n")
    result = project.run("redo", "x", check=True)
    service = pids.receive_process()
    assert service.is_alive
    assert NOTICE not in result.stderr
    assert project.read("x") == "x\n"
    service.kill()
    service.wait_end()


def test_a_second_build_of_a_held_target_says_what_it_waits_for(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("x.do", "sh -c 'echo $$ >pids; read x <go' & echo x\n")
    first = project.start("redo", "x")
    holder = pids.receive_process()
    expect(first, LAST)
    second = project.start("redo-ifchange", "x")
    seen = expect(second, LAST)
    assert b"pid %d, " % holder.pid in seen
    go.send()
    finish(first)
    finish(second)
    assert project.read("x") == "x\n"


@pytest.mark.parametrize("start", [DETACHED, "redo-detach COMMAND;"], ids=["idiom", "redo-detach"])
def test_a_pipe_from_redo_ends_with_redo_although_a_detached_process_lives_on(
    project: Project, pids: Fifo, start: str
) -> None:
    start = start.replace("COMMAND", 'sh -c "echo \\$\\$ >pids; exec sleep 1000"')
    project.write("x.do", f"{start} echo said >&2; echo x\n")
    result = project.run("sh", "-c", "redo x 2>&1 | cat", check=True)
    service = pids.receive_process()
    assert result.stdout == b"redo  x\nsaid\n"
    assert service.is_alive
    service.kill()


@pytest.mark.usefixtures("up")
def test_a_process_that_kept_only_the_standard_descriptors_holds_nothing(
    project: Project, pids: Fifo, go: Fifo
) -> None:
    """It is not what keeps the target, so no notice names it."""
    close = "for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 )) && exec {f}>&-; done"
    bash, sh = f"echo $$ >pids; {close}; {UP}read x <go", f"echo $$ >pids; {UP}read x <go"
    project.write("x.do", f"bash -c '{bash}' & {AWAIT}sh -c '{sh}' & {AWAIT}echo x\n")
    client = project.start("redo", "x")
    first, second = pids.receive_process(), pids.receive_process()
    seen = expect(client, LAST)
    shown = [process.pid for process in (first, second) if b"pid %d, " % process.pid in seen]
    assert len(shown) == 1
    assert b"sh -c " in seen
    go.send()
    go.send()
    finish(client)


@pytest.mark.usefixtures("up")
def test_several_holders_are_all_named_those_too_that_have_nothing_in_common_with_the_script(
    project: Project, pids: Fifo, go: Fifo
) -> None:
    daemon = (
        "import os\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n"
        "  print(os.getpid(), file=open('pids', 'w'))\n"
        "  for n in 0, 1, 2: os.dup2(os.open('/dev/null', 2), n)\n"
        f"  os.execve('/bin/sh', ['sh', '-c', '{UP}read x <go', 'daemon'], {{}})\n os._exit(0)"
    )
    project.write("daemon.py", daemon)
    project.write("x.do", f"python3 daemon.py; {AWAIT}sh -c '{UP}read x <go' child & echo $! >pids; {AWAIT}\n")
    client = project.start("redo", "x")
    holders = [pids.receive_process(), pids.receive_process()]
    seen = expect(client, LAST)
    for holder in holders:
        assert b"\n    pid %d, " % holder.pid in seen
    assert b"read x <go daemon\n" in seen
    assert b"read x <go child\n" in seen
    for holder in holders:
        holder.kill()
    finish(client)


NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


@pytest.fixture
def nobodys_project(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of another user, who can reach the install."""
    if os.geteuid() != 0:
        pytest.skip("only root can run the server as somebody else")
    top = tmp_path_factory.getbasetemp()
    inner = [path for start in (project.path, project.bindir) for path in start.parents if top in path.parents]
    for path in (top.parent, top, *inner):
        path.chmod(0o755)
    for path in (project.path, project.runtime, project.runtime / "home"):
        os.chown(path, NOBODY, NOBODY)
    needed = [project.bindir / "python3", CHECKOUT / "redod/__main__.py"]
    if any(project.run(*AS_NOBODY, "test", "-r", str(path)).returncode for path in needed):
        pytest.skip("this checkout, or its interpreter, cannot be read by others")
    return project


def set_user_id(program: str, copy: Path) -> Path:
    """A copy that runs as root, whoever starts it."""
    shutil.copy(program, copy)
    copy.chmod(0o4755)
    return copy


def test_of_a_process_of_another_user_the_notice_says_what_is_known(nobodys_project: Project) -> None:
    """As after sudo: its descriptors cannot be looked at; here by a program that runs as root."""
    project = nobodys_project
    set_user_id("/bin/sleep", project.path / "as-root")
    probe = set_user_id("/usr/bin/id", project.path / "probe")
    if project.run(*AS_NOBODY, str(probe), "-u").stdout != b"0\n":
        pytest.skip("here the set-user-ID bit does not count")
    # The script ends when the program has been executed: that closes its descriptor of `up`.
    start = "import os; os.set_inheritable(9, False); os.execl('./as-root', './as-root', '1000')"
    project.write("x.do", f'setsid python3 -c "{start}" 9>up & echo $! >pid; cat up >&2\n')
    os.mkfifo(project.path / "up")
    os.chown(project.path / "up", NOBODY, NOBODY)
    client = project.start(*AS_NOBODY, str(project.bindir / "redo"), "x")
    seen = expect(client, LAST)
    pid = int(project.read("pid"))
    assert re.search(rb"\n    pid %d, \d+ s old, of user root, probably: \S*as-root 1000\n" % pid, seen)
    assert b"To end it: sudo kill %d." % pid in seen
    os.kill(pid, 9)
    finish(client)
    project.run(*AS_NOBODY, str(project.bindir / "redod"), "stop", check=True)


@pytest.mark.parametrize("bindir", [PATIENT], indirect=True)
def test_a_short_background_process_is_waited_for_without_a_notice(project: Project) -> None:
    """Output of an unwaited `( ... ) &` is complete."""
    lines = "".join(f"echo {number}; " for number in range(500))
    project.write("x.do", f"( {lines} echo end ) &\n")
    result = project.run("redo", "x", check=True)
    assert result.stderr == b"redo  x\n"
    assert project.read("x").splitlines() == [*map(str, range(500)), "end"]


@pytest.mark.parametrize("bindir", [PATIENT], indirect=True)
def test_the_scripts_exit_status_counts_not_its_holders(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("good.do", "( echo x >pids; read x <go; exit 9 ) & echo good\n")
    project.write("bad.do", "( echo x >pids; read x <go; exit 0 ) & exit 5\n")
    good, bad = project.start("redo", "good"), project.start("redo", "bad")
    pids.receive()
    pids.receive()
    go.send()
    go.send()
    finish(good)
    _, err = finish(bad, status=1)
    assert err == b"redo  bad\nredo  bad (exit 5)\n"


def test_while_a_target_is_held_others_are_built(project: Project, pids: Fifo, go: Fifo) -> None:
    """Its token goes to others once the notice was given, also within one session with -j1."""
    project.write("held.do", "( echo x >pids; read x <go ) & echo held\n")
    project.write("all.do", "redo-ifchange held & redo-ifchange other; echo x >pids; wait\n")
    project.write("other.do", "echo other\n")
    client = project.start("redo", "-j1", "all")
    pids.receive()
    assert project.redo("another", check=False) == []
    project.write("another.do", "echo another\n")
    assert project.redo("another") == ["another"]
    seen = expect(client, NOTICE)
    pids.receive()
    assert project.read("other") == "other\n"
    assert not (project.path / "held").exists()
    states = {Path(job["target"]).name: job["state"] for job in status_of(project)["jobs"]}
    assert states["held"] == "script ended, held by a background process"
    go.send()
    finish(client)
    assert seen.count(NOTICE) == 1


def test_a_holder_that_keeps_stdout_cannot_change_the_built_target(project: Project, pids: Fifo, go: Fifo) -> None:
    close = "for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 )) && exec {f}>&-; done"
    project.write("x.do", f"echo built; bash -c '{close}; read x <go; echo late; echo $$ >pids' &\n")
    project.run("redo", "x", check=True)
    before = os.stat(project.path / "x")
    go.send()
    pids.receive()
    assert project.read("x") == "built\n"
    assert os.stat(project.path / "x").st_mtime_ns == before.st_mtime_ns
    assert project.redo("x") == []


def test_a_holder_that_keeps_the_temporary_open_cannot_change_the_built_target(
    project: Project, pids: Fifo, go: Fifo
) -> None:
    close = "for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 && f != 9 )) && exec {f}>&-; done"
    project.write("x.do", f"exec 9>$3; echo built >&9; bash -c '{close}; read x <go; echo late >&9; echo $$ >pids' &\n")
    project.run("redo", "x", check=True)
    go.send()
    pids.receive()
    assert project.read("x") == "built\n"
    assert project.redo("x") == []


def test_a_script_has_no_descriptors_but_the_standard_ones_and_the_pipe(project: Project) -> None:
    """And the one through which sh reads the script. With -j1 there is no jobserver."""
    project.write("x.do", "ls -l /proc/$$/fd; :\n")
    project.write("all.do", "redo-ifchange x\n")
    project.run("redo", "-j1", "all", check=True)
    links = {int(number): name for number, name in re.findall(r" (\d+) -> (\S+)", project.read("x"))}
    script = [number for number, name in links.items() if name == str(project.path / "x.do")]
    pipes = [number for number, name in links.items() if name.startswith("pipe:")]
    assert links[0] == "/dev/null"
    assert sorted(links) == sorted({0, 1, 2, *script, *pipes})
    assert len(pipes) == 2
    assert max(pipes) >= 50


def test_a_script_that_closes_all_its_descriptors_is_built(project: Project) -> None:
    project.write("b.do", "echo b\n")
    project.write(
        "x.do",
        "#!/usr/bin/env bash\n"
        'for f in {3..1023}; do eval "exec $f>&-"; done\n'
        "unset MAKEFLAGS\nredo-ifchange b\ncat b\n",
    )
    assert project.redo("x") == ["x", "b"]
    assert project.read("x") == "b\n"


def test_a_nested_job_does_not_hold_the_outer_target(project: Project, pids: Fifo, go: Fifo) -> None:
    """What a nested script left behind holds its own target alone."""
    project.write("inner.do", "( echo $(exec sh -c 'echo $PPID') >pids; read x <go ) & echo inner\n")
    project.write("outer.do", "redo-ifchange inner & echo outer; echo counted >>count\n")
    client = project.start("redo", "outer")
    holder = pids.receive_process()
    seen = expect(client, LAST)
    assert seen.count(b"pid %d," % holder.pid) == 1
    assert b"inner: its script has ended" in seen
    go.send()
    finish(client)
    assert count(project, "count") == 1
