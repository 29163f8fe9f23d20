"""What docs/ promises of the tests: a test that a document names exists."""

import re

import pytest

from tests.behaviour.project import CHECKOUT

DOCUMENTS = ("compatibility.md", "reliability.md")


@pytest.fixture(scope="module")
def tests() -> set[str]:
    """The names of all test functions."""
    return {
        name
        for file in (CHECKOUT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_tests_that_a_document_names_exist(document: str, tests: set[str]) -> None:
    named = set(re.findall(r"`(test_\w+)`", (CHECKOUT / "docs" / document).read_text()))
    assert named
    assert named <= tests
