"""What pip puts into a fresh venv, from a checkout, an sdist and a wheel, with and without a C compiler."""

import shutil
from pathlib import Path

import pytest

from redod import __version__
from tests.package.installs import CHECKOUT, Install, pip_wheel, run, succeed

pytestmark = pytest.mark.package

COMMANDS = [
    "redo", "redo-affected", "redo-always", "redo-detach", "redo-dot", "redo-ifchange", "redo-ifcreate", "redo-log",
    "redo-ood", "redo-recheck", "redo-service", "redo-sources", "redo-stamp", "redo-targets", "redo-whichdo",
    "redo-why", "redod",
]  # fmt: skip
ONLY_PATH = {"PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_says_its_name_and_version(install: Install, name: str) -> None:
    said = succeed(install.bin / name, "--version", cwd=install.root, env=ONLY_PATH)
    assert said == f"{name} (redod) {__version__}\n"


def test_the_client_is_native_where_there_is_a_compiler_and_else_the_twin(install: Install) -> None:
    contents = {(install.bin / name).read_bytes() for name in COMMANDS}
    if install.native:
        # One program; redo-ifchange, which builds call most, may be linked statically.
        assert len(contents - {(install.bin / "redo-ifchange").read_bytes()}) <= 1
        for content in contents:
            assert content.startswith(b"\x7fELF")
            assert b".symtab" not in content, "not stripped"
    else:
        assert contents == {(CHECKOUT / "client/redo.py").read_bytes()}


def test_no_module_is_forgotten(install: Install) -> None:
    expected = {path.relative_to(CHECKOUT) for path in (CHECKOUT / "redod").rglob("*.py")}
    found = {path.relative_to(install.site) for path in (install.site / "redod").rglob("*.py")}
    assert found == expected
    data = {path.name for path in (install.site / "redod").rglob("*") if path.is_file()} - {p.name for p in found}
    assert {name for name in data if not name.endswith(".pyc")} == {"py.typed", "redod.service", "redod.socket"}


def test_man_pages_and_completions_are_there_for_every_command(install: Install) -> None:
    share = install.root / "share"
    places = {"man/man1": "{}.1", "bash-completion/completions": "{}.bash", "fish/vendor_completions.d": "{}.fish"}
    for place, name in places.items():
        assert {path.name for path in (share / place).iterdir()} == {name.format(command) for command in COMMANDS}
    assert (share / "man/man5/redod.toml.5").read_text().startswith(".TH REDOD.TOML 5")
    assert (share / "zsh/site-functions/_redo").read_text().startswith("#compdef redo ")
    assert "redo \\- run the scripts" in (share / "man/man1/redo.1").read_text()


def test_nothing_else_can_be_imported_from_it(install: Install) -> None:
    (record,) = install.site.glob("redod-*.dist-info/RECORD")
    tops = {line.split("/")[0] for line in record.read_text().splitlines()}
    assert tops == {"redod", record.parent.name, ".."}
    assert (record.parent / "licenses/LICENSE").exists()


def test_only_the_console_script_names_the_venv(install: Install) -> None:
    files = [path for path in install.bin.iterdir() if path.name.startswith("redo")]
    names_it = {path.name for path in files if bytes(install.root) in path.read_bytes()}
    assert names_it == {"redod-server"}


def test_a_moved_venv_works(install: Install, tmp_path: Path) -> None:
    moved = Path(shutil.move(install.root, tmp_path / "moved"))
    try:
        env = {**ONLY_PATH, "XDG_RUNTIME_DIR": str(tmp_path)}
        assert __version__ in succeed(moved / "bin/redo", "--version", cwd=tmp_path, env=env)
        status = run(moved / "bin/redod", "status", cwd=tmp_path, env=env)
    finally:
        shutil.move(moved, install.root)
    assert (status.returncode, status.stdout) == (1, "")
    assert "redod is not running" in status.stderr


def test_the_build_refuses_a_forgotten_version(clone: Path, tmp_path: Path) -> None:
    shutil.copytree(clone, tmp_path / "tree")
    (tmp_path / "tree/redod/__init__.py").write_text('__version__ = "0.0.1"\n')
    done = pip_wheel(tmp_path / "tree", tmp_path)
    assert done.returncode != 0
    assert "the version in redod/__init__.py is not" in done.stdout + done.stderr


def test_the_build_refuses_another_system(clone: Path, tmp_path: Path) -> None:
    machine = tmp_path / "darwin.ini"
    machine.write_text("[host_machine]\nsystem = 'darwin'\ncpu_family = 'x86_64'\ncpu = 'x86_64'\nendian = 'little'\n")
    done = pip_wheel(clone, tmp_path, f"--cross-file={machine}")
    assert done.returncode != 0
    assert "redod runs on Linux only" in done.stdout + done.stderr


def test_a_compiler_warning_stops_only_a_build_that_asks_for_it(clone: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(clone, tree)
    with (tree / "client/redo.c").open("a") as source:
        source.write("static int unused_on_purpose(void) { return 1; }\n")
    assert pip_wheel(tree, tmp_path, "-Dwerror=true").returncode != 0
    assert not list(tmp_path.glob("*.whl"))
    assert pip_wheel(tree, tmp_path).returncode == 0
    assert len(list(tmp_path.glob("*.whl"))) == 1
