"""The GNU make jobserver, both ways: makes in scripts use our tokens, and redo below make uses make's."""

import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.events import Fifo, finish
from tests.behaviour.project import PATIENCE, Project

WORK = "echo + >>events; sh -c :; sh -c :; sh -c :; echo - >>events"
"""In a script or a recipe: counts as running."""
MEETING = "echo x >>begun; until test $(wc -l <begun) -ge 3; do :; done"
"""Ends when three of these run."""
TAKE = r"""
import os, re, sys
auth = re.findall(r"--jobserver-auth=(\S+)", os.environ["MAKEFLAGS"])[-1]
if auth.startswith("fifo:"):
    read, write = os.open(auth[5:], os.O_RDONLY), os.open(auth[5:], os.O_WRONLY)
else:
    read, write = map(int, auth.split(","))
def take(): return os.read(read, 1)
def give(token): os.write(write, token)
"""
"""Python that speaks either style, as far as a client of a jobserver has to."""


def makefile(project: Project, name: str, targets: str, recipe: str, prefix: str = "") -> None:
    recipe = recipe.replace("$", "$$").replace("$$@", "$@")
    project.write(name, f"all: {targets}\n.PHONY: all {targets}\n{targets}:\n\t{prefix}@{recipe}\n")


def peak(project: Project) -> int:
    """The largest number that ran at a time, by `events`."""
    running = most = 0
    for line in project.read("events").split():
        running += 1 if line == "+" else -1
        most = max(most, running)
    assert running == 0
    return most


class Master:
    """The test in the place of a make that runs `tokens` + 1 jobs at a time: its jobserver, and what a recipe gets."""

    def __init__(self, directory: Path, style: str, tokens: int) -> None:
        self.tokens = tokens
        self.pass_fds: tuple[int, ...] = ()
        if style == "fifo":
            path = directory / "jobserver"
            os.mkfifo(path)
            self.ends = (os.open(path, os.O_RDWR | os.O_CLOEXEC),) * 2
            auth = f"fifo:{path}"
        else:
            self.ends = os.pipe()
            auth, self.pass_fds = f"{self.ends[0]},{self.ends[1]}", self.ends
        self.environment = {"MAKEFLAGS": f" -j{tokens + 1} --jobserver-auth={auth}"}
        # Different bytes: each must come back.
        os.write(self.ends[1], bytes(range(65, 65 + tokens)))

    def wait_for_all_tokens(self) -> None:
        """Return when all tokens are there; takes them."""
        found = b""
        while len(found) < self.tokens:
            assert select.select([self.ends[0]], [], [], PATIENCE)[0], f"only {found!r} came back"
            found += os.read(self.ends[0], 100)
        assert sorted(found) == list(range(65, 65 + self.tokens))

    def close(self) -> None:
        for end in set(self.ends):
            os.close(end)


@pytest.fixture(params=["descriptors", "fifo"])
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def master(tmp_path: Path, style: str) -> Iterator[Master]:
    """Runs three jobs at a time, in each style."""
    made = Master(tmp_path, style, 2)
    yield made
    made.close()


# ---- A make in a script


def test_a_make_in_a_script_runs_as_many_jobs_as_there_are_tokens(project: Project) -> None:
    makefile(project, "Makefile", "a b c", MEETING)
    project.write("x.do", "make -s >&2")
    result = project.run("redo", "-j3", "x", check=True)
    assert b"warning" not in result.stderr


def test_makes_and_scripts_together_never_run_more_than_n(project: Project) -> None:
    makefile(project, "Makefile", "1 2 3 4 5 6 7 8", WORK)
    project.write("default.made.do", "make -s >&2")
    project.write("default.do", WORK)
    names = ["a.made", "s1", "s2", "b.made", "s3", "s4", "c.made", "s5"]
    result = project.run("redo", "-j3", *names, check=True)
    assert 1 < peak(project) <= 3
    assert b"make" not in result.stderr


def test_a_make_whose_recipes_ask_for_targets_never_runs_more_than_n(native_project: Project) -> None:
    project = native_project
    makefile(project, "Makefile", "1 2 3 4 5 6", f"redo-ifchange $@.leaf; {WORK}", "+")
    project.write("default.made.do", "make -s >&2")
    project.write("default.leaf.do", WORK)
    project.run("redo", "-j3", "a.made", "b.made", check=True)
    assert peak(project) <= 3


@pytest.mark.parametrize("jobs", ["-j3", "redod.toml"])
def test_both_styles_are_offered(native_project: Project, style: str, jobs: str) -> None:
    project = native_project
    is_own = jobs == "-j3"
    project.write("redod.toml", f'jobserver = "{style}"\n' + ("" if is_own else "jobs = 3\n"))
    project.write(
        "client.py", TAKE + "print(auth, file=sys.stderr); tokens = [take(), take()]; list(map(give, tokens))"
    )
    project.write("x.do", "python3 client.py")
    result = project.run("redo", *["-j3"][:is_own], "x", check=True)
    assert (b"fifo:" in result.stderr) is (style == "fifo")


def test_the_flags_and_variables_of_make_around_are_kept(native_project: Project) -> None:
    native_project.write("x.do", 'echo "[$MAKEFLAGS]"')
    flags = "k -j8 --jobserver-auth=-2,-2 --no-print-directory -- V=1 W=-j2"
    native_project.run("redo", "-j2", "x", env={"MAKEFLAGS": flags}, check=True)
    assert re.fullmatch(
        r"\[k --no-print-directory -j2 --jobserver-auth=\d+,\d+ -- V=1 W=-j2]\n", native_project.read("x")
    )
    native_project.run("redo", "-j1", "x", env={"MAKEFLAGS": flags}, check=True)
    assert native_project.read("x") == "[k --no-print-directory -- V=1 W=-j2]\n"


@pytest.mark.parametrize("options", [["-j1"], ["-j3"], []])
def test_a_script_has_only_the_documented_descriptors(project: Project, options: list[str]) -> None:
    project.write("list.py", "import os; print(*os.listdir('/proc/self/fd'), os.environ.get('MAKEFLAGS'))")
    project.write("x.do", "exec python3 list.py")
    # So that another session's jobserver was offered last.
    project.run("redo", "-j2", "x", check=True)
    project.run("redo", *options, "x", check=True)
    numbers = {int(word) for word in project.read("x").split() if word.isdecimal()}
    jobserver = {int(end) for ends in re.findall(r"auth=(\d+),(\d+)", project.read("x")) for end in ends}
    is_serial = options == ["-j1"] or (not options and len(os.sched_getaffinity(0)) == 1)
    assert len(jobserver) == (0 if is_serial else 2)
    assert all(number >= 100 for number in jobserver)
    # 0-2, the completion pipe, and the one by which the directory is read.
    others = sorted(numbers - jobserver)
    assert others[:4] == [0, 1, 2, 3]
    assert [number >= 50 for number in others[4:]] == [True]


def test_a_make_that_sets_o_nonblock_does_not_change_what_later_scripts_get(native_project: Project) -> None:
    """As make 4.3 does on the read end that all its parent's jobs share."""
    flags = r"grep -h flags /proc/self/fdinfo/$(echo $MAKEFLAGS | sed 's/.*auth=\([0-9]*\),.*/\1/') >&2"
    makefile(native_project, "Makefile", "a b", ":")
    native_project.write("a.do", f"make -s; {flags}; redo-ifchange b")
    native_project.write("b.do", flags)
    result = native_project.run("redo", "-j2", "a", check=True)
    made, later = (int(number, 8) for number in re.findall(rb"flags:\s*(\d+)", result.stderr))
    if not made & os.O_NONBLOCK:
        pytest.skip("this make does not set it")
    assert not later & os.O_NONBLOCK


def test_a_recipe_without_plus_can_call_redo(project: Project) -> None:
    """MAKEFLAGS names descriptors there that make has closed; the call belongs to the script all the same."""
    makefile(project, "Makefile", "a b", "redo-ifchange $@.leaf")
    project.write("x.do", "make -s >&2; cat a.leaf b.leaf")
    project.write("default.leaf.do", "echo $1")
    result = project.run("redo", "-j3", "x", check=True)
    assert project.read("x") == "a.leaf\nb.leaf\n"
    assert result.stderr.count(b"\n") == 3


def test_a_make_in_a_script_whose_descriptors_were_closed_is_serial(project: Project) -> None:
    makefile(project, "Makefile", "1 2 3 4", WORK)
    close = "import os; os.closerange(3, 1024); os.execvp('make', ['make', '-s'])"
    project.write("x.do", f'python3 -c "{close}" >&2')
    project.run("redo", "-j3", "x", check=True)
    assert peak(project) == 1


def test_a_script_whose_descriptors_were_closed_and_makeflags_unset_works(project: Project) -> None:
    inner = "unset MAKEFLAGS; redo-ifchange y; cat y"
    project.write("inner.sh", inner)
    close = "import os; os.closerange(3, 1024); os.execvp('sh', ['sh', 'inner.sh'])"
    project.write("x.do", f'python3 -c "{close}"')
    project.write("y.do", "echo y")
    assert project.run("redo", "-j3", "x", check=True).stderr.count(b"\n") == 2
    assert project.read("x") == "y\n"


# ---- Tokens that are not given back


def meet(project: Project) -> None:
    """Fails where three jobs cannot run at a time."""
    (project.path / "begun").unlink(missing_ok=True)
    project.run("redo", "m1", "m2", "m3", check=True)


@pytest.mark.parametrize("how", ["kill -9 $$", "exit 0", "exit 1"])
def test_a_job_that_ends_with_tokens_taken_does_not_lose_them(native_project: Project, style: str, how: str) -> None:
    project = native_project
    project.write("redod.toml", f'jobs = 3\njobserver = "{style}"\n')
    project.write("client.py", TAKE + "take(), take()")
    project.write("x.do", f"python3 client.py; {how}")
    project.write("default.do", MEETING)
    project.run("redo", "x")
    meet(project)


def test_a_make_that_is_killed_with_tokens_taken_does_not_lose_them(project: Project, pids: Fifo, go: Fifo) -> None:
    project.write("redod.toml", "jobs = 3\n")
    makefile(project, "Makefile", "a b c", "echo $PPID >pids; read x <go")
    project.write("x.do", "make -s >&2")
    project.write("default.do", MEETING)
    building = project.start("redo", "x")
    make = {pids.receive() for _ in range(3)}
    os.kill(int(make.pop()), signal.SIGKILL)
    assert not make
    for _ in range(3):
        go.send()
    finish(building, 1)
    meet(project)


def test_tokens_that_were_given_back_too_often_are_not_used(native_project: Project) -> None:
    project = native_project
    project.write("redod.toml", "jobs = 3\n")
    project.write("client.py", TAKE + "give(b'+++++')")
    project.write("x.do", "python3 client.py")
    project.write("default.do", WORK)
    project.run("redo", "x", check=True)
    project.run("redo", *[f"t{number}" for number in range(20)], check=True)
    assert peak(project) <= 3


# ---- redo below a make


def test_redo_in_a_recipe_runs_as_many_jobs_as_make_has_tokens(project: Project) -> None:
    makefile(project, "Makefile", "one", "redo a b c", "+")
    project.write("default.do", MEETING)
    result = project.run("make", "-s", "-j3", check=True)
    assert b"warning" not in result.stderr + result.stdout
    assert b"jobserver" not in result.stderr


def test_redo_and_make_together_never_run_more_than_n(project: Project) -> None:
    targets = "1 2 3 4"
    project.write(
        "Makefile",
        f"all: {targets} p q r s\n.PHONY: all\n{targets}:\n\t+@redo $@.a $@.b $@.c $@.d\np q r s:\n\t@{WORK}\n",
    )
    project.write("default.do", WORK)
    for _ in range(3):
        result = project.run("make", "-s", "-j3", check=True)
        # make says so when tokens are missing at its end.
        assert b"jobserver tokens" not in result.stderr
    assert 1 < peak(project) <= 3


def test_a_make_in_a_script_below_make_uses_its_tokens(native_project: Project) -> None:
    project = native_project
    project.write("Makefile", "all: ; +@redo x\n")
    makefile(project, "inner.mk", "a b c", MEETING)
    project.write("x.do", "make -s -f inner.mk >&2")
    result = project.run("make", "-s", "-j3", check=True)
    assert b"warning" not in result.stderr


def test_all_tokens_of_make_are_there_when_redo_has_ended(native_project: Project, master: Master) -> None:
    native_project.write("default.do", MEETING)
    process = native_project.start("redo", "a", "b", "c", env=master.environment, pass_fds=master.pass_fds)
    finish(process)
    assert select.select([master.ends[0]], [], [], 0)[0]
    master.wait_for_all_tokens()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_tokens_of_a_client_that_dies_go_back_to_make(
    project: Project, master: Master, pids: Fifo, number: int
) -> None:
    project.write("default.do", "echo $$ >pids; exec sleep 1000")
    process = project.start("redo", "a", "b", "c", env=master.environment, pass_fds=master.pass_fds)
    scripts = [pids.receive_process() for _ in range(3)]
    process.send_signal(number)
    master.wait_for_all_tokens()
    for script in scripts:
        script.wait_end()
    finish(process, -number)


def test_a_job_that_another_session_takes_over_leaves_make_its_tokens(
    project: Project, master: Master, pids: Fifo, go: Fifo
) -> None:
    project.write("default.do", "echo $1 >pids; read x <go; echo made")
    first = project.start("redo", "a", "b", "c", env=master.environment, pass_fds=master.pass_fds)
    assert {pids.receive(), pids.receive(), pids.receive()} == {"a", "b", "c"}
    second = project.start("redo-ifchange", "a", "b", "c")
    assert second.stderr is not None
    assert select.select([second.stderr], [], [], PATIENCE)[0]
    first.send_signal(signal.SIGKILL)
    finish(first, -signal.SIGKILL)
    master.wait_for_all_tokens()
    for _ in range(3):
        go.send()
    finish(second)


def test_redo_waits_for_a_token_of_make_that_others_have(
    project: Project, master: Master, pids: Fifo, go: Fifo
) -> None:
    """It notices when one comes back."""
    taken = os.read(master.ends[0], 2)
    project.write("default.do", "echo $1 >pids; read x <go; echo made")
    process = project.start("redo", "a", "b", env=master.environment, pass_fds=master.pass_fds)
    assert pids.receive() == "a"
    os.write(master.ends[1], taken[:1])
    assert pids.receive() == "b"
    go.send()
    go.send()
    finish(process)
    os.write(master.ends[1], taken[1:])
    master.wait_for_all_tokens()


def serial(project: Project, result: "subprocess.CompletedProcess[bytes]") -> bytes:
    """It ran one job at a time and said so once; what it said."""
    assert result.returncode == 0, result.stderr
    assert peak(project) == 1
    warnings = re.findall(rb"redo: make's jobserver cannot be used, .*", result.stderr)
    assert len(warnings) == 1
    return bytes(warnings[0])


def test_a_recipe_without_plus_is_serial_and_warned_about_once(project: Project) -> None:
    makefile(project, "Makefile", "one", "redo a b c")
    project.write("default.do", f"redo-ifchange $1.leaf; {WORK}")
    project.write("default.leaf.do", WORK)
    assert b"put + before this line" in serial(project, project.run("make", "-s", "-j3"))


@pytest.mark.parametrize(
    "auth", ["198,199", "-2,-2", "1,2", "nonsense", "fifo:/nonexistent/fifo", "fifo:/dev/null", "fifo:."]
)
def test_dead_and_foreign_jobservers_mean_serial_and_one_warning(project: Project, auth: str) -> None:
    project.write("default.do", WORK)
    flags = f"-j3 --jobserver-auth={auth}"
    serial(project, project.run("redo", "a", "b", "c", env={"MAKEFLAGS": flags}))


def test_two_unrelated_pipes_are_no_jobserver_and_are_left_alone(project: Project) -> None:
    project.write("default.do", WORK)
    one, other = os.pipe(), os.pipe()
    os.write(one[1], b"data")
    flags = f"-j3 --jobserver-auth={one[0]},{other[1]}"
    process = project.start("redo", "a", "b", env={"MAKEFLAGS": flags}, pass_fds=(one[0], other[1]))
    _, err = finish(process)
    assert err.count(b"make's jobserver cannot be used") == 1
    assert os.read(one[0], 100) == b"data"
    for end in (*one, *other):
        os.close(end)


def test_j_below_make_is_warned_about_and_gets_a_pool_of_its_own(project: Project) -> None:
    makefile(project, "Makefile", "one", "redo -j3 a b c", "+")
    project.write("default.do", MEETING)
    assert b"a -j3 below make" in project.run("make", "-s", "-j2", check=True).stderr
