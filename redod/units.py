"""`redod units`: systemd user units for this install, printed or written where systemd looks for them.

It knows the templates (`systemd/`) and where this install's commands are. It does not know how a socket's name is made
(the client says it), and it neither talks to systemd nor to a server.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence

from redod.errors import RedodError, UsageError

NAMES = ("redod.socket", "redod.service")
USAGE = """usage: redod units [--print | --write [DIRECTORY]]
Print the systemd user units of this install, or write them (default: where systemd looks for the user's units).
"""
ENABLE = "systemctl --user daemon-reload && systemctl --user enable --now redod.socket"


def main(arguments: Sequence[bytes]) -> int:
    """Run `redod units ARGUMENTS` and return its exit status; errors are told on stderr."""
    try:
        return _run(list(arguments))
    except RedodError as error:
        sys.stderr.write(f"redod: {error}\n")
        return error.status
    except OSError as error:
        sys.stderr.write(f"redod: cannot write the units: {error}\n")
        return 1


def render(template: bytes, bindir: bytes, socket_name: bytes) -> bytes:
    """The unit file for the install whose commands are in `bindir`, serving the socket called `socket_name`.

    `bindir` is absolute. Raises RedodError when it cannot stand in a unit file.
    """
    settings = {
        b"ExecStart": _quote(bindir + b"/redod") + b" run",
        b"ListenStream": b"%t/redod/" + socket_name,
    }
    lines = []
    for line in template.splitlines():
        name, equals, _ = line.partition(b"=")
        lines.append(name + equals + settings[name] if name in settings else line)
    return b"\n".join(line for line in lines if not line.startswith(b"#")) + b"\n"


def _run(arguments: list[bytes]) -> int:
    match arguments:
        case [] | [b"--print"]:
            for name, text in _units():
                print(f"# {name}\n{text.decode()}")
        case [b"--write"]:
            _write(_default_directory())
        case [b"--write", directory] if directory and not directory.startswith(b"-"):
            _write(directory)
        case [b"--help"]:
            print(USAGE, end="")
        case _:
            raise UsageError(f"units: cannot understand the arguments\n{USAGE.rstrip()}")
    return 0


def _write(directory: bytes) -> None:
    units = list(_units())
    os.makedirs(directory, exist_ok=True)
    for name, text in units:
        path = os.path.join(directory, name.encode())
        with open(path, "wb") as file:
            file.write(text)
        print(f"wrote {os.fsdecode(path)}")
    print(f"Now run: {ENABLE}")
    print("After an upgrade, or when the install has moved, write them again: the socket has another name then.")


def _units() -> Iterator[tuple[str, bytes]]:
    bindir = _bindir()
    socket_name = _socket_name(bindir)
    for name in NAMES:
        yield name, render(_template(name), bindir, socket_name)


def _bindir() -> bytes:
    """Where this install's commands are: beside the console script, or in the venv, or in one of pip's directories."""
    directories = (
        os.path.dirname(os.path.abspath(sys.argv[0])),
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", "posix_user"),
    )
    for directory in directories:
        if os.path.isfile(os.path.join(directory, "redod")):
            return os.fsencode(os.path.realpath(directory))
    raise RedodError(f"units: there is no redod in any of {', '.join(directories)}; install the package first")


def _socket_name(bindir: bytes) -> bytes:
    """The name of this install's socket, as its client says.

    Only the name is kept: systemd's %t is the runtime directory even when this shell has another, or none.
    """
    environ = {name: value for name, value in os.environb.items() if name != b"REDOD_SOCKET"}
    done = subprocess.run([bindir + b"/redod", b"socket"], env=environ, stdout=subprocess.PIPE, check=False)
    name = os.path.basename(done.stdout.rstrip(b"\n"))
    if done.returncode or not name:
        raise RedodError(f"units: `{os.fsdecode(bindir)}/redod socket` failed with status {done.returncode}")
    return name


def _template(name: str) -> bytes:
    package = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(package, "systemd", name)
    checkout = os.path.join(os.path.dirname(package), "systemd", name)
    with open(installed if os.path.exists(installed) else checkout, "rb") as file:
        return file.read()


def _default_directory() -> bytes:
    """Where `systemd --user` looks first (systemd.unit(5))."""
    config = os.environb.get(b"XDG_CONFIG_HOME") or os.path.expanduser(b"~/.config")
    return os.path.join(config, b"systemd", b"user")


def _quote(path: bytes) -> bytes:
    """A path as the first word of ExecStart (systemd.service(5), "Command lines"); `$` is not expanded there.

    Raises RedodError for a path that systemd refuses as a program's name however it is quoted.
    """
    try:
        text = path.decode()
    except UnicodeDecodeError:
        raise RedodError(f"units: systemd accepts only UTF-8, and {path!r} is not; install elsewhere") from None
    if any(character < " " or character in "\"'\\\x7f" for character in text):
        raise RedodError(f"units: systemd accepts no quotes, backslashes or control characters in {text!r}")
    return f'"{text}"'.replace("%", "%%").encode()
