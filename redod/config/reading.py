"""Reading `redod.toml`: on first use, and again when its stamp has changed.

It owns the file's name and the errors about its content. It does not know sessions, nor what the settings do.
"""

import os
import stat
import time
import tomllib

from pydantic import ValidationError

from redod.config.model import DEFAULTS, Config
from redod.core.paths import show
from redod.errors import RedodError

NAME = b"redod.toml"
_LARGEST = 1 << 20
"""Bytes. It is written by hand."""
_RACY_NS = 20_000_000
"""A file that changed so recently may change again without a new stamp: kernels' clocks tick at up to 10 ms."""

_Stamp = tuple[int, int, int, int]


class ConfigError(RedodError):
    """The file cannot be used. The text names it, the place in it, and what to do."""

    status = 2


class Configs:
    """The settings by workspace root."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[_Stamp | None, Config]] = {}
        self.by_content: set[bytes] = set()
        """The workspaces whose sources are compared by content: nearly always none. Follows from what is known."""

    def read(self, root: bytes) -> Config:
        """The settings as they are on disk now: one stat(2) where nothing has changed. Raises ConfigError."""
        path = os.path.join(root, NAME)
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return self._know(root, None, DEFAULTS)
        except OSError as problem:
            raise ConfigError(
                f"cannot look for {show(path)}: {problem.strerror}; make its directory accessible"
            ) from problem
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        known = self._known.get(root)
        if known is None or known[0] != stamp:
            is_racy = time.time_ns() - found.st_ctime_ns < _RACY_NS
            return self._know(root, None if is_racy else stamp, _parse(path, _content(path)))
        return known[1]

    def _know(self, root: bytes, stamp: _Stamp | None, config: Config) -> Config:
        self._known[root] = (stamp, config)
        (self.by_content.add if config.content else self.by_content.discard)(root)
        return config

    def last(self, root: bytes) -> Config:
        """The settings as they were last read, without looking at the disk."""
        known = self._known.get(root)
        return known[1] if known is not None else DEFAULTS


def _content(path: bytes) -> bytes:
    try:
        # O_NONBLOCK: a FIFO must not stop the server.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise _unreadable(path, "it is not a file")
            content = file.read(_LARGEST + 1)
    except OSError as problem:
        raise _unreadable(path, str(problem.strerror)) from problem
    if len(content) > _LARGEST:
        raise _unreadable(path, f"it is longer than {_LARGEST} bytes")
    return content


def _unreadable(path: bytes, reason: str) -> ConfigError:
    return ConfigError(f"cannot read {show(path)}: {reason}; correct or remove it")


def _parse(path: bytes, content: bytes) -> Config:
    try:
        return Config.model_validate(tomllib.loads(content.decode()))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{show(path)}: line {line} is not UTF-8; save the file as UTF-8") from error
    except ValidationError as error:
        raise ConfigError(f"{show(path)}: {_first(error)}; correct it") from error
    except (ValueError, RecursionError) as error:
        # TOMLDecodeError is one; a number of more than 4,300 digits is another.
        raise ConfigError(f"{show(path)} is not TOML: {error}; correct it") from error


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    setting = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"there is no setting {setting!r}, only {', '.join(Config.model_fields)}"
    return f"{setting} is {first['input']!r}: {first['msg'].lower()}"
