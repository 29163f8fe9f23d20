"""What the server finds around it and puts there: the passed socket, systemd, the directory of commands for jobs."""

import os
import socket
import stat
import sys
from contextlib import suppress

from redod.errors import RedodError
from redod.protocol.frames import encode_refused
from redod.server.place import Place

_FIRST_PASSED = 3
"""sd_listen_fds(3): the first passed descriptor."""
COMMANDS = (
    "redo", "redo-ifchange", "redo-ifcreate", "redo-always", "redo-stamp", "redo-whichdo", "redo-targets",
    "redo-sources", "redo-ood", "redo-log", "redo-recheck", "redo-service", "redo-detach",
    "redo-affected", "redo-why", "redo-dot",
    "redod",
)  # fmt: skip


def close_strays() -> None:
    """Close what a shell or a supervisor left open here: jobs would inherit it. Call it before anything is opened."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > _FIRST_PASSED:
            with suppress(OSError):
                os.close(int(name))


def listening_socket() -> tuple[socket.socket, Place]:
    """The socket that the client, or systemd, has made and passed, and its place.

    Raises RedodError when there is none.
    """
    environment = os.environ
    if environment.pop("LISTEN_PID", None) != str(os.getpid()) or environment.pop("LISTEN_FDS", None) != "1":
        raise RedodError("no listening socket was passed; start the server with the command `redod run`")
    by_systemd = environment.pop("LISTEN_FDNAMES", None) is not None
    os.set_inheritable(_FIRST_PASSED, False)
    listener = socket.socket(fileno=_FIRST_PASSED)
    # A long path was bound through another name (docs/protocol.md), so the kernel's word is second.
    given = os.environb.get(b"REDOD_SOCKET")
    return listener, Place(given or os.fsencode(listener.getsockname()), is_own=bool(given) and not by_systemd)


def turn_away(listener: socket.socket, error: RedodError) -> None:
    """Tell whoever has come why there is no server."""
    with suppress(OSError):
        listener.setblocking(False)
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.send(encode_refused(error.status, str(error)), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def notify_ready() -> None:
    """Tell systemd that the server serves (sd_notify(3)); nothing where there is no systemd."""
    place = os.environ.pop("NOTIFY_SOCKET", "")
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier, suppress(OSError):
        notifier.sendto(b"READY=1", "\0" + place[1:] if place.startswith("@") else place)


def make_commands_directory(path: bytes) -> bytes:
    """A directory with nothing but this install's commands, beside the socket at `path`: it stands first on jobs' PATH.

    Raises RedodError.
    """
    directory = path.removesuffix(b".sock") + b".bin"
    try:
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        # Nothing but our own links is removed: `$REDOD_SOCKET` may be anywhere, beside other things of the user's.
        found = os.lstat(directory)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise RedodError(f"{os.fsdecode(directory)} is not a private directory of yours; remove it")
        for name in COMMANDS:
            link = os.path.join(os.fsdecode(directory), name)
            with suppress(FileNotFoundError):
                os.unlink(link)
            os.symlink(os.path.join(_installed_commands(), name), link)
    except OSError as error:
        raise RedodError(f"cannot make {os.fsdecode(directory)}: {error.strerror}") from error
    return directory


def remove_surroundings(path: bytes) -> None:
    """Remove what stands beside the socket at `path`, which nobody will use again: commands and log."""
    stem = path.removesuffix(b".sock")
    with suppress(OSError):
        for name in COMMANDS:
            os.unlink(os.path.join(os.fsdecode(stem + b".bin"), name))
        os.rmdir(stem + b".bin")
    with suppress(OSError):
        os.unlink(stem + b".log")


def _installed_commands() -> str:
    """Where the commands are: beside the interpreter in a virtual environment, else beside the script that ran us."""
    if sys.prefix != sys.base_prefix:
        return os.path.dirname(os.path.abspath(sys.executable))
    return os.path.dirname(os.path.abspath(sys.argv[0]))
