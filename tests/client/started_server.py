"""What a test's install has in place of its `python3`: writes down what it was started with, answers, and ends.

It stands on its own: it is copied, and knows its purpose from REDOD_* variables, which the client passes on.
"""

import json
import os
import signal
import socket
import sys


def describe() -> dict[str, object]:
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    fds = sorted(int(name) for name in os.listdir(listing))
    fds.remove(listing)
    default = {signal.SIGPIPE, signal.SIGXFSZ}  # Python itself ignores these
    ignored = [n for n in range(1, 65) if int(status["SigIgn"], 16) >> n - 1 & 1 and n not in default]
    return {
        "argv": [os.fsencode(arg).decode("latin-1") for arg in sys.argv[1:]],
        "pid": os.getpid(),
        "sid": os.getsid(0),
        "cwd": os.getcwd(),
        "umask": int(status["Umask"], 8),
        "environ": {os.fsencode(k).decode("latin-1"): os.fsencode(v).decode("latin-1") for k, v in os.environ.items()},
        "fds": [fd for fd in fds if is_open(fd)],
        "links": [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)],
        "ignored": ignored,
        "blocked": int(status["SigBlk"], 16),
    }


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def serve(connections: int) -> None:
    listening = socket.socket(fileno=3)
    listening.settimeout(60)
    for _ in range(connections):
        connection, _ = listening.accept()
        size = int.from_bytes(connection.recv(5, socket.MSG_WAITALL)[:4], "big")
        connection.recv(size, socket.MSG_WAITALL)
        connection.sendall(b"\0\0\0\2\x12\0\x2a")
        connection.close()


def main() -> None:
    facts = describe()
    with open(os.environ["REDOD_TEST_REPORTS"], "a") as reports:
        reports.write(json.dumps(facts) + "\n")
    connections = int(os.environ["REDOD_TEST_CONNECTIONS"])
    if connections:
        serve(connections)
    print("that was all", file=sys.stderr)


main()
