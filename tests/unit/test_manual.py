"""Man pages and completions: made from the usage texts, complete, and read without complaint by what reads pages."""

import shutil
import subprocess
from pathlib import Path

import pytest

from manual.generate import files, main
from manual.texts import SECTIONS, SUMMARIES
from manual.usage import parse
from redod.commands.usage import USAGE
from tests.client.conftest import NAMES, SOURCES


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "made"
    directory.mkdir()
    main(str(directory))
    return directory


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def test_every_command_has_a_usage_a_page_and_completions() -> None:
    assert sorted(name.decode() for name in USAGE) == sorted(NAMES)
    assert sorted(SUMMARIES) == sorted(NAMES)
    assert SECTIONS.keys() - {""} <= set(NAMES)
    expected = {f"{name}.{kind}" for name in NAMES for kind in ("1", "bash", "fish")}
    assert set(files()) == expected | {"_redo", "redod.toml.5"}


@pytest.mark.parametrize("name", ["redod", "redo-detach"])
def test_the_clients_print_the_same_usage_where_they_need_no_server(name: str) -> None:
    for line in USAGE[name.encode()].splitlines():
        assert any(f'"{line}\\n"' in source.read_text() for source in SOURCES.glob("*.c"))
        assert f"\n{line}\n" in (SOURCES / "redo.py").read_text().replace('"""\\\n', "\n")


def test_a_usage_is_taken_apart_without_loss() -> None:
    for text in USAGE.values():
        usage = parse(text)
        told = [usage.name, usage.synopsis, *usage.before, *usage.after]
        told += [word for item in usage.items for word in (item.head, item.text)]
        assert set(text.removeprefix("usage: ").split()) <= set(" ".join(told).split())


def test_options_are_known_with_all_their_names_and_what_they_take() -> None:
    usage = parse(
        "usage: x [OPTION]... FILE\nDoes it.\n\n  -j N, --jobs=N   at most N\n      jobs\n  --all  x\n  --how=so  x\n"
    )
    assert [(flag.name, flag.value) for item in usage.items for flag in item.flags] == [
        ("-j", "N"), ("--jobs", "N"), ("--all", ""), ("--how", "so"), ("--help", ""), ("--version", ""),
    ]  # fmt: skip
    assert (usage.items[0].text, usage.operands, usage.before) == ("at most N jobs", "FILE", ["Does it."])


def test_a_page_says_what_the_usage_says() -> None:
    page = files()["redo-service.1"]
    assert "\\fB\\-\\-ready\\-port\\fR \\fIP\\fR\nwhen it listens on TCP port P" in page
    assert "\\fBredo\\-service\\fR [\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]..." in page
    assert "redo\\-service \\- make a target a running process" in page


@needs("groff")
def test_groff_has_no_complaint_about_any_page(made: Path) -> None:
    for page in [*made.glob("*.1"), *made.glob("*.5")]:
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, check=True)
        assert done.stderr == b"", page.name


@needs("mandoc")
def test_mandoc_has_no_complaint_but_that_pages_have_no_date(made: Path) -> None:
    for page in [*made.glob("*.1"), *made.glob("*.5")]:
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False
        )
        assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
