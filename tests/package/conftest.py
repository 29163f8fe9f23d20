"""A clean clone of this checkout, a PATH without a C compiler, and installs of every kind."""

import os
import re
import venv
from pathlib import Path

import pytest

from tests.package.installs import CHECKOUT, Install, build_sdist, caller, succeed

COMPILER = re.compile(r"(.*-)?(cc|gcc|c89|c99|clang|tcc|icc|icx|nvc|pgcc)([-.\d]*)|c89-gcc|c99-gcc")
"""Names under which a C compiler is looked for or installed."""


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fresh clone would hold if the checkout were committed as it is now."""
    top = tmp_path_factory.mktemp("clone") / "redod"
    listed = succeed("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=CHECKOUT, env=caller())
    for name in listed.rstrip("\0").split("\0"):
        if (CHECKOUT / name).is_file():
            target = top / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((CHECKOUT / name).read_bytes())
            target.chmod((CHECKOUT / name).stat().st_mode)
    author = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    for arguments in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "all"]):
        succeed("git", *arguments, cwd=top, env=caller())
    return top


@pytest.fixture(scope="session")
def no_compiler_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with everything that the system has but C compilers."""
    directory = tmp_path_factory.mktemp("no-compiler")
    for place in ("/usr/bin", "/bin"):
        for entry in os.scandir(place):
            link = directory / entry.name
            if not COMPILER.fullmatch(entry.name) and not link.is_symlink():
                link.symlink_to(entry.path)
    return str(directory)


@pytest.fixture(scope="session", params=["checkout", "no-compiler", "sdist", "wheel"])
def install(
    request: pytest.FixtureRequest, clone: Path, no_compiler_path: str, tmp_path_factory: pytest.TempPathFactory
) -> Install:
    """The package in a fresh venv: from the checkout with and without a C compiler, from an sdist, from a wheel."""
    kind = str(request.param)
    scratch = tmp_path_factory.mktemp(kind)
    root = scratch / "venv"
    venv.create(root, with_pip=True)
    env = caller()
    if kind == "no-compiler":
        env["PATH"] = no_compiler_path
    source = clone
    if kind == "sdist":
        source = build_sdist(clone, scratch, env)
    elif kind == "wheel":
        succeed(root / "bin/pip", "wheel", "-q", "--no-deps", "-w", scratch, clone, cwd=scratch, env=env)
        (source,) = scratch.glob("*.whl")
    succeed(root / "bin/pip", "install", "-q", "--no-deps", source, cwd=scratch, env=env)
    return Install(kind, root)
