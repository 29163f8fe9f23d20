"""Completion in interactive shells: each shell that is installed, as a person types."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from manual.generate import main
from tests.client.conftest import NAMES

PATIENCE = 60.0


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "made"
    directory.mkdir()
    main(str(directory))
    return directory


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A PATH's first directory, with a server that runs and knows two targets, and a directory to complete in."""
    bindir = tmp_path / "bin"
    bindir.mkdir()
    answers = {"redo-targets": "printf 'known one\\nsub/two\\n' | tr '\\n' \"$end\""}
    # All of them, since fish completes no arguments of a command that is not on PATH.
    for name in NAMES:
        script = answers.get(name, "exit 0")
        (bindir / name).write_text(f"#!/bin/sh\nend='\\n'; [ \"$1\" = -0 ] && end='\\0'\n{script}\n")
        (bindir / name).chmod(0o755)
    work = tmp_path / "work"
    (work / "dir").mkdir(parents=True)
    for name in ("with space", "made.do", "default.o.do", "dir/inner.do"):
        (work / name).touch()
    return bindir


class Terminal:
    """An interactive shell, in which words are completed."""

    def __init__(self, shell: list[str], setup: str, commands: Path) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(commands.parent / "work")
            path = f"{commands}:{os.environ['PATH']}"
            os.execvpe(shell[0], shell, {"PATH": path, "HOME": str(commands.parent), "TERM": "dumb", "LANG": "C.UTF-8"})
        shows = [f"{name}() {{ printf 'GO''T<%s>\\n' \"$1\"; }}" for name in NAMES if name != "redo-targets"]
        os.write(self._terminal, "; ".join(["PS1=", setup, *shows, "echo READ''Y\n"]).encode())
        self._until(rb"READY")

    def type(self, keys: str) -> str:
        """The first argument of the command that is run by these keys and Enter."""
        os.write(self._terminal, f"{keys}\n".encode())
        return self._until(rb"GOT<([^>]*)>")[1].decode()

    def _until(self, pattern: bytes) -> "re.Match[bytes]":
        seen = b""
        while (found := re.search(pattern, seen)) is None:
            assert select.select([self._terminal], [], [], PATIENCE)[0], seen
            seen += os.read(self._terminal, 65536)
        return found

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)


COMPLETED = {
    "redo --keep-g": "--keep-going",
    "redo --shuf": "--shuffle",
    "redo-log --recur": "--recursive",
    "redo wi": "with space",
    "redo kno": "known one",
    "redo mad": "made",
    "redo dir/in": "dir/inner",
    "redo-ood sub/": "sub/two",
    "redod serv": "service",
    "redo-affected mad": "made.do",
}
"""What is typed, and the word that it becomes."""
BASH = ["bash", "--norc", "--noprofile", "-i"]
ZSH = ["zsh", "-f", "-i"]


@pytest.fixture
def terminal(request: pytest.FixtureRequest, made: Path, commands: Path) -> Iterator[Terminal]:
    """The shell of the parameter, with our completions."""
    shell: list[str] = request.param
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    setups = {
        "bash": f"bind 'set bell-style none'; source '{made}/redo.bash'",
        "zsh": f"fpath=('{made}' $fpath); autoload -Uz compinit; compinit -u -D",
    }
    opened = Terminal(shell, setups[shell[0]], commands)
    yield opened
    opened.close()


@pytest.mark.parametrize("terminal", [BASH, ZSH], indirect=True, ids=["bash", "zsh"])
def test_a_shell_completes_options_targets_and_files(terminal: Terminal) -> None:
    assert {line: terminal.type(f"{line}\t") for line in COMPLETED} == COMPLETED


@needs("fish")
def test_fish_completes_options_targets_and_files(made: Path, commands: Path) -> None:
    script = f"set fish_complete_path '{made}'\n" + "".join(f"complete -C '{line}'; echo\n" for line in COMPLETED)
    environment = {"PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(commands.parent), "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], cwd=commands.parent / "work", env=environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    for line, answer in zip(COMPLETED, done.stdout.split("\n\n")[:-1], strict=True):
        assert COMPLETED[line] in [offer.split("\t")[0].replace("\\ ", " ") for offer in answer.splitlines()], line


@pytest.mark.parametrize("terminal", [BASH], indirect=True, ids=["bash"])
def test_completion_asks_no_server_where_none_runs(terminal: Terminal) -> None:
    assert terminal.type("redod() { return 1; }; redo x") == "x"
    assert terminal.type("redo kno\t") == "kno"
