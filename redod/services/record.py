"""What is kept of a service beside the store, so that the next server finds it again.

It owns `services/` in a workspace's store directory: for each service one record, and its log. It does not know
processes: whether the one that a record names still runs is for others to find out.
"""

import os
from collections.abc import Iterator
from hashlib import blake2b

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from redod.store.ownership import make_directory, open_file, replace_file

LOG_SIZE = 16 << 20
"""Bytes above which a service's log is cut down to its last half."""


class Record(BaseModel):
    """One service. Names are hexadecimal, since they may hold any byte."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    """Relative to the workspace's root, in hexadecimal."""
    token: str
    """What the process has in its environment as REDOD_SERVICE."""
    pid: int = 0
    """0: it was about to be started."""
    started: int = 0
    """Clock ticks between the machine's start and the process's, proc_pid_stat(5): pid and this name it for good."""
    boot: str = ""
    """The machine's boot id: ticks mean nothing in another one."""
    since: float = 0.0
    """Seconds since the epoch."""
    stop_signal: int = Field(default=15, ge=1, le=64)
    restarts: int = 0
    command: str = ""
    """For people."""
    committed: bool = False
    """The build that started it has succeeded."""

    @property
    def name(self) -> bytes:
        return bytes.fromhex(self.target)


class Records:
    """The records in the store directory `directory`, which belongs to one server at a time."""

    def __init__(self, directory: bytes) -> None:
        self._directory = directory + b"/services"

    def __iter__(self) -> Iterator[Record]:
        """All that can be read. One that cannot be is removed: it names nothing."""
        try:
            names = os.listdir(self._directory)
        except OSError:
            return
        for name in sorted(names):
            if not name.endswith(b".json"):
                continue
            path = self._directory + b"/" + name
            try:
                with open(path, "rb") as file:
                    record = Record.model_validate_json(file.read())
                record.name  # noqa: B018  (raises for what is no name)
            except OSError:
                continue
            except (ValidationError, ValueError):
                os.unlink(path)
                continue
            yield record

    def write(self, record: Record) -> None:
        """Store a record, atomically. Raises OSError."""
        self._make()
        replace_file(self._path(record.name, b".json"), record.model_dump_json().encode())

    def remove(self, target: bytes) -> None:
        """Forget a service; its log stays until the next one's. Nothing happens where there is none."""
        try:
            os.unlink(self._path(target, b".json"))
        except OSError:
            return

    def open_log(self, target: bytes) -> int:
        """The log, emptied; to be appended to. Raises OSError."""
        self._make()
        return open_file(self.log_path(target), os.O_WRONLY | os.O_APPEND | os.O_TRUNC | os.O_CREAT)

    def log_path(self, target: bytes) -> bytes:
        return self._path(target, b".log")

    def cut_log(self, target: bytes) -> None:
        """Keep the last half of a log that has grown too long. What is written at that moment may be lost."""
        try:
            with open(self.log_path(target), "r+b", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if size <= LOG_SIZE:
                    return
                rest = os.pread(file.fileno(), LOG_SIZE // 2, size - LOG_SIZE // 2)
                rest = rest[rest.find(b"\n") + 1 :]
                # The service appends, so its next line goes to the new end.
                file.truncate(0)
                file.write(rest)
        except OSError:
            return

    def _make(self) -> None:
        make_directory(os.path.dirname(self._directory))
        make_directory(self._directory)

    def _path(self, target: bytes, suffix: bytes) -> bytes:
        return b"%s/%s%s" % (self._directory, blake2b(target, digest_size=12).hexdigest().encode(), suffix)


def boot_id() -> str:
    """This boot of the machine, proc_sys_kernel(5)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
