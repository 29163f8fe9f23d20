"""Programs: where a job's interpreter is. It knows PATH and nothing else of a job."""

import errno
import os
import time
from collections.abc import Mapping

_KNOWN_FOR = 1.0
"""Seconds in which a program is not searched again in the same PATH. A shell would remember it for good."""


class Programs:
    """What execvp(3) would find, remembered for a moment."""

    def __init__(self) -> None:
        self._found: dict[tuple[bytes, bytes], bytes] = {}
        self._until = 0.0

    def find(self, name: bytes, env: Mapping[bytes, bytes]) -> bytes:
        """The file of this program in the PATH of `env`; relative parts of it are the present directory's.

        Raises FileNotFoundError.
        """
        if b"/" in name:
            return name
        path = env.get(b"PATH", os.fsencode(os.defpath))
        now = time.monotonic()
        if now > self._until:
            self._found.clear()
            self._until = now + _KNOWN_FOR
        known = self._found.get((name, path))
        if known is None:
            known = _search(name, path)
            if all(directory.startswith(b"/") for directory in path.split(b":")):
                self._found[name, path] = known
        return known

    def forget(self) -> None:
        self._found.clear()


def _search(name: bytes, path: bytes) -> bytes:
    for directory in path.split(b":"):
        found = (directory or b".") + b"/" + name
        if os.access(found, os.X_OK) and not os.path.isdir(found):
            return found
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
