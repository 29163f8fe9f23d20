"""The README's first command, in a fresh clone with an empty environment. (CI runs the second one as it stands.)"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.package.installs import CHECKOUT, run, succeed
from tests.package.texts import readme_commands

pytestmark = pytest.mark.package


@pytest.fixture
def fresh(clone: Path, tmp_path: Path) -> Iterator[Path]:
    """A clone of its own, whose server is stopped afterwards."""
    top = tmp_path / "redod"
    shutil.copytree(clone, top)
    yield top
    redod = top / ".venv/bin/redod"
    if redod.exists():
        succeed(redod, "stop", cwd=top, env=empty(tmp_path, "/usr/bin:/bin"))


def empty(home: Path, path: str) -> dict[str, str]:
    """What `env -i HOME=... PATH=...` leaves."""
    return {"HOME": str(home), "PATH": path}


def first_command(top: Path, path: str) -> subprocess.CompletedProcess[str]:
    command = readme_commands()[0]
    return run("/bin/sh", "-c", command, cwd=top, env=empty(top.parent, path))


def test_it_builds_and_runs_the_example_through_a_server_that_starts_by_itself(fresh: Path, tmp_path: Path) -> None:
    done = first_command(fresh, "/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    assert (fresh / "examples/hello/hello").exists()
    env = empty(tmp_path, "/usr/bin:/bin")
    assert "pid" in succeed(fresh / ".venv/bin/redod", "status", cwd=fresh, env=env)
    units = tmp_path / "units"
    succeed(fresh / ".venv/bin/redod", "units", "--write", units, cwd=fresh, env=env)
    service = (units / "redod.service").read_text()
    assert f'ExecStart="{fresh}/.venv/bin/redod" run' in service
    socket = succeed(fresh / ".venv/bin/redod", "socket", cwd=fresh, env=env).strip()
    assert f"ListenStream=%t/redod/{Path(socket).name}\n" in (units / "redod.socket").read_text()


def test_without_a_compiler_the_example_says_what_is_missing(fresh: Path, no_compiler_path: str) -> None:
    done = first_command(fresh, no_compiler_path)
    assert done.returncode == 1
    assert "install a C compiler" in done.stderr
    assert "Traceback" not in done.stderr
    assert (fresh / ".venv/bin/redo").read_bytes() == (CHECKOUT / "client/redo.py").read_bytes()
