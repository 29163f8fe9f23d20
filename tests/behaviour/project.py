"""Projects with the real client and a real server each, in directories of their own.

The install is a virtual environment that imports the server from this checkout, with one of the two clients in it, so
the tests run what stands here and not what was once installed.
"""

import os
import re
import select
import shutil
import signal
import site
import stat
import subprocess
import venv
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.client.conftest import COMPILER, HAS_QUICK, NAMES, SOURCES, compile_client, compile_quick

PATIENCE = 60.0
"""Seconds after which a command counts as hanging."""
CHECKOUT = Path(__file__).parents[2]
_STARTED = re.compile(rb"^redo  ((?:  )*)(.*)$", re.MULTILINE)
_ENDED = re.compile(rb" \((?:exit|signal) \S+\)$")


@dataclass
class Project:
    """A directory, and a runtime directory whose server ends with the test. `path` exists and is empty at first."""

    path: Path
    bindir: Path
    runtime: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment = {
            "HOME": str(self.runtime / "home"),
            "PATH": f"{self.bindir}:/usr/local/bin:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(self.runtime),
            "LANG": "C.UTF-8",
        }
        (self.runtime / "home").mkdir(parents=True)
        self.runtime.chmod(0o700)
        self.path.mkdir(parents=True, exist_ok=True)

    def start(
        self, *argv: str | bytes, cwd: Path | None = None, env: Mapping[str, str] | None = None, **how: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a command, its standard output and error on pipes; `env` is added to the project's environment."""
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        program = self.bindir / os.fsdecode(argv[0]) if os.fsdecode(argv[0]) in NAMES else argv[0]
        environment = {**self.environment, **(env or {})}
        return subprocess.Popen([program, *argv[1:]], cwd=cwd or self.path, env=environment, **(streams | how))

    def run(
        self,
        *argv: str | bytes,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,
        check: bool = False,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a command to its end. `check`: it must succeed."""
        how = {} if input is None else {"stdin": subprocess.PIPE}
        with self.start(*argv, cwd=cwd, env=env, **how) as process:
            try:
                out, err = process.communicate(input, timeout=PATIENCE)
            except BaseException:
                process.kill()
                raise
        result = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        assert not check or result.returncode == 0, err.decode(errors="replace")
        return result

    def redo(self, *targets: str, check: bool = True) -> list[str]:
        """Run `redo-ifchange`; the targets that were built, in the order shown."""
        return self.jobs(self.run("redo-ifchange", *targets, check=check))

    @staticmethod
    def jobs(result: "subprocess.CompletedProcess[bytes]") -> list[str]:
        """The names on the `redo  NAME` lines, the lines that tell of a failure left out."""
        return [os.fsdecode(name) for _, name in _STARTED.findall(result.stderr) if not _ENDED.search(name)]

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file of the project; its directories are made. One that was there can be told from what it was."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        change(path, lambda: path.write_bytes(text.encode() if isinstance(text, str) else text))
        return path

    def replace(self, name: str, text: str) -> None:
        """Write a file of the project in one step: who looks at any time sees all of it or nothing."""
        new = self.runtime / "new"
        new.write_text(text)
        new.rename(self.path / name)

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    @property
    def server_pid(self) -> int:
        """The pid of the running server; 0 if there is none."""
        result = self.run("redod", "status", "--json")
        found = re.search(rb'"pid": (\d+)', result.stdout)
        return int(found[1]) if found else 0

    def kill_server(self) -> None:
        """SIGKILL the server, and return when it is gone."""
        pidfd = os.pidfd_open(self.server_pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        wait_for_end(pidfd)

    def close(self) -> None:
        self.run("redod", "stop")


def change(path: Path, act: Callable[[], object]) -> None:
    """Change a file so that its stamp is another one. The clock of files may stand still for 10 ms: what is changed
    twice in that time is changed once more when it has moved on.
    """
    before = _stamp(path)
    act()
    while before is not None and _stamp(path) == before:
        act()


def _stamp(path: Path) -> tuple[int, ...] | None:
    """None where there is no regular file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def opened_by(pid: int) -> list[str]:
    """What the descriptors of a process lead to. Some may be gone by the time they are looked at."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(link))
    return found


def wait_for_end(pidfd: int) -> None:
    """Return when the process is gone; closes the descriptor."""
    assert select.select([pidfd], [], [], PATIENCE)[0], "the process does not end"
    os.close(pidfd)


def make_install(directory: Path, client: str) -> Path:
    """A virtual environment with `client` (native or python) under every command name; returns its bin directory."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(directory)
    (_packages(directory) / "checkout.pth").write_text("\n".join([str(CHECKOUT), *site.getsitepackages()]) + "\n")
    bindir = directory / "bin"
    if client == "native":
        compile_client(bindir / "redo")
    else:
        shutil.copy(SOURCES / "redo.py", bindir / "redo")
        (bindir / "redo").chmod(0o755)
    for name in NAMES[1:]:
        shutil.copy(bindir / "redo", bindir / name)
    if client == "native" and HAS_QUICK:
        compile_quick(bindir / "redo-ifchange")
    return bindir


PATIENT = "patient"
"""The install whose server does not lose patience, by its name."""


def make_patient(directory: Path, bindir: Path) -> Path:
    """A copy of the install, with such a server; returns its bin directory."""
    return make_loaded(directory, bindir, "tests.behaviour.patient")


def make_loaded(directory: Path, bindir: Path, module: str) -> Path:
    """A copy of the install, whose servers import a module of the tests first; returns its bin directory."""
    shutil.copytree(bindir.parent, directory, symlinks=True)
    load(directory / "bin", module)
    return directory / "bin"


def load(bindir: Path, module: str) -> None:
    """Have the servers of an install import a module of the tests first."""
    # After the file that puts this checkout on the path: they are read in the order of their names.
    (_packages(bindir.parent) / "module.pth").write_text(f"import {module}\n")


def _packages(directory: Path) -> Path:
    return next((directory / "lib").glob("python3*")) / "site-packages"


CLIENTS = ["native", "python"] if COMPILER else ["python"]
