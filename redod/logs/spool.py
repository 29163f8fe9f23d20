"""Spool: the text of one log, in memory while it is short, then in a file without a name.

It owns where the bytes are. It does not know what they mean or how much is allowed (see `joblog`).
"""

import os
import tempfile


class Spool:
    """Bytes that are appended to and read back from any place.

    `directory` is where the file is made once the text is longer than `memory` bytes; the system's temporary
    directory serves where that is None or fails.
    """

    __slots__ = ("_descriptor", "_directory", "_held", "_memory", "_size")

    def __init__(self, directory: bytes | None, memory: int) -> None:
        self._directory = directory
        self._memory = memory
        self._held = bytearray()
        self._size = 0
        self._descriptor = -1

    @property
    def spilled(self) -> bool:
        return self._descriptor >= 0

    def append(self, data: bytes) -> int:
        """Keep `data`; returns how many of its bytes were kept: fewer when the disk is full, never an exception."""
        if self._descriptor < 0:
            if self._size + len(data) <= self._memory:
                self._held += data
                self._size += len(data)
                return len(data)
            if not self._spill():
                return 0
        kept = self._write_at(data, self._size)
        self._size += kept
        return kept

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on; none where the disk cannot give them back."""
        if self._descriptor < 0:
            return bytes(self._held[offset : offset + length])
        try:
            return os.pread(self._descriptor, min(length, self._size - offset), offset)
        except OSError:
            return b""

    def _spill(self) -> bool:
        for directory in (self._directory, None):
            try:
                with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
                    self._descriptor = os.dup(file.fileno())
            except OSError:
                continue
            held, self._held = self._held, bytearray()
            if self._write_at(held, 0) == len(held):
                return True
            os.close(self._descriptor)
            self._descriptor, self._held = -1, held
        return False

    def _write_at(self, data: bytes | bytearray, offset: int) -> int:
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._descriptor, memoryview(data)[written:], offset + written)
        except OSError:
            pass
        return written

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
