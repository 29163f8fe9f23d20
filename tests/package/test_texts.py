"""The repository's texts agree with each other (these tests are fast and always run)."""

from redod import __version__
from redod.core.verdicts import Why
from tests.package.texts import CHECKOUT, readme_commands, stated


def test_the_version_is_the_same_everywhere() -> None:
    assert stated(r"^  version: '(.*)',$", "meson.build") == __version__
    assert stated(r'^VERSION = b?"(.*)"$', "client/redo.py") == __version__
    assert stated(r"\A(?:.*\n)*?## \[(\d[^]]*)\]", "CHANGELOG.md") == __version__


def test_the_readme_has_exactly_two_commands_to_try() -> None:
    first, second = readme_commands()
    assert first.endswith("redo examples/hello/run")
    assert second.endswith("-m pytest -n auto")


def test_the_events_document_names_every_reason() -> None:
    document = (CHECKOUT / "docs/events.md").read_text()
    assert [why.name for why in Why if f"`{why.name.lower()}`" not in document] == []
