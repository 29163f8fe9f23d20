"""The texts that the clients print themselves, as they need no server: the man pages are made from others."""

import pytest

from redod.commands.usage import USAGE

from .conftest import Client


@pytest.mark.parametrize("name", ["redod", "redo-detach"])
def test_what_needs_no_server_prints_its_usage(client: Client, name: str) -> None:
    result = client.run(name, b"--help")
    assert (result.returncode, result.stdout, result.stderr) == (0, USAGE[name.encode()].encode(), b"")
