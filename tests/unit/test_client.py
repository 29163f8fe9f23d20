"""The Python client as a file: what it imports, and that it agrees with the package."""

import subprocess
import sys
from pathlib import Path

import redod

CLIENT = Path(__file__).parents[2] / "client" / "redo.py"

ALLOWED = {"errno", "posix", "select", "_signal", "_socket", "runpy"}
"""Beside what the interpreter itself has loaded by then."""


def run_isolated(program: str) -> str:
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", program, str(CLIENT)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_version_is_the_packages() -> None:
    line = next(line for line in CLIENT.read_text().splitlines() if line.startswith("VERSION = "))
    assert line == f'VERSION = "{redod.__version__}"'


def test_it_imports_only_what_costs_next_to_nothing() -> None:
    program = (
        "import sys; before = set(sys.modules)\n"
        "source = open(sys.argv[1]).read()\n"
        "exec(compile(source, sys.argv[1], 'exec'), {'__name__': 'client'})\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    imported = set(run_isolated(program).split())
    assert imported
    assert imported <= ALLOWED


def test_its_header_is_one_command_to_sh() -> None:
    header = CLIENT.read_text().partition("\n# fmt: on\n")[0]
    assert header.startswith('#!/bin/sh\n# fmt: off\n"""":\n')
    assert header.endswith('\nexit 1\n"""')
    script = header.removesuffix('"""')
    assert "\\" not in script, "Python would read an escape in its docstring"
    subprocess.run(["/bin/sh", "-n"], input=script.encode(), check=True)
