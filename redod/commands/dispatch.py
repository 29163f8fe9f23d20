"""Which command a name is."""

from collections.abc import Callable

from redod.commands import admin, affected, build, declare, dot, log, query, service, why
from redod.commands.context import Attendant, Context

COMMANDS: dict[bytes, Callable[[Context], Attendant | None]] = {
    b"redo": build.redo,
    b"redo-ifchange": build.redo_ifchange,
    b"redo-ifcreate": declare.redo_ifcreate,
    b"redo-always": declare.redo_always,
    b"redo-stamp": declare.redo_stamp,
    b"redo-recheck": declare.redo_recheck,
    b"redo-whichdo": query.redo_whichdo,
    b"redo-targets": query.redo_targets,
    b"redo-sources": query.redo_sources,
    b"redo-ood": query.redo_ood,
    b"redo-affected": affected.redo_affected,
    b"redo-why": why.redo_why,
    b"redo-dot": dot.redo_dot,
    b"redo-log": log.redo_log,
    b"redo-service": service.redo_service,
    b"redod": admin.redod,
}
