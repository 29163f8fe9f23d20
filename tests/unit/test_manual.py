"""Man pages and completions: made from the usage texts, complete, and read without complaint by what reads them."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from manual.generate import files, main
from manual.texts import SECTIONS, SUMMARIES
from manual.usage import parse
from redod.commands.usage import USAGE
from tests.client.conftest import NAMES, SOURCES

PATIENCE = 30.0


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "made"
    directory.mkdir()
    main(str(directory))
    return directory


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def test_every_command_has_a_usage_a_page_and_completions() -> None:
    assert sorted(name.decode() for name in USAGE) == sorted(NAMES)
    assert sorted(SUMMARIES) == sorted(NAMES)
    assert SECTIONS.keys() - {""} <= set(NAMES)
    expected = {f"{name}.{kind}" for name in NAMES for kind in ("1", "bash", "fish")}
    assert set(files()) == expected | {"_redo", "redod.toml.5"}


@pytest.mark.parametrize("name", ["redod", "redo-detach"])
def test_the_clients_print_the_same_usage_where_they_need_no_server(name: str) -> None:
    for line in USAGE[name.encode()].splitlines():
        assert any(f'"{line}\\n"' in source.read_text() for source in SOURCES.glob("*.c"))
        assert f"\n{line}\n" in (SOURCES / "redo.py").read_text().replace('"""\\\n', "\n")


def test_a_usage_is_taken_apart_without_loss() -> None:
    for text in USAGE.values():
        usage = parse(text)
        told = [usage.name, usage.synopsis, *usage.before, *usage.after]
        told += [word for item in usage.items for word in (item.head, item.text)]
        assert set(text.removeprefix("usage: ").split()) <= set(" ".join(told).split())


def test_options_are_known_with_all_their_names_and_what_they_take() -> None:
    usage = parse(
        "usage: x [OPTION]... FILE\nDoes it.\n\n  -j N, --jobs=N   at most N\n      jobs\n  --all  x\n  --how=so  x\n"
    )
    assert [(flag.name, flag.value) for item in usage.items for flag in item.flags] == [
        ("-j", "N"), ("--jobs", "N"), ("--all", ""), ("--how", "so"), ("--help", ""), ("--version", ""),
    ]  # fmt: skip
    assert (usage.items[0].text, usage.operands, usage.before) == ("at most N jobs", "FILE", ["Does it."])


def test_a_page_says_what_the_usage_says() -> None:
    page = files()["redo-service.1"]
    assert "\\fB\\-\\-ready\\-port\\fR \\fIP\\fR\nwhen it listens on TCP port P" in page
    assert "\\fBredo\\-service\\fR [\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]..." in page
    assert "redo\\-service \\- make a target a running process" in page


@needs("groff")
def test_groff_has_no_complaint_about_any_page(made: Path) -> None:
    for page in [*made.glob("*.1"), *made.glob("*.5")]:
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, check=True)
        assert done.stderr == b"", page.name


@needs("mandoc")
def test_mandoc_has_no_complaint_but_that_pages_have_no_date(made: Path) -> None:
    for page in [*made.glob("*.1"), *made.glob("*.5")]:
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False
        )
        assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A PATH's first directory, with a server that runs and knows two targets, and a directory to complete in."""
    bindir = tmp_path / "bin"
    bindir.mkdir()
    for name, script in {
        "redod": "exit 0",
        "redo-targets": "printf 'known one\\nsub/two\\n' | tr '\\n' \"$end\"",
    }.items():
        (bindir / name).write_text(f"#!/bin/sh\nend='\\n'; [ \"$1\" = -0 ] && end='\\0'\n{script}\n")
        (bindir / name).chmod(0o755)
    work = tmp_path / "work"
    (work / "dir").mkdir(parents=True)
    for name in ("with space", "made.do", "default.o.do", "dir/inner.do"):
        (work / name).touch()
    return bindir


def typed(shell: list[str], setup: str, keys: str, commands: Path) -> str:
    """Type into an interactive shell; what stands between `GOT<` and `>` in its answer."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(commands.parent / "work")
        path = f"{commands}:{os.environ['PATH']}"
        os.execvpe(shell[0], shell, {"PATH": path, "HOME": str(commands.parent), "TERM": "dumb", "LANG": "C.UTF-8"})
    try:
        os.write(terminal, f"{setup}; echo READ''Y\n".encode())
        _until(terminal, rb"READY")
        os.write(terminal, f"{keys}\n".encode())
        return _until(terminal, rb"GOT<([^>]*)>")[1].decode()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def _until(terminal: int, pattern: bytes) -> "re.Match[bytes]":
    seen = b""
    while (found := re.search(pattern, seen)) is None:
        assert select.select([terminal], [], [], PATIENCE)[0], seen
        seen += os.read(terminal, 65536)
    return found


COMPLETED = [
    ("redo --keep-g", "--keep-going"),
    ("redo --shuf", "--shuffle"),
    ("redo-log --recur", "--recursive"),
    ("redo wi", "with space"),
    ("redo kno", "known one"),
    ("redo mad", "made"),
    ("redo dir/in", "dir/inner"),
    ("redo-ood sub/", "sub/two"),
    ("redod serv", "service"),
    ("redo-affected mad", "made.do"),
]
"""What is typed, and the word that it becomes."""
ECHO = "{name}() {{ printf 'GO''T<%s>\\n' \"$1\"; }}"


@needs("bash")
@pytest.mark.parametrize(("line", "word"), COMPLETED)
def test_bash_completes(made: Path, commands: Path, line: str, word: str) -> None:
    name = line.split()[0]
    setup = f"PS1=; bind 'set bell-style none'; source '{made}/{name}.bash'; {ECHO.format(name=name)}"
    assert typed(["bash", "--norc", "--noprofile", "-i"], setup, f"{line}\t", commands) == word


@needs("zsh")
@pytest.mark.parametrize(("line", "word"), COMPLETED)
def test_zsh_completes(made: Path, commands: Path, line: str, word: str) -> None:
    name = line.split()[0]
    setup = f"PS1=; fpath=('{made}' $fpath); autoload -Uz compinit; compinit -u -D; {ECHO.format(name=name)}"
    assert typed(["zsh", "-f", "-i"], setup, f"{line}\t", commands) == word


@needs("fish")
@pytest.mark.parametrize(("line", "word"), COMPLETED)
def test_fish_completes(made: Path, commands: Path, line: str, word: str) -> None:
    script = f"set fish_complete_path '{made}'; complete -C '{line}'"
    environment = {"PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(commands.parent), "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], cwd=commands.parent / "work", env=environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    offered = {candidate.split("\t")[0].replace("\\ ", " ") for candidate in done.stdout.splitlines()}
    assert word in offered


@needs("bash")
def test_completion_asks_no_server_where_none_runs(made: Path, commands: Path) -> None:
    (commands / "redod").write_text("#!/bin/sh\nexit 1\n")
    setup = f"PS1=; source '{made}/redo.bash'; {ECHO.format(name='redo')}"
    assert typed(["bash", "--norc", "--noprofile", "-i"], setup, "redo kno\t", commands) == "kno"
