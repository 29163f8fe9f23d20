"""Both clients as installs: a directory with every command name, below a pyvenv.cfg as in a virtual environment."""

import os
import platform
import select
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from redod import __version__

from .fake_server import PATIENCE, FakeServer, Talk

SOURCES = Path(__file__).parents[2] / "client"
COMPILER = shutil.which("cc")
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror"]
BARE = ["-fno-stack-protector", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-U_FORTIFY_SOURCE"]
"""What quick.c is compiled with: nothing may be added that needs the C library."""
NAMES = [
    "redo", "redo-ifchange", "redo-ifcreate", "redo-always", "redo-stamp", "redo-whichdo", "redo-targets",
    "redo-sources", "redo-ood", "redo-log", "redo-recheck", "redo-service", "redo-detach",
    "redo-affected", "redo-why", "redo-dot",
    "redod",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Client:
    """One of the two clients. `bindir` holds it under every name; `prefix` is what runs a file of it."""

    bindir: Path
    prefix: tuple[bytes, ...] = field(default=())

    def command(self, name: str, *args: bytes) -> list[bytes]:
        return [*self.prefix, bytes(self.bindir / name), *args]

    def start(
        self, name: str, *args: bytes, socket: bytes = b"", env: dict[bytes, bytes] | None = None, **how: Any
    ) -> "subprocess.Popen[bytes]":
        """Start the client with exactly `env` (default: only REDOD_SOCKET) and its descriptors 1 and 2 on pipes."""
        environment = {b"REDOD_SOCKET": socket} if env is None else env
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(self.command(name, *args), env=environment, **(streams | how))

    def run(
        self, name: str, *args: bytes, socket: bytes = b"", env: dict[bytes, bytes] | None = None, **how: Any
    ) -> "subprocess.CompletedProcess[bytes]":
        data = how.pop("input", None)
        assert data is None or isinstance(data, bytes)
        if data is not None:
            how["stdin"] = subprocess.PIPE
        with self.start(name, *args, socket=socket, env=env, **how) as process:
            try:
                out, err = process.communicate(data, timeout=PATIENCE)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def compile_client(target: Path, *options: str) -> None:
    """Build the native client with warnings as errors."""
    _compile(target, *options, *sorted(map(str, SOURCES.glob("*.c"))))


def compile_quick(target: Path, *options: str) -> None:
    """Build the client that begins in quick.c, as meson.build does."""
    whole = target.with_name(target.name + ".o")
    _compile(whole, "-c", *BARE, *options, str(SOURCES / "quick.c"))
    others = sorted(str(path) for path in SOURCES.glob("*.c") if path.name != "quick.c")
    _compile(target, "-static", "-Wl,-e,quick_start", *others, str(whole))
    whole.unlink()


def _compile(target: Path, *arguments: str) -> None:
    assert COMPILER
    version = f'-DREDOD_VERSION="{__version__}"'
    subprocess.run([COMPILER, "-std=gnu11", "-O2", *WARNINGS, version, "-o", str(target), *arguments], check=True)


def _links_statically() -> bool:
    if not COMPILER or platform.machine() != "x86_64":
        return False
    command = [COMPILER, "-static", "-x", "c", "-o", "/dev/null", "-"]
    return not subprocess.run(command, input=b"int main(void) { return 0; }", stderr=subprocess.DEVNULL).returncode


HAS_QUICK = _links_statically()
"""Whether quick.c is of use here."""


def install(kind: str, root: Path) -> Client:
    bindir = root / "bin"
    bindir.mkdir()
    (root / "pyvenv.cfg").touch()
    first = bindir / NAMES[0]
    if kind == "native":
        compile_client(first)
    else:
        shutil.copy(SOURCES / "redo.py", first)
        first.chmod(0o755)
    for name in NAMES[1:]:
        os.link(first, bindir / name)
    if kind == "native":
        return Client(bindir)
    return Client(bindir, (os.fsencode(sys.executable), b"-I", b"-S", b"-X", b"utf8"))


@pytest.fixture(scope="session", params=["native", "python"] if COMPILER else ["python"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Not for the tests that start a server: those need an install of their own."""
    return install(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def own_install(client: Client, tmp_path: Path) -> Client:
    """A copy of the client in a directory of this test's own."""
    shutil.copytree(client.bindir.parent, tmp_path / "install")
    return Client(tmp_path / "install" / "bin", client.prefix)


@dataclass(frozen=True, slots=True)
class Serve:
    """Makes the fake server of one test."""

    path: bytes

    def __call__(self, talk: Talk, path: bytes = b"") -> FakeServer:
        return FakeServer(path or self.path, talk)


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    return Serve(bytes(tmp_path / "server.sock"))


def wait_until_full(into: int, process: "subprocess.Popen[bytes]") -> None:
    """Until nothing more goes into the pipe: its writer is stuck."""
    while select.select([], [into], [], 0)[1]:
        assert process.poll() is None
        os.sched_yield()
