"""contrib/do builds projects without a redo, whichever shell runs it: what scripts can rely on."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contrib.examples import CHECKOUT, copy

DO = CHECKOUT / "contrib/do"
SHELLS = {"dash": "dash", "bash": "bash", "busybox": "busybox sh"}
PATIENCE = 60.0


@dataclass
class Project:
    """A directory in which a shell runs `do`."""

    path: Path
    shell: str

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def start(self, *args: str | bytes, cwd: Path | None = None) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "DO_SHELL": self.shell, "TMPDIR": str(self.path.parent / "tmp")}
        return subprocess.Popen(
            [*self.shell.split(), DO, *args], cwd=cwd or self.path, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def do(self, *args: str | bytes, cwd: Path | None = None, status: int = 0) -> list[str]:
        """Run `do`, which ends with this status; what it said."""
        with self.start(*args, cwd=cwd) as process:
            try:
                out, err = process.communicate(timeout=PATIENCE)
            except BaseException:
                process.kill()
                raise
        said = err.decode(errors="surrogateescape")
        assert process.returncode == status, said
        assert out == b""
        left = list(self.path.rglob("*.redo.tmp*")) + list((self.path.parent / "tmp").iterdir())
        assert left == []
        return said.splitlines()

    def ran(self, *args: str | bytes) -> list[str]:
        """Run `do`, which succeeds; the targets that it built, in order."""
        return [line.split(maxsplit=1)[1] for line in self.do(*args) if line.startswith("redo  ")]


@pytest.fixture(params=SHELLS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    program, *words = SHELLS[request.param].split()
    shell = shutil.which(program)
    if shell is None:
        pytest.skip(f"{program} is not installed")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "project").mkdir()
    return Project((tmp_path / "project").resolve(), " ".join([shell, *words]))


def test_it_builds_all_each_target_once(project: Project) -> None:
    project.write("all.do", "redo-ifchange a b ./a sub/../b\n")
    project.write("default.do", "redo-ifchange common; echo made $1\n")
    project.write("common.do", "echo x >$3\n")
    (project.path / "sub").mkdir()
    assert project.ran() == ["all", "a", "common", "b"]
    assert (project.read("a"), project.read("common")) == ("made a\n", "x\n")
    assert project.ran("all") == ["all", "a", "common", "b"]


def test_scripts_are_searched_upwards_and_get_their_arguments(project: Project) -> None:
    project.write("default.a.b.do", 'printf "%s|" "$1" "$2" "${3%.do*}"; pwd >&2\n')
    project.write("sub/dir/x", "")
    project.do("sub/dir/foo.a.b")
    assert project.read("sub/dir/foo.a.b") == "sub/dir/foo.a.b|sub/dir/foo|sub/dir/foo.a.b|"
    project.write("sub/dir/foo.c.do", 'printf "%s|" "$1" "$2"\n')
    project.do("sub/dir/foo.c")
    assert project.read("sub/dir/foo.c") == "foo.c|foo.c|"


def test_whichdo_lists_the_candidates(project: Project) -> None:
    project.write("default.b.do", "redo-whichdo sub/.x.a..b || :\n")
    project.write("sub/here", "")
    project.do("t.b")
    assert project.read("t.b").splitlines() == [
        "sub/.x.a..b.do", "sub/default.x.a..b.do", "sub/default.a..b.do", "sub/default..b.do", "sub/default.b.do",
        "sub/default.do", "default.x.a..b.do", "default.a..b.do", "default..b.do", "default.b.do",
    ]  # fmt: skip


def test_names_may_have_spaces_quotes_and_any_bytes(project: Project) -> None:
    names = [b"with space", b"quo'te\"", b"back\\slash", b"caf\xe9", b"star*", b"$HOME", b"-dash"]
    project.write("default.do", 'printf %s "$1"; redo-ifchange "of $1.src"\n')
    project.write("default.src.do", 'echo src >"$3"\n')
    project.do("--", *names)
    for name in names:
        assert (project.path / os.fsdecode(name)).read_bytes() == name


def test_an_interpreter_needs_no_execute_bit(project: Project) -> None:
    project.write("awk.do", "#!/usr/bin/awk -f\nBEGIN { print ARGV[1] }\n")
    project.write("python.do", f"#! {sys.executable} -I\nimport sys\nprint(sys.argv[1], sys.flags.isolated)\n")
    project.write("env.do", '#!/usr/bin/env -S sh -u\nprintf %s "$1"\n')
    project.do("awk", "python", "env")
    assert (project.read("awk"), project.read("python"), project.read("env")) == ("awk\n", "python 1\n", "env")


def test_what_exists_and_was_not_made_is_left_alone(project: Project) -> None:
    project.write("default.do", "echo made\n")
    project.write("src", "by hand")
    assert project.ran("src", "other") == ["other"]
    assert project.read("src") == "by hand"
    project.write("dir/x", "")
    assert project.ran("dir") == ["dir"], "a directory is no source where a script matches"


def test_outputs_may_be_directories_links_or_nothing(project: Project) -> None:
    project.write("d.do", "mkdir $3; echo one >$3/f\n")
    project.write("l.do", "ln -s d/f $3\n")
    project.write("n.do", ": nothing\n")
    project.write("e.do", ": >$3\n")
    project.write("deep/er/x.do", "echo x\n")
    for _ in range(2):
        project.do("d", "l", "n", "e", "deep/er/x")
        assert (project.read("d/f"), project.read("l"), project.read("e")) == ("one\n", "one\n", "")
        assert not (project.path / "n").exists()
    project.write("d.do", "echo file\n")
    project.write("l.do", "mkdir $3; : >$3/g\n")
    project.do("d", "l")
    assert project.read("d") == "file\n"
    assert (project.path / "l/g").exists()


def test_a_script_that_made_nothing_removes_the_old_file(project: Project) -> None:
    project.write("x.do", "echo x\n")
    project.do("x")
    project.write("x.do", ":\n")
    project.do("x")
    assert not (project.path / "x").exists()


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("echo x; echo y >$3", 207, "let it use one of them"),
        ("echo x >$1", 206, "the script changed its target itself"),
        ("echo x; exit 3", 3, ""),
        ("redo-ifchange missing", 1, "no rule to make missing"),
        ("redo-ifchange ''", 204, "is no target"),
        ("redo-ifcreate x.do", 1, "x.do exists already"),
    ],
)
def test_a_failure_keeps_the_old_target_and_says_why(project: Project, script: str, status: int, said: str) -> None:
    project.write("x.do", "echo old\n")
    project.do("x")
    project.write("x.do", script + "\n")
    told = project.do("x", status=1)
    assert f"redo  x (exit {status})" in told
    assert said in "\n".join(told)
    if status != 206:
        assert project.read("x") == "old\n"


def test_output_without_a_directory_is_status_209(project: Project) -> None:
    project.write("default.x.do", "echo x\n")
    assert "redo  none/a.x (exit 209)" in project.do("none/a.x", status=1)
    project.write("default.x.do", "mkdir -p none; echo x >$3\n")
    project.do("none/a.x")


@pytest.mark.parametrize("needs", ["a", "b"])
def test_a_cycle_is_an_error_that_names_it(project: Project, needs: str) -> None:
    project.write("a.do", f"redo-ifchange {needs}\n")
    project.write("b.do", "redo-ifchange a\n")
    told = "\n".join(project.do("a", status=1))
    assert f"{project.path}/a -> " in told
    assert "(exit 208)" in told


def test_one_failure_ends_the_run_unless_asked_to_go_on(project: Project) -> None:
    project.write("bad.do", "exit 1\n")
    project.write("good.do", "echo x\n")
    project.do("bad", "good", status=1)
    assert not (project.path / "good").exists()
    project.do("-k", "bad", "good", status=1)
    assert (project.path / "good").exists()


def test_a_failed_target_is_not_tried_again(project: Project) -> None:
    project.write("x.do", "redo-ifchange bad || redo-ifchange bad || exit 5\n")
    project.write("bad.do", "echo run >>runs; exit 1\n")
    project.do("x", status=1)
    assert project.read("runs") == "run\n"


def test_always_and_stamp_and_recheck_are_there(project: Project) -> None:
    project.write(
        "x.do", "redo-ifcreate none; redo-always; echo x | tee $3 | redo-stamp; redo-ifchange y; redo-recheck\n"
    )
    project.write("y.do", "")
    assert project.ran("x") == ["x", "y"]


def test_a_script_that_is_a_target_is_built_first(project: Project) -> None:
    project.write("default.do.do", "echo 'echo by generated script' >$3\n")
    project.do("x.do")
    project.write("default.do.do", "echo 'echo by newer script' >$3\n")
    assert project.ran("x") == ["x.do", "x"]
    assert project.read("x") == "by newer script\n"


def test_options_show_commands_and_scripts(project: Project) -> None:
    project.write("x.do", ": shown\n")
    assert "+ : shown" in project.do("-x", "x")
    assert ": shown" in project.do("-v", "x")
    assert "redo: x is made by x.do" in project.do("-d", "x")
    project.do("-j", "4", "x")
    assert project.do("-z", status=2)[-1].startswith("usage: do")


def test_targets_are_shown_indented_and_relative_to_where_it_was_started(project: Project) -> None:
    project.write("top.do", "redo-ifchange sub/x\n")
    project.write("sub/x.do", ":\n")
    assert project.do("../top", cwd=project.path / "sub") == ["redo  ../top", "redo    x"]


def test_the_commands_fail_outside_of_it(project: Project) -> None:
    link = project.path / "redo-ifchange"
    link.symlink_to(DO)
    done = subprocess.run([*project.shell.split(), link, "x"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (100, b"")


def test_ended_by_a_signal_it_leaves_no_temporary_file(project: Project) -> None:
    project.write("x.do", "echo part >$3; echo begun >&2; read -r line <fifo\n")
    os.mkfifo(project.path / "fifo")
    with project.start("x") as process:
        assert process.stderr
        assert process.stderr.readline() == b"redo  x\n"
        assert process.stderr.readline() == b"begun\n"
        process.send_signal(signal.SIGTERM)
        with open(project.path / "fifo", "w") as fifo:
            fifo.write("go on\n")
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert list(project.path.glob("x*")) == [project.path / "x.do"]
    assert list((project.path.parent / "tmp").iterdir()) == []


BUILT = {
    "hello": {"hello": b"\x7fELF", "greetings.h": b""},
    "library": {"out/demo": b"\x7fELF", "out/libvec.so": b"\x7fELF", "out/libvec.a": b"!<arch>"},
    "notes": {"index.html": b"<!doctype html>", "notes/2025/two words.html": b"<!doctype html>"},
    "site": {"html/index.html": b"<!doctype html>", "pages": b"index\n"},
    "pipeline": {"report.txt": b"airfield        8.5\n", "charts/north hill": b"2025-03-01 ##\n"},
}
"""By example, what is made, and how that begins."""


@pytest.mark.parametrize("example", BUILT)
def test_it_builds_the_examples(project: Project, example: str) -> None:
    if example in ("hello", "library") and shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    copy(example, project.path)
    for _ in range(2):
        ran = project.ran()
        assert len(ran) == len(set(ran))
        assert ran[0] == "all"
        for name, beginning in BUILT[example].items():
            assert (project.path / name).read_bytes().startswith(beginning)
