"""`redod units`: the rendered files are valid, hold this install's paths, and land where systemd looks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from redod import units
from redod.errors import RedodError

ODD_BUT_ALLOWED = "a b $HOME %h ä"


@pytest.fixture
def bindir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An install: `redod socket` answers, unless REDOD_SOCKET has been passed on."""
    directory = tmp_path / ODD_BUT_ALLOWED
    directory.mkdir()
    redod = directory / "redod"
    redod.write_text('#!/bin/sh\n[ "$1" = socket ] && echo "/run/x/${REDOD_SOCKET:-0123}.sock"\n')
    redod.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(directory / "redod-server")])
    return directory


def test_the_written_units_pass_systemds_own_check(bindir: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    assert units.main([b"--write", bytes(tmp_path)]) == 0
    files = [str(tmp_path / name) for name in units.NAMES]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run([analyze, "--user", "verify", "--man=no", *files], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_paths_are_this_installs(bindir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert units.main([]) == 0
    printed = capsys.readouterr().out
    escaped = str(bindir).replace("%", "%%")
    assert f'\nExecStart="{escaped}/redod" run\n' in printed
    assert "\nListenStream=%t/redod/0123.sock\n" in printed


def test_a_jobs_socket_is_not_the_installs(
    bindir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDOD_SOCKET", "private")
    assert units.main([b"--print"]) == 0
    assert "private" not in capsys.readouterr().out


def test_they_are_written_where_systemd_looks(
    bindir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert units.main([b"--write"]) == 0
    written = sorted(path.name for path in (tmp_path / "config/systemd/user").iterdir())
    assert written == sorted(units.NAMES)
    assert "systemctl --user" in capsys.readouterr().out


@pytest.mark.parametrize("path", [b"/a\xff", b"/a\nb", b'/a"b', b"/a'b", b"/a\\b"])
def test_a_path_that_systemd_refuses_is_refused_here(path: bytes) -> None:
    with pytest.raises(RedodError, match="systemd accepts"):
        units.render(b"[Service]\nExecStart=x\n", path, b"0.sock")


def test_everything_else_in_a_template_is_kept() -> None:
    template = b"# for people\n[Service]\nType=notify\nExecStart=x\n"
    assert units.render(template, b"/b", b"0.sock") == b'[Service]\nType=notify\nExecStart="/b/redod" run\n'


@pytest.mark.parametrize("arguments", [[b"--wrong"], [b"--write", b""], [b"--write", b"-x"], [b"--print", b"more"]])
def test_arguments_that_mean_nothing_are_a_usage_error(
    arguments: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert units.main(arguments) == 2
    assert "usage: redod units" in capsys.readouterr().err


def test_a_directory_that_cannot_be_made_is_said(bindir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert units.main([b"--write", b"/dev/null/units"]) == 1
    assert "/dev/null" in capsys.readouterr().err


def test_a_client_that_fails_is_said(bindir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bindir / "redod").write_text("#!/bin/sh\nexit 3\n")
    assert units.main([]) == 1
    assert "failed with status 3" in capsys.readouterr().err
