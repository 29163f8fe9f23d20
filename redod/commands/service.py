"""`redo-service`, and `redod services` and `redod service`: targets that are running processes."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Sequence

from pydantic import BaseModel

from redod.commands.build import build
from redod.commands.context import Attendant, Context, Errand
from redod.commands.declare import run_of
from redod.core.paths import join, show
from redod.engine.run import Run
from redod.errors import RedodError, UsageError
from redod.services.ports import listening_ports
from redod.services.process import Order
from redod.services.ready import Condition
from redod.services.service import Service
from redod.services.supervisor import PATIENCE
from redod.session.handover import open_stores

_OPTIONS = ("ready-fd=", "ready-port=", "ready-line=", "ready-timeout=", "stop-signal=")
_READY = ("--ready-fd", "--ready-port", "--ready-line")
_OWN = re.compile(rb"REDO_|MAKEFLAGS$|MFLAGS$|MAKELEVEL$")
"""Variables that speak of the job, whose end the service outlives."""


def redo_service(context: Context) -> Attendant | None:
    """Start the process that the script's target stands for, and return when it is ready."""
    found, command = context.options("", _OPTIONS, until_name=True)
    run = run_of(context)
    if not command:
        raise UsageError("needs a command; see redo-service --help")
    chosen = dict(found)
    if sum(option in chosen for option in _READY) > 1:
        raise UsageError("takes one of --ready-fd, --ready-port and --ready-line")
    condition = Condition(
        _number(chosen, "--ready-fd", 3, 1023), _number(chosen, "--ready-port", 1, 65535), _pattern(chosen)
    )
    patience = _number(chosen, "--ready-timeout", 1, 86400) or PATIENCE
    return Errand(context, _start, context, run, command, condition, _signal(chosen), patience)


async def _start(
    context: Context, run: Run, command: list[bytes], condition: Condition, stop_signal: int, patience: float
) -> None:
    call = context.invocation
    environment = {name: value for name, value in call.environment.items() if not _OWN.match(name)}
    order = Order(tuple(command), call.cwd, environment, call.umask, call.limits)
    with context.engine.tasks.waiting():
        await context.daemon.services.start(run, order, condition, stop_signal, patience, context)
    context.link.exit(0)


def _number(chosen: dict[str, str], option: str, least: int, most: int) -> int | None:
    text = chosen.get(option)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise UsageError(f"{option} needs a number from {least} to {most}, not {text!r}")
    return int(text)


def _pattern(chosen: dict[str, str]) -> "re.Pattern[bytes] | None":
    text = chosen.get("--ready-line")
    if text is None:
        return None
    try:
        return re.compile(os.fsencode(text))
    except re.error as error:
        raise UsageError(f"--ready-line {text!r} is no regular expression: {error}") from error


def _signal(chosen: dict[str, str]) -> int:
    text = chosen.get("--stop-signal", "TERM").upper()
    if text.isdecimal() and 1 <= int(text) < signal.NSIG:
        return int(text)
    found = signal.Signals.__members__.get("SIG" + text.removeprefix("SIG"))
    if found is None:
        raise UsageError(f"--stop-signal {text!r} is no signal; take a name such as TERM, INT or QUIT")
    return found


class ServiceStatus(BaseModel):
    """A service in `redod services --json`. `since`: in seconds since the epoch; `target`: absolute."""

    target: str
    running: bool
    pid: int
    since: float
    restarts: int
    ports: list[int]
    command: str
    status: str


def redod_services(context: Context, words: Sequence[bytes]) -> Attendant | None:
    """`redod services [--json]`."""
    if words not in ((), (b"--json",)):
        raise UsageError("usage: redod services [--json]")
    return Errand(context, _list, context, bool(words))


async def _list(context: Context, as_json: bool) -> None:
    setting = context.setting()
    # Those of the directory's workspace are found again, if an earlier server left them.
    await open_stores(context.engine, context, [join(setting.cwd, b".")], setting)
    found = [await asyncio.to_thread(_status, service) for service in context.daemon.services]
    if as_json:
        text = "[" + ",\n".join(status.model_dump_json(indent=2) for status in found) + "]\n"
    else:
        text = "".join(map(_text, found))
    context.link.output(1, text.encode("utf-8", "backslashreplace"))
    context.link.exit(0)


def _status(service: Service) -> ServiceStatus:
    process, record = service.process, service.record
    running = process if process is not None and service.is_running else None
    return ServiceStatus(
        target=show(service.node.path),
        running=running is not None,
        pid=running.pid if running is not None else 0,
        since=record.since,
        restarts=record.restarts,
        ports=listening_ports(running.members()) if running is not None else [],
        command=record.command.encode("utf-8", "backslashreplace").decode(),
        status="ready" if running is not None else "stopped" if service.is_stopped else service.how_it_ended(),
    )


def _text(status: ServiceStatus) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.since))
    ports = " ".join(f":{port}" for port in status.ports)
    where = f"pid {status.pid}, " if status.running else ""
    listening = f", listens on {ports}" if ports else ""
    return (
        f"{status.target}: {status.status}, {where}since {since}, {status.restarts} restarts{listening}\n"
        f"    {status.command}\n"
    )


def redod_service(context: Context, words: Sequence[bytes]) -> Attendant | None:
    """`redod service stop|restart TARGET`."""
    match words:
        case (b"stop", name):
            return Errand(context, _stop, context, name)
        case (b"restart", name):
            # What a restart has to do only the script knows; its redo-service stops the running one.
            return build(context, [name], force=True)
        case _:
            raise UsageError("usage: redod service stop|restart TARGET")


async def _stop(context: Context, name: bytes) -> None:
    path = context.paths([name])[0]
    await open_stores(context.engine, context, [path], context.setting())
    service = context.daemon.services.find(context.engine.graph.find(path))
    if service is None:
        raise RedodError(f"{show(name)} is not a service; redod services lists them")
    await context.daemon.services.stop(service)
    context.link.exit(0)
