"""On which TCP ports processes listen. It reads /proc, synchronously, and knows nothing of services."""

import os
from collections.abc import Iterable

_LISTEN = b"0A"
"""The state of a listening socket in /proc/net/tcp, proc_pid_net(5)."""


def listening_ports(pids: Iterable[int]) -> list[int]:
    """The TCP ports on which any of these processes listens, ascending. What may not be looked at is left out."""
    found: set[int] = set()
    tables: dict[str, dict[bytes, int]] = {}
    for pid in pids:
        sockets = _sockets(pid)
        if not sockets:
            continue
        try:
            network = os.readlink(f"/proc/{pid}/ns/net")
        except OSError:
            continue
        if network not in tables:
            tables[network] = _listening(pid)
        found.update(port for inode, port in tables[network].items() if inode in sockets)
    return sorted(found)


def _sockets(pid: int) -> set[bytes]:
    """The inodes of the sockets that a process has open."""
    directory = f"/proc/{pid}/fd/"
    found = set()
    try:
        for number in os.listdir(directory):
            try:
                link = os.fsencode(os.readlink(directory + number))
            except OSError:
                continue
            if link.startswith(b"socket:["):
                found.add(link[8:-1])
    except OSError:
        return set()
    return found


def _listening(pid: int) -> dict[bytes, int]:
    """Port by socket inode, in the network namespace of a process."""
    found = {}
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{name}", "rb") as file:
                next(file, None)
                for line in file:
                    fields = line.split()
                    if fields[3] == _LISTEN:
                        found[fields[9]] = int(fields[1].rpartition(b":")[2], 16)
        except OSError:
            continue
    return found
