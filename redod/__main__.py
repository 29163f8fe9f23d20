"""`python -m redod`: the server process. The client has made the socket; this serves it."""

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable

from redod import units
from redod.collector import Collector
from redod.engine.engine import Engine
from redod.errors import RedodError
from redod.failpoints import VARIABLE, arm
from redod.jobs.reaper import Reaper
from redod.server.peer import Own
from redod.server.place import Place
from redod.server.server import Server
from redod.server.surroundings import (
    close_strays,
    listening_socket,
    make_commands_directory,
    notify_ready,
    remove_surroundings,
    turn_away,
)
from redod.store.lock import Owner

IDLE = 3 * 3600.0
"""Seconds without a client after which the server ends."""
IDLE_IN_CI = 60.0
LEAST_DESCRIPTORS = 60
"""The server's own are some 30, and jobs' completion pipes have numbers from 50 on."""
_USAGE = "usage: redod run [--loop uvloop|asyncio]\nServe in the foreground; the log goes to standard error.\n"
_log = logging.getLogger("redod")


def main() -> int:
    """Run the server, or `redod units`. Returns the exit status."""
    arguments = [os.fsencode(argument) for argument in sys.argv[1:]]
    if sys.platform != "linux":
        sys.stderr.write("redod: runs on Linux only\n")
        return 1
    if arguments[:1] == [b"units"]:
        return units.main(arguments[1:])
    is_alone = arguments == [b"run", b"--alone"]
    loop_name = "uvloop" if is_alone else _loop_name(arguments)
    if loop_name is None:
        sys.stderr.write(_USAGE)
        return 2
    logging.basicConfig(level=_log_level(), format="%(asctime)s redod[%(process)d] %(message)s")
    close_strays()
    try:
        listener, place = listening_socket()
        _run(loop_name, is_alone, listener, place)
    except RedodError as error:
        sys.stderr.write(f"redod: {error}\n")
        return error.status
    return 0


def _run(loop_name: str, is_alone: bool, listener: socket.socket, place: Place) -> None:
    try:
        arm(os.environ.pop(VARIABLE, None))
        _raise_descriptor_limit()
        with asyncio.Runner(loop_factory=_loop_factory(loop_name)) as runner:
            runner.run(_serve(is_alone, listener, place))
    except RedodError as error:
        turn_away(listener, error)
        raise


def _log_level() -> str:
    """What `REDOD_LOG_LEVEL` says, or `INFO`."""
    wanted = os.environ.get("REDOD_LOG_LEVEL", "").upper()
    return wanted if wanted in logging.getLevelNamesMapping() else "INFO"


def _loop_name(arguments: list[bytes]) -> str | None:
    match arguments:
        case [b"run"]:
            return "uvloop"
        case [b"run", b"--loop", (b"uvloop" | b"asyncio") as name]:
            return name.decode()
        case _:
            return None


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "uvloop":
        try:
            import uvloop
        except ImportError:
            _log.warning("uvloop is not installed; using asyncio's own loop")
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


async def _serve(is_alone: bool, listener: socket.socket, place: Place) -> None:
    """Start, serve, stop."""
    loop = asyncio.get_running_loop()
    # A lease on a capture file that somebody opens at that very moment is told by SIGIO, which would end the server. A
    # handler, since jobs would inherit an ignored signal.
    signal.signal(signal.SIGIO, lambda *_: None)
    own = None if is_alone else Own()
    server = _start(loop, listener, place, own)
    server.collector = Collector()
    reaper = Reaper(loop, server.engine.spawner.children, server.engine.spawner.settle)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, server.stop)
    notify_ready()
    _log.info("serving %s", os.fsdecode(place.path))
    await server.wait_end()
    await server.close()
    if is_alone:
        remove_surroundings(place.path)
    reaper.close()
    _log.info("stopped")


def _start(loop: asyncio.AbstractEventLoop, listener: socket.socket, place: Place, own: Own | None) -> Server:
    owner = Owner(place.path, socket.gethostname(), os.getpid(), int(time.time()))
    commands = make_commands_directory(place.path)
    engine = Engine(loop, jobs=len(os.sched_getaffinity(0)), owner=owner, commands=commands)
    idle = None if sys.stderr.isatty() else IDLE_IN_CI if os.environ.get("CI") else IDLE
    return Server(loop, listener, place, engine, idle, own)


def _raise_descriptor_limit() -> None:
    """Each client and each job needs some; jobs get their client's limit. Raises RedodError where it is far too low."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < LEAST_DESCRIPTORS:
        raise RedodError(
            f"the build server may have {hard} open files at most, and needs {LEAST_DESCRIPTORS};"
            " start it from a shell with a higher limit (ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
