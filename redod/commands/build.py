"""`redo` and `redo-ifchange`: have targets built."""

import os

from pydantic import ValidationError

from redod.commands.adopt import adopt
from redod.commands.context import Attendant, Context
from redod.commands.display import DISPLAY, switch
from redod.commands.watch import Watch
from redod.core.graph import Kind
from redod.core.paths import join
from redod.errors import InternalError, RedodError, UsageError
from redod.files.observe import links_on_the_way
from redod.session.caller import Caller
from redod.session.handover import offer_adoption, open_stores
from redod.session.options import BuildOptions
from redod.session.pools import choose_pool

_LONG = (
    *DISPLAY, "jobs=", "load=", "background-priority", "events=", "background=", "timeout=", "keep-going", "xtrace",
    "verbose", "debug", "shuffle", "log", "no-log", "no-daemon", "adopt", "console", "watch",
    "on-change=",
)  # fmt: skip
_SHORT = {"-k": "--keep-going", "-x": "--trace", "-v": "--verbose", "-d": "--debug"}
_COUNTED = ("trace", "verbose", "debug")
_DEFAULT = BuildOptions()


def redo(context: Context) -> Attendant | None:
    """Run the targets' scripts, whatever their state."""
    found, names = context.options("j:kxvdw", _LONG)
    if ("--adopt", "") in found:
        return adopt(context, names)
    chosen = {option for option, _ in found}
    if chosen & {"-w", "--watch", "--on-change"}:
        return _watch(context, names or [b"all"], found)
    return build(context, names or [b"all"], _options(found), force=True)


def _watch(context: Context, names: list[bytes], found: list[tuple[str, str]]) -> Attendant:
    if context.run is not None:
        raise RedodError("--watch is for command lines; a script is run again when what it depends on has changed")
    policy = dict(found).get("--on-change", "finish")
    if policy not in ("finish", "restart"):
        raise UsageError(f"--on-change is finish or restart, not {policy!r}")
    options = _options([pair for pair in found if pair[0] not in ("-w", "--watch", "--on-change")])
    # Whoever watches wants to know why something is built.
    options = options.model_copy(update={"debug": max(1, options.debug)})
    return Watch(
        context, context.paths(names), lambda cycle: build(cycle, names, options, force=False),
        restart=policy == "restart",
    )  # fmt: skip


def redo_ifchange(context: Context) -> Attendant | None:
    """Build what is out of date; in a script, depend on it."""
    _, names = context.options()
    if not names:
        if context.run is not None:
            context.link.exit(0)
            return None
        names = [b"all"]
    return build(context, names, force=False)


def build(context: Context, names: list[bytes], options: BuildOptions = _DEFAULT, *, force: bool) -> Attendant:
    """Have these names built for the client."""
    targets = context.paths(names)
    if context.run is not None and not force:
        targets = _links_to(context, names, targets) + targets
    engine, setting = context.engine, context.setting()
    pool, warning = None, ""
    if context.run is None:
        engine.stores.look_again()
        engine.watching.next_turn()
        flags = b"" if context.invocation.job_token else context.invocation.variable(b"MAKEFLAGS") or b""
        pool, warning = choose_pool(engine, targets[0], setting, options.jobs, flags, context.jobserver)
    caller = Caller(
        engine, context.link, setting, context.name, options,
        run=context.run, is_redirected=context.is_redirected, terminal=context.terminal(2), pool=pool,
        stderr=context.stderr,
    )  # fmt: skip
    if warning:
        caller.complain(warning)
    try:
        ready = not engine.needs.missing(targets, setting, caller.session)
    except RedodError as error:
        caller.refuse(error)
        return caller
    if ready:
        if context.run is None:
            offer_adoption(engine, caller, targets, setting)
        caller.build(targets, force=force)
    else:
        caller.preparing = engine.tasks.start(_open_and_build, context, caller, targets, force)
    return caller


def _links_to(context: Context, names: list[bytes], targets: list[bytes]) -> list[bytes]:
    """The symbolic links on the way to these files: when one leads elsewhere, the same names are other files. A link
    that is a target itself is not among them: nobody has asked for it.
    """
    cwd, graph = context.invocation.cwd, context.engine.graph
    directories = {
        name.rpartition(b"/")[0] + b"/": None
        for name, target in zip(names, targets, strict=True)
        if b"/" in name and target not in (name, join(cwd, name))
    }
    if not directories:
        # As it nearly always is: paths are spelled as they are.
        return []
    links = dict.fromkeys(link for directory in directories for link in links_on_the_way(directory, cwd))
    return [link for link in links if (node := graph.find(link)) is None or node.kind is not Kind.TARGET]


async def _open_and_build(context: Context, caller: Caller, targets: list[bytes], force: bool) -> None:
    try:
        await open_stores(context.engine, caller, targets, caller.setting)
    except RedodError as error:
        caller.refuse(error)
    except Exception:
        caller.refuse(InternalError())
        raise
    else:
        caller.build(targets, force=force)


def _options(found: list[tuple[str, str]]) -> BuildOptions:
    values: dict[str, object] = {}
    for option, value in found:
        if option in ("-j", "--jobs"):
            values["jobs"] = _number(value)
            continue
        if option == "--events" and value != "json":
            raise UsageError(f"--events knows json only, not {value!r}")
        if option[2:] + "=" in _LONG:
            values[option[2:]] = value
            continue
        name, wanted = switch(_SHORT.get(option) or option.replace("xtrace", "trace"))
        count = values.get(name, 0)
        values[name] = count + 1 if name in _COUNTED and isinstance(count, int) else wanted
    try:
        return BuildOptions.model_validate(values) if values else _DEFAULT
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"option {first['loc'][0]}: {first['msg']}") from error


def _number(value: str) -> int:
    if not (value.isascii() and value.isdecimal() and int(value) > 0):
        raise UsageError(f"-j needs a number of jobs above 0, not {os.fsdecode(value)!r}")
    return int(value)
