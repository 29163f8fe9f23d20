"""What a script finds in its environment, and what of the caller's it does not."""

import os
from pathlib import Path

from tests.behaviour.project import Project

SHOW = "env -0 >$3"


def environment(project: Project, name: str = "x") -> dict[str, str]:
    """What a script that runs `SHOW` had in its environment."""
    entries = (project.path / name).read_bytes().split(b"\0")[:-1]
    return dict(os.fsdecode(entry).split("=", 1) for entry in entries)


def test_a_script_gets_the_callers_environment(project: Project) -> None:
    project.write("x.do", SHOW)
    project.run("redo", "x", env={"COLOUR": "blue\nand green", "EMPTY": ""}, check=True)
    found = environment(project)
    assert (found["COLOUR"], found["EMPTY"]) == ("blue\nand green", "")


def test_values_that_are_not_utf8_reach_the_script(project: Project) -> None:
    project.write("x.do", 'printf %s "$ODD"')
    project.run("redo", "x", env={"ODD": os.fsdecode(b"\xff\xfe")}, check=True)
    assert (project.path / "x").read_bytes() == b"\xff\xfe"


def test_nothing_stays_of_the_environment_of_an_earlier_call(project: Project) -> None:
    project.write("x.do", SHOW)
    project.run("redo", "x", env={"COLOUR": "blue"}, check=True)
    project.run("redo", "x", check=True)
    assert "COLOUR" not in environment(project)


def test_a_variable_that_a_script_exports_reaches_the_scripts_that_it_asks_for(project: Project) -> None:
    project.write("x.do", "export COLOUR=red; redo-ifchange y")
    project.write("y.do", "echo $COLOUR")
    project.redo("x")
    assert project.read("y") == "red\n"


def test_cdpath_is_unset_and_pwd_is_the_scripts_directory(project: Project) -> None:
    project.write("sub/x.do", SHOW)
    project.run("redo", "sub/x", env={"CDPATH": "/", "PWD": "/elsewhere"}, check=True)
    found = environment(project, "sub/x")
    assert "CDPATH" not in found
    assert found["PWD"] == str((project.path / "sub").resolve())


def test_the_commands_come_first_on_path_and_nothing_else_of_their_place(native_project: Project) -> None:
    native_project.write("x.do", SHOW)
    native_project.run("redo", "x", check=True)
    first, *others = environment(native_project)["PATH"].split(":")
    assert others == native_project.environment["PATH"].split(":")
    names = {entry.name for entry in Path(first).iterdir()}
    assert {"redo", "redo-ifchange", "redo-stamp"} <= names
    assert all(name.startswith("redo") for name in names)


def test_path_does_not_grow_with_the_depth(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y")
    native_project.write("y.do", "redo-ifchange z")
    native_project.write("z.do", SHOW)
    native_project.redo("x")
    path = environment(native_project, "z")["PATH"].split(":")
    assert len(path) == len(set(path))


def test_scripts_find_the_commands_when_only_a_foreign_path_is_set(project: Project) -> None:
    project.write("x.do", "redo-ifchange y; cat y")
    project.write("y.do", "echo y")
    runtime = project.environment["XDG_RUNTIME_DIR"]
    command = [f"XDG_RUNTIME_DIR={runtime}", "PATH=/usr/bin:/bin", str(project.bindir / "redo"), "x"]
    project.run("env", "-i", *command, check=True)
    assert project.read("x") == "y\n"


def test_a_missing_path_gets_the_systems_default(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; cat y")
    native_project.write("y.do", "echo y")
    runtime = native_project.environment["XDG_RUNTIME_DIR"]
    native_project.run("env", "-i", f"XDG_RUNTIME_DIR={runtime}", str(native_project.bindir / "redo"), "x", check=True)
    assert native_project.read("x") == "y\n"


def test_sh_is_found_in_the_callers_path(native_project: Project) -> None:
    native_project.write("bin/sh", "#!/bin/sh\necho mine\n").chmod(0o755)
    native_project.write("x.do", "echo not mine")
    path = f"{native_project.path}/bin:{native_project.environment['PATH']}"
    native_project.run("redo", "x", env={"PATH": path}, check=True)
    assert native_project.read("x") == "mine\n"


def test_a_script_is_told_its_target_its_depth_and_its_session(native_project: Project) -> None:
    native_project.write("x.do", f"redo-ifchange y; {SHOW}")
    native_project.write("y.do", SHOW)
    native_project.redo("x")
    outer, inner = environment(native_project), environment(native_project, "y")
    assert (outer["REDO_TARGET"], inner["REDO_TARGET"]) == ("x", "y")
    assert len(outer["REDO_DEPTH"]) < len(inner["REDO_DEPTH"])
    assert outer["REDO_SESSION"] == inner["REDO_SESSION"]
    assert outer["REDO_LOG"]


def test_another_invocation_is_another_session(native_project: Project) -> None:
    native_project.write("default.do", "echo $REDO_SESSION")
    native_project.redo("x")
    native_project.redo("y")
    assert native_project.read("x") != native_project.read("y")


def test_a_call_with_a_cleared_environment_still_belongs_to_the_script_that_makes_it(project: Project) -> None:
    project.write("x.do", 'env -i PATH="$PATH" REDOD_SOCKET="$REDOD_SOCKET" redo-ifchange y; cat y')
    project.write("y", "one")
    project.redo("x")
    project.write("y", "two")
    assert project.redo("x") == ["x"]
    assert project.read("x") == "two"


def test_without_a_jobserver_a_script_has_the_first_three_descriptors_and_one_from_50_up(
    native_project: Project,
) -> None:
    native_project.write("x.do", "redo-ifchange y")
    native_project.write("y.do", "ls /proc/$$/fd >$3")
    native_project.run("redo", "-j1", "x", check=True)
    numbers = {int(number) for number in native_project.read("y").split()}
    # sh reads the script at 10 or above, and keeps what it redirects for a moment there, too.
    assert numbers >= {0, 1, 2}
    assert not numbers & {*range(3, 10), *range(12, 50)}
    assert len([number for number in numbers if number >= 50]) == 1


def test_the_callers_descriptors_above_2_do_not_reach_the_script(native_project: Project) -> None:
    native_project.write("x.do", "if (: >&7) 2>/dev/null; then echo open; else echo closed; fi")
    native_project.run("sh", "-c", "exec 7>file; redo x", check=True)
    assert native_project.read("x") == "closed\n"


def test_the_callers_limits_apply(project: Project) -> None:
    project.write("x.do", "ulimit -S -n")
    project.run("sh", "-c", "ulimit -S -n 123; redo x", check=True)
    assert project.read("x") == "123\n"


def test_a_script_may_run_a_command_by_its_full_path(native_project: Project) -> None:
    native_project.write("x.do", f"{native_project.bindir}/redo-ifchange y; cat y")
    native_project.write("y", "one")
    native_project.redo("x")
    native_project.write("y", "two")
    assert native_project.redo("x") == ["x"]
