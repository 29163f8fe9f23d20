"""Fetch one sdist from the package index that pip is set up to use, and check its hash.

    python fetch.py PROJECT-VERSION.tar.gz SHA256 OUTPUT

pip is asked for the place only (`pip download` would run the sdist's build to learn its dependencies).
"""

import hashlib
import sys
from pathlib import Path

from pip._internal.cli.req_command import RequirementCommand
from pip._internal.commands import create_command


def fetch(filename: str) -> bytes:
    """Find the file as `pip download` would, with all of pip's settings, and return its bytes."""
    command = create_command("download")
    assert isinstance(command, RequirementCommand)
    options, _ = command.parse_args([])
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        found = finder.find_all_candidates(filename.rpartition("-")[0])
        links = [candidate.link for candidate in found if candidate.link.filename == filename]
        if not links:
            sys.exit(f"{filename}: not found on the package index (see `pip config list`)")
        response = session.get(links[0].url_without_fragment)
        response.raise_for_status()
        data: bytes = response.content
        return data


def main() -> None:
    filename, expected, output = sys.argv[1:]
    try:
        data = fetch(filename)
    except OSError as error:
        sys.exit(f"{filename}: {error}")
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        sys.exit(f"{filename}: its SHA-256 is {found}, not the pinned {expected}")
    Path(output).write_bytes(data)


if __name__ == "__main__":
    main()
