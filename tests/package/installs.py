"""Running commands, and building and installing the package with pip, for the tests of the package."""

import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal or stdin; stdout and stderr are kept as text."""
    return subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def succeed(*command: str | Path, cwd: Path, env: Mapping[str, str]) -> str:
    """Like `run`, for a command that must succeed; its stdout."""
    done = run(*command, cwd=cwd, env=env)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def caller() -> dict[str, str]:
    """This environment (pip's settings are in it), but for what belongs to a venv, a compiler or a session."""
    drop = re.compile(r"PYTHON.*|VIRTUAL_ENV|CC|CFLAGS|LDFLAGS|REDOD?_.*|MAKEFLAGS|GIT_.*")
    return {name: value for name, value in os.environ.items() if not drop.fullmatch(name)}


@dataclass(frozen=True, slots=True)
class Install:
    """A venv into which the package was installed, without its dependencies: the client needs none."""

    kind: str
    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def site(self) -> Path:
        return next(self.root.glob("lib/python3.*/site-packages"))

    @property
    def native(self) -> bool:
        return "no-compiler" not in self.kind


def build_sdist(clone: Path, scratch: Path, env: Mapping[str, str]) -> Path:
    """Build a source distribution as a PEP 517 front end does: the backend's hook, in an environment of its own."""
    backend = scratch / "backend"
    venv.create(backend, with_pip=True)
    succeed(backend / "bin/pip", "install", "-q", "meson-python", "meson", "ninja", cwd=scratch, env=env)
    hook = f"import mesonpy; mesonpy.build_sdist({str(scratch)!r})"
    path = {"PATH": f"{backend}/bin:{env['PATH']}"}
    succeed(backend / "bin/python", "-c", hook, cwd=clone, env={**env, **path})
    (made,) = scratch.glob("*.tar.gz")
    return made


def pip_wheel(source: Path, scratch: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel of `source` into `scratch`; the settings go to `meson setup`."""
    options = [f"--config-settings=setup-args={setting}" for setting in settings]
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(scratch), *options, str(source))
    return run(*command, cwd=scratch, env=caller())
