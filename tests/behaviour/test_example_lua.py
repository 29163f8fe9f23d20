"""A real C project, examples/lua, built through the real client and daemon: each build runs exactly what it must."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Protocol

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/lua"
MADE_HERE = shutil.ignore_patterns(".redo", "cc", "lua", "objects", "src", "*.o", "*.tar.gz")
"""What a build in the checkout itself may have left in the example: not part of it."""
SHA256, SDIST = (EXAMPLE / "SHA256SUMS").read_text().split()


class Project(Protocol):
    """What these tests use of the `project` fixture."""

    path: Path

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> CompletedProcess[bytes]: ...

    def jobs(self, result: CompletedProcess[bytes]) -> list[str]: ...


class Lua:
    """A copy of the example in a project, and what the tests ask of it."""

    def __init__(self, project: Project, environment: Mapping[str, str]) -> None:
        shutil.copytree(EXAMPLE, project.path, ignore=MADE_HERE, dirs_exist_ok=True)
        self.path = project.path
        self._project = project
        self._environment = environment

    def run(self, *argv: str) -> CompletedProcess[bytes]:
        return self._project.run(*argv, env=self._environment)

    def build(self, *argv: str) -> tuple[list[str], bytes]:
        """Run a command that must succeed; its jobs in alphabetical order, and its stderr."""
        result = self.run(*argv)
        assert result.returncode == 0, result.stderr.decode(errors="replace")
        return sorted(self._project.jobs(result)), result.stderr

    def objects(self) -> list[str]:
        """All objects, as the unpacked sources imply them."""
        return [f"{source.stem}.o" for source in (self.path / "src").glob("*.c") if source.name != "onelua.c"]

    def objects_including(self, header: str) -> list[str]:
        """The objects that include `header`, as the compiler says, which is asked apart from the build."""
        return [name for name in self.objects() if header in self._included_by(f"src/{Path(name).stem}.c")]

    def _included_by(self, source: str) -> list[str]:
        rule = subprocess.run(["./cc", "-MM", source], cwd=self.path, stdout=subprocess.PIPE, text=True, check=True)
        return rule.stdout.replace("\\\n", " ").split()

    def version(self) -> str:
        """What the built interpreter says of itself."""
        result = subprocess.run(["./lua", "-v"], cwd=self.path, stdout=subprocess.PIPE, text=True, check=True)
        return result.stdout


@pytest.fixture(scope="session")
def package_index(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a package index on disk that holds the pinned sdist, fetched once in this session."""
    root = tmp_path_factory.mktemp("index")
    subprocess.run([sys.executable, EXAMPLE / "fetch.py", SDIST, SHA256, root / SDIST], check=True)
    page = root / "lupa/index.html"
    page.parent.mkdir()
    page.write_text(f'<!DOCTYPE html><a href="../{SDIST}#sha256={SHA256}">{SDIST}</a>')
    return root.as_uri()


@pytest.fixture
def lua(project: Project, package_index: str) -> Lua:
    """The example, not yet built. -O0 because the compiler's work is not what is tested."""
    return Lua(project, {"PIP_INDEX_URL": package_index, "PYTHON": sys.executable, "CFLAGS": "-O0"})


@pytest.fixture
def built(lua: Lua) -> Lua:
    lua.build("redo", "all")
    return lua


def test_a_full_build_makes_each_part_once_and_the_interpreter_runs(lua: Lua) -> None:
    jobs, stderr = lua.build("redo", "all")
    assert jobs == sorted(["all", "cc", "lua", SDIST, "objects", "src", "test", *lua.objects()])
    assert lua.version().startswith("Lua 5.4")
    assert b"Hello from Lua 5.4" in stderr


def test_a_second_build_runs_nothing(built: Lua) -> None:
    assert built.build("redo-ifchange", "all")[0] == []


def test_an_edited_header_rebuilds_the_objects_that_include_it_and_the_link(built: Lua) -> None:
    expected = built.objects_including("src/ltm.h")
    assert 0 < len(expected) < len(built.objects())
    with open(built.path / "src/ltm.h", "a") as header:
        header.write("/* edited */\n")
    assert built.build("redo-ifchange", "lua")[0] == sorted([*expected, "lua"])


def test_a_deleted_object_is_made_again_and_linked(built: Lua) -> None:
    (built.path / "lapi.o").unlink()
    assert built.build("redo-ifchange", "lua")[0] == ["lapi.o", "lua"]


def test_a_broken_source_is_reported_and_the_old_interpreter_kept_until_it_is_mended(built: Lua) -> None:
    source = built.path / "src/lapi.c"
    good, old = source.read_bytes(), (built.path / "lua").read_bytes()

    source.write_bytes(b"this is not C;\n" + good)
    result = built.run("redo-ifchange", "lua")
    assert result.returncode == 1
    assert b"src/lapi.c:1:" in result.stderr
    assert b"lapi.o (exit 1)" in result.stderr
    assert (built.path / "lua").read_bytes() == old

    source.write_bytes(good)
    assert built.build("redo-ifchange", "lua")[0] == ["lapi.o", "lua"]
    assert built.version().startswith("Lua 5.4")


def test_an_sdist_with_another_hash_is_refused(lua: Lua) -> None:
    (lua.path / "SHA256SUMS").write_text(f"{'0' * 64}  {SDIST}\n")
    result = lua.run("redo", SDIST)
    assert result.returncode == 1
    assert f"its SHA-256 is {SHA256}".encode() in result.stderr
    assert not (lua.path / SDIST).exists()
