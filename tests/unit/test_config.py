"""`redod.toml`: what may stand in it, what is said of what may not, and when it is read again."""

import os
from pathlib import Path

import pytest

from redod.config.model import DEFAULTS, Config
from redod.config.reading import ConfigError, Configs


def read(directory: Path, text: str | bytes) -> Config:
    (directory / "redod.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return Configs().read(os.fsencode(directory))


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert Configs().read(os.fsencode(tmp_path)) == DEFAULTS
    assert Configs().last(os.fsencode(tmp_path)) == DEFAULTS


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, "") == DEFAULTS


def test_every_setting_is_read(tmp_path: Path) -> None:
    text = """\
        jobs = 3
        background = "release"
        console = ["menuconfig", "*.ask"]
        goals = ["all"]
        content = true
        [timeout]
        "all" = 60
        "tests/*" = 2.5
        """
    assert read(tmp_path, text) == Config(
        jobs=3, background="release", console=("menuconfig", "*.ask"), goals=("all",), content=True,
        timeout={"all": 60, "tests/*": 2.5},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("x.o", 1),
        ("dir/x.o", 1),
        ("tests/x.o", 1),
        ("tests/x", 2),
        ("tests/dir/x", 2),
        ("x", None),
        ("dir/tests/x", None),
    ],
)
def test_the_first_pattern_that_matches_a_target_says_how_long_it_may_take(name: str, seconds: float | None) -> None:
    config = Config(timeout={"*.o": 1, "tests/*": 2, "*.x": 3, "tests/x": 4})
    assert config.timeout_of(name) == seconds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("jobs = 3\njobs\n", "at line 2"),
        ("jobs = 0", "jobs is 0: input should be greater than or equal to 1"),
        ("jobs = true", "jobs is True: input should be a valid integer"),
        ('jobs = "3"', "jobs is '3'"),
        ('background = "ask"', "background is 'ask': input should be 'wait', 'release' or 'kill'"),
        ("timeout = 3", "timeout is 3"),
        ('timeout = {"x" = 0}', "timeout.x is 0"),
        ('timeout = {"x" = inf}', "timeout.x is inf"),
        ('goals = "all"', "goals is 'all'"),
        ('goals = [""]', "goals.0 is ''"),
        ("content = 1", "content is 1"),
        ("job = 3", "there is no setting 'job', only jobs, background,"),
        (b"# \xff", "line 1 is not UTF-8"),
        ("x = " + "[" * 5000, "is not TOML"),
        ("jobs = " + "4" * 5000, "is not TOML"),
        ("#" + "x" * (1 << 20), "longer than"),
    ],
)
def test_an_error_names_the_file_the_place_and_what_to_do(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "redod.toml") in str(caught.value)
    assert told in str(caught.value)
    assert "correct" in str(caught.value) or "save" in str(caught.value)
    assert caught.value.status == 2


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_an_error(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "redod.toml")
    with pytest.raises(ConfigError, match=r"cannot read .*redod\.toml: "):
        Configs().read(os.fsencode(tmp_path))


def test_it_is_read_again_when_its_stamp_has_changed_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, root, configs = tmp_path / "redod.toml", os.fsencode(tmp_path), Configs()
    path.write_text("jobs = 2")
    # The files' clock, long after the edit: its stamp can be relied on.
    monkeypatch.setattr("redod.config.reading.time.time_ns", lambda: path.stat().st_ctime_ns + 10**9)
    first = configs.read(root)
    assert configs.read(root) is first
    path.write_text("jobs = 30")
    assert configs.read(root).jobs == 30
    path.unlink()
    assert configs.read(root) == DEFAULTS


def test_an_edit_within_a_tick_of_the_last_reading_is_seen(tmp_path: Path) -> None:
    path, root, configs = tmp_path / "redod.toml", os.fsencode(tmp_path), Configs()
    path.write_text("jobs = 2")
    times = path.stat().st_mtime_ns, path.stat().st_mtime_ns
    configs.read(root)
    path.write_text("jobs = 3")
    os.utime(path, ns=times)
    assert configs.read(root).jobs == 3


def test_after_an_error_the_last_good_settings_stay_for_what_runs(tmp_path: Path) -> None:
    path, root, configs = tmp_path / "redod.toml", os.fsencode(tmp_path), Configs()
    path.write_text("jobs = 2")
    configs.read(root)
    path.write_text("jobs = ")
    with pytest.raises(ConfigError):
        configs.read(root)
    assert configs.last(root).jobs == 2
