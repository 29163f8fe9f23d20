"""What examples/hello promises to somebody who tries redo for the first time, through the real client and daemon."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Protocol

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/hello"
MADE_HERE = shutil.ignore_patterns(".redo", "cc", "hello", "greetings.h", "*.o")
"""What a build in the checkout itself may have left in the example: not part of it."""


class Project(Protocol):
    """What these tests use of the `project` fixture."""

    path: Path

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> CompletedProcess[bytes]: ...

    def jobs(self, result: CompletedProcess[bytes]) -> list[str]: ...


@pytest.fixture
def hello(project: Project) -> Project:
    """A project that is a copy of the example, not yet built."""
    shutil.copytree(EXAMPLE, project.path, ignore=MADE_HERE, dirs_exist_ok=True)
    return project


def succeed(project: Project, *argv: str) -> CompletedProcess[bytes]:
    result = project.run(*argv)
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    return result


def test_run_builds_the_program_and_shows_its_output_on_stderr(hello: Project) -> None:
    result = succeed(hello, "redo", "run")
    assert sorted(hello.jobs(result)) == ["cc", "frame.o", "greet.o", "greetings.h", "hello", "main.o", "run"]
    assert b"Bonjour, " in result.stderr
    assert result.stdout == b""


def test_a_second_build_runs_nothing(hello: Project) -> None:
    succeed(hello, "redo", "all")
    assert hello.jobs(succeed(hello, "redo-ifchange", "all")) == []


def test_an_edited_header_rebuilds_the_objects_that_include_it(hello: Project) -> None:
    succeed(hello, "redo", "hello")
    with open(hello.path / "frame.h", "a") as header:
        header.write("/* edited */\n")
    assert sorted(hello.jobs(succeed(hello, "redo-ifchange", "hello"))) == ["frame.o", "hello", "main.o"]


def test_the_generated_header_follows_the_text_that_it_is_made_from(hello: Project) -> None:
    succeed(hello, "redo", "run")
    with open(hello.path / "greetings.txt", "a") as greetings:
        greetings.write("Dutch: Hallo\n")
    result = succeed(hello, "redo-ifchange", "run")
    assert sorted(hello.jobs(result)) == ["greet.o", "greetings.h", "hello", "run"]
    assert b"Hallo, " in result.stderr


def test_a_machine_without_a_compiler_is_told_what_to_install(hello: Project) -> None:
    result = hello.run("redo", "hello", env={"CC": "no-such-compiler"})
    assert result.returncode == 1
    assert b"no-such-compiler: not found; install a C compiler" in result.stderr
    assert not (hello.path / "hello").exists()


def test_clean_removes_all_that_was_made(hello: Project) -> None:
    before = {entry.name for entry in hello.path.iterdir()} - {".redo"}
    succeed(hello, "redo", "all")
    assert (hello.path / "hello").exists()
    succeed(hello, "redo", "clean")
    assert {entry.name for entry in hello.path.iterdir()} - {".redo"} == before
