"""The directory of commands beside the socket."""

import os
from pathlib import Path

import pytest

from redod.errors import RedodError
from redod.server.surroundings import COMMANDS, make_commands_directory


def test_the_directory_of_commands_is_made_anew_and_nothing_else_in_it_is_touched(tmp_path: Path) -> None:
    directory = tmp_path / "x.bin"
    directory.mkdir(mode=0o700)
    (directory / "mine").write_text("kept")
    (directory / "redo").symlink_to("/an/older/install/redo")
    assert make_commands_directory(bytes(tmp_path / "x.sock")) == bytes(directory)
    assert {entry.name for entry in directory.iterdir()} == {*COMMANDS, "mine"}
    assert os.readlink(directory / "redo") != "/an/older/install/redo"


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_directory_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "x.bin"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(RedodError, match="private"):
        make_commands_directory(bytes(tmp_path / "x.sock"))


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "x.bin").symlink_to("elsewhere")
    with pytest.raises(RedodError, match="private"):
        make_commands_directory(bytes(tmp_path / "x.sock"))
    assert not list((tmp_path / "elsewhere").iterdir())
