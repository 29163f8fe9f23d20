"""Cleaning up beside `$3`: at once where it is cheap, in a while where listing the directory takes long."""

import asyncio
from pathlib import Path

import pytest

from redod.engine import litter
from redod.engine.litter import Litter


def left_over(directory: Path) -> bytes:
    """A job's `$3`, with a sibling on the disk."""
    (directory / "t.0123abcd.redo.tmp.d").touch()
    return bytes(directory / "t.0123abcd.redo.tmp")


def entries(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_a_small_directory_is_cleaned_at_once(tmp_path: Path) -> None:
    swept = Litter(asyncio.get_running_loop())
    swept.leave(left_over(tmp_path))
    swept.sweep()
    assert not entries(tmp_path)


async def test_a_directory_that_is_dear_to_list_is_cleaned_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litter, "_CHEAP", -1.0)
    monkeypatch.setattr(litter, "_PAUSE", 0.0)
    swept = Litter(asyncio.get_running_loop())
    swept.leave(left_over(tmp_path))
    swept.sweep()
    swept.leave(left_over(tmp_path))
    swept.sweep()
    assert len(entries(tmp_path)) == 1
    async with asyncio.timeout(60):
        while entries(tmp_path):
            await asyncio.to_thread(tmp_path.stat)


async def test_at_the_end_everything_is_cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litter, "_CHEAP", -1.0)
    swept = Litter(asyncio.get_running_loop())
    swept.leave(left_over(tmp_path))
    swept.sweep()
    swept.leave(left_over(tmp_path))
    swept.sweep()
    swept.sweep_all()
    assert not entries(tmp_path)
