"""The query commands: what is known, told relative to the working directory."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.behaviour.project import Project


def lines(project: Project, *argv: str, cwd: Path | None = None) -> list[str]:
    return project.run(*argv, cwd=cwd, check=True).stdout.decode().splitlines()


@pytest.fixture
def built(project: Project) -> Project:
    """all needs sub/x, which is made from sub/y; use is phony."""
    project.write("all.do", "redo-ifchange sub/x use")
    project.write("sub/x.do", "redo-ifchange y; cat y")
    project.write("sub/y", "source")
    project.write("use.do", "redo-ifchange sub/x; redo-ifcreate absent")
    project.redo("all")
    return project


def test_whichdo_lists_the_candidates_up_to_the_one_that_exists(project: Project) -> None:
    project.write("default.b.do", "")
    project.write("sub/here", "")
    assert lines(project, "redo-whichdo", "sub/x.a.b") == [
        "sub/x.a.b.do", "sub/default.a.b.do", "sub/default.b.do", "sub/default.do", "default.a.b.do", "default.b.do",
    ]  # fmt: skip


def test_whichdo_is_relative_to_the_working_directory(native_project: Project) -> None:
    native_project.write("default.do", "")
    native_project.write("sub/here", "")
    assert lines(native_project, "redo-whichdo", "x", cwd=native_project.path / "sub") == [
        "x.do", "default.do", "../default.do",
    ]  # fmt: skip


def test_whichdo_without_any_lists_all_candidates_and_fails_with_status_1(project: Project) -> None:
    result = project.run("redo-whichdo", "x.a")
    assert result.returncode == 1
    found = result.stdout.decode().splitlines()
    assert found[:3] == ["x.a.do", "default.a.do", "default.do"]
    assert found[-1] == "../" * len(project.path.resolve().parts[1:]) + "default.do"


@pytest.mark.parametrize("names", [[], ["x", "y"]])
def test_whichdo_takes_exactly_one_name(native_project: Project, names: list[str]) -> None:
    assert native_project.run("redo-whichdo", *names).returncode == 2


def test_targets_lists_what_redo_makes(built: Project) -> None:
    assert sorted(lines(built, "redo-targets")) == ["all", "sub/x", "use"]
    assert sorted(lines(built, "redo-targets", cwd=built.path / "sub")) == ["../all", "../use", "x"]


def test_sources_lists_what_targets_are_made_from(built: Project) -> None:
    assert sorted(lines(built, "redo-sources")) == ["all.do", "sub/x.do", "sub/y", "use.do"]
    assert sorted(lines(built, "redo-sources", cwd=built.path / "sub")) == ["../all.do", "../use.do", "x.do", "y"]


def test_ood_lists_what_is_out_of_date_and_builds_nothing(built: Project) -> None:
    assert lines(built, "redo-ood") == []
    built.write("sub/y", "other")
    for _ in range(2):
        assert sorted(lines(built, "redo-ood")) == ["all", "sub/x", "use"]
    assert built.read("sub/x") == "source"
    assert sorted(lines(built, "redo-ood", cwd=built.path / "sub")) == ["../all", "../use", "x"]
    built.redo("all")
    assert lines(built, "redo-ood") == []


def test_ood_tells_of_what_redo_ifcreate_and_redo_always_make_out_of_date(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifcreate y")
    native_project.write("a.do", "redo-always")
    native_project.redo("x", "a")
    assert lines(native_project, "redo-ood") == ["a"]
    native_project.write("y", "")
    assert lines(native_project, "redo-ood") == ["a", "x"]


def test_ood_takes_what_depends_on_a_stamped_target_for_out_of_date(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y")
    native_project.write("y.do", "redo-ifchange z; redo-stamp <z")
    native_project.write("z", "one")
    native_project.redo("x")
    native_project.write("z", "two")
    assert "y" in lines(native_project, "redo-ood")


def test_an_edited_target_is_listed_as_a_source(built: Project) -> None:
    built.write("sub/x", "edited")
    built.redo("all")
    assert "sub/x" in lines(built, "redo-sources")
    assert "sub/x" not in lines(built, "redo-targets")


def test_names_that_are_not_utf8_are_printed_as_they_are(native_project: Project) -> None:
    native_project.write("default.do", "echo made")
    native_project.run("redo", b"caf\xe9", check=True)
    assert native_project.run("redo-targets", check=True).stdout == b"caf\xe9\n"


def test_the_lists_are_empty_where_nothing_was_built(native_project: Project) -> None:
    for name in ("redo-targets", "redo-sources", "redo-ood"):
        assert lines(native_project, name) == []
    assert lines(native_project, "redo-dot")[-1] == "}"
    assert list(native_project.path.iterdir()) == []


@pytest.fixture
def tree(project: Project) -> Project:
    """all needs hello and doc, hello needs main.o, main.o needs main.c and defs.h; doc needs text."""
    project.write("all.do", "redo-ifchange hello doc")
    project.write("hello.do", "redo-ifchange main.o; cat main.o")
    project.write("default.o.do", "redo-ifchange $2.c defs.h; redo-ifcreate config.h; cat $2.c defs.h")
    project.write("doc.do", "redo-ifchange text; cat text")
    for name in ("main.c", "defs.h", "text"):
        project.write(name, name)
    project.redo("all")
    return project


def test_with_names_the_lists_tell_of_those_and_what_they_depend_on(tree: Project) -> None:
    assert lines(tree, "redo-targets", "hello") == ["hello", "main.o"]
    assert lines(tree, "redo-sources", "hello") == ["hello.do"]
    assert lines(tree, "redo-targets", "text") == []
    assert lines(tree, "redo-sources", "text", "main.o") == ["default.o.do", "defs.h", "main.c", "text"]


def test_recursive_lists_go_all_the_way_down(tree: Project) -> None:
    assert lines(tree, "redo-targets", "-r", "all") == ["all", "doc", "hello", "main.o"]
    assert lines(tree, "redo-sources", "-r", "hello") == ["default.o.do", "defs.h", "hello.do", "main.c"]


def test_ood_with_a_name_judges_that_and_what_it_depends_on(tree: Project) -> None:
    assert lines(tree, "redo-ood", "-r", "all") == []
    tree.write("main.c", "edited")
    assert lines(tree, "redo-ood", "doc") == []
    assert lines(tree, "redo-ood", "all") == ["all", "hello"]
    assert lines(tree, "redo-ood", "-r", "all") == ["all", "hello", "main.o"]
    assert lines(tree, "redo-ood", "text") == []


def test_ood_tells_of_a_name_that_was_never_built(tree: Project) -> None:
    tree.write("fail.do", "exit 1")
    tree.run("redo", "fail")
    assert lines(tree, "redo-ood", "other.o", "fail") == ["fail", "other.o"]
    assert lines(tree, "redo-ood") == ["fail"]


@pytest.mark.parametrize("name", ["redo-targets", "redo-sources", "redo-ood", "redo-why", "redo-dot"])
def test_a_name_of_which_nothing_is_known_is_an_error(native_project: Project, name: str) -> None:
    result = native_project.run(name, "nothing/here")
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"nothing is known of nothing/here" in result.stderr
    assert list(native_project.path.iterdir()) == []


@pytest.mark.parametrize("name", ["redo-targets", "redo-sources", "redo-ood", "redo-affected", "redo-why", "redo-dot"])
def test_directories_are_names_like_any_other(tree: Project, name: str) -> None:
    for directory in ("/", "/usr", "..", ".", "none/../.."):
        result = tree.run(name, directory)
        assert result.returncode == 0, result.stderr
    assert (
        tree.run("redo-why", "/usr").stdout
        == b"%s is a source\n" % os.path.relpath("/usr", tree.path.resolve()).encode()
    )


@pytest.mark.parametrize("name", ["redo-targets", "redo-sources", "redo-ood"])
def test_the_lists_can_end_names_with_a_zero_byte(tree: Project, name: str) -> None:
    tree.write("text", "edited")
    listed = lines(tree, name)
    assert tree.run(name, "-0", check=True).stdout == "".join(line + "\0" for line in listed).encode()


def test_affected_lists_the_targets_that_depend_on_a_file_nearest_first(tree: Project) -> None:
    assert lines(tree, "redo-affected", "main.c") == ["main.o", "hello", "all"]
    assert lines(tree, "redo-affected", "main.o", "text") == ["doc", "hello", "all"]
    assert lines(tree, "redo-affected", "doc.do") == ["doc", "all"]
    assert lines(tree, "redo-affected", "all", "unknown") == []
    tree.write("sub/x", "")
    assert lines(tree, "redo-affected", "../text", cwd=tree.path / "sub") == ["../doc", "../all"]
    assert tree.run("redo-affected", "-0", "text", check=True).stdout == b"doc\0all\0"
    assert tree.run("redo-affected").returncode == 2


def test_affected_tells_of_files_whose_coming_makes_targets_out_of_date(tree: Project) -> None:
    assert lines(tree, "redo-affected", "config.h") == ["main.o", "hello", "all"]
    assert lines(tree, "redo-affected", "main.o.do") == ["main.o", "hello", "all"]
    assert lines(tree, "redo-affected", "../default.o.do", "default.hello.do") == []


def why(project: Project, *names: str) -> list[str]:
    return [line.strip() for line in lines(project, "redo-why", *names)]


def test_why_goes_down_to_the_file_and_the_field_of_its_stamp(tree: Project) -> None:
    tree.write("main.c", "longer than before")
    told = why(tree, "all")
    assert told[:3] == [
        "all is out of date: hello is out of date",
        "hello is out of date: main.o is out of date",
        told[2],
    ]
    assert told[2] in ("main.o is out of date: main.c changed (mtime)", "main.o is out of date: main.c changed (size)")


def test_why_tells_of_the_last_build_also_after_the_server_has_gone(tree: Project) -> None:
    assert why(tree, "main.o") == ["main.o is up to date", "reason of its last build: it was never built"]
    tree.write("config.h", "")
    assert why(tree, "main.o")[0] == "main.o is out of date: config.h now exists"
    tree.write("default.o.do", "redo-ifchange $2.c; cat $2.c")
    tree.redo("all")
    tree.run("redod", "stop", check=True)
    assert "reason of its last build: default.o.do changed (" in why(tree, "main.o")[1]
    assert why(tree, "all")[1] == "reason of its last build: hello is out of date"


def test_why_names_the_script_that_comes_before_the_old_one(tree: Project) -> None:
    tree.write("main.o.do", "echo new")
    assert why(tree, "main.o")[0] == "main.o is out of date: main.o.do now comes before its script"


def test_why_tells_who_wanted_a_missing_source(tree: Project) -> None:
    (tree.path / "defs.h").unlink()
    assert why(tree, "hello")[:3] == [
        "hello is out of date: main.o is out of date",
        "main.o is out of date: defs.h does not exist any more",
        "defs.h is wanted by main.o",
    ]
    assert why(tree, "defs.h") == ["defs.h does not exist, and there is no script for it", "defs.h is wanted by main.o"]
    assert tree.run("redo-ifchange", "hello").returncode == 1
    told = why(tree, "main.o")
    assert told[0] == "main.o is out of date: its last build failed"
    assert "it had asked for defs.h, which did not exist" in told


def test_why_tells_what_failed_further_down(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y")
    native_project.write("y.do", "exit 3")
    native_project.run("redo", "x")
    assert why(native_project, "x") == [
        "x is out of date: its last build failed", "reason of its last build: redo was asked to run it",
        "its last build failed with status 1", "it had asked for y, whose last build failed with status 3",
    ]  # fmt: skip


def test_why_says_where_it_depends_on_a_checksum(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y")
    native_project.write("y.do", "redo-ifchange z; redo-stamp <z")
    native_project.write("z", "one")
    native_project.redo("x")
    native_project.write("z", "two longer")
    told = why(native_project, "x")
    assert told[0] == "x is out of date if these, which have checksums, turn out to have changed:"
    assert told[1].startswith("y is out of date: z changed (")


def test_why_knows_sources_and_edited_targets(tree: Project) -> None:
    assert why(tree, "text") == ["text is a source", "text is wanted by doc"]
    tree.write("doc", "edited")
    assert why(tree, "doc") == ["doc is a target that was edited by hand", "doc is wanted by all"]
    tree.redo("all")
    assert why(tree, "all")[1].startswith("reason of its last build: doc changed (")


def test_why_builds_nothing(tree: Project) -> None:
    tree.write("text", "edited")
    for _ in range(2):
        assert why(tree, "doc")[0].startswith("doc is out of date: text changed (")
    assert tree.read("doc") == "text"


def dot(project: Project, *names: str) -> set[str]:
    return set(lines(project, "redo-dot", *names))


def test_dot_prints_the_graph_with_what_is_out_of_date_in_red(tree: Project) -> None:
    assert {'"hello"', '"main.c" [shape=ellipse]', '"hello" -> "main.o"'} <= dot(tree)
    assert '"main.o" -> "config.h" [style=dotted]' in dot(tree)
    assert not any("red" in line for line in dot(tree) if line.startswith('"'))
    tree.write("main.c", "edited")
    assert {line for line in dot(tree) if line.endswith("[color=red]")} == {
        f'"{name}" [color=red]' for name in ("all", "hello", "main.o")
    }  # fmt: skip


def test_dot_with_names_shows_what_is_below_them(tree: Project) -> None:
    shown = dot(tree, "doc")
    assert '"doc" -> "text"' in shown
    assert not any("hello" in line for line in shown)


ODD = [b'quo"te', b"back\\slash", b"caf\xe9", b"caf\\xe9", b"\xc3\xa9 t\xc3\xa9", b"tab\t", b"end\\"]


def test_dot_quotes_names_so_that_each_stays_another(native_project: Project) -> None:
    native_project.write("default.do", "echo made")
    native_project.run("redo", *ODD, check=True)
    made = native_project.run("redo-dot", check=True).stdout
    nodes = {line for line in made.decode().splitlines() if line.startswith('"') and "->" not in line}
    assert nodes == {
        r'"quo\"te"', r'"back\\\\slash"', r'"caf\\xe9"', r'"caf\\\\xe9"', '"é té"', r'"tab\\t"', r'"end\\\\"',
        '"default.do" [shape=ellipse]',
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_what_dot_prints(native_project: Project) -> None:
    native_project.write("default.do", "echo made")
    native_project.run("redo", *ODD, check=True)
    made = native_project.run("redo-dot", check=True).stdout
    drawn = subprocess.run(["dot", "-Tplain"], input=made, capture_output=True, check=True)
    assert drawn.stderr == b""
    assert drawn.stdout.count(b"\nnode ") == len(ODD) + 1


def test_the_log_of_a_target_is_what_its_script_printed(project: Project) -> None:
    project.write("x.do", "echo first >&2; redo-ifchange y; echo last >&2")
    project.write("y.do", "echo inner >&2")
    project.redo("x")
    assert [line.strip() for line in lines(project, "redo-log", "x")] == ["redo  x", "first", "last"]
    assert [line.strip() for line in lines(project, "redo-log", "-r", "x")] == [
        "redo  x", "first", "redo    y", "inner", "last",
    ]  # fmt: skip


def test_the_recursive_log_shows_what_was_up_to_date_when_asked(native_project: Project) -> None:
    native_project.write("x.do", "redo-ifchange y; echo outer >&2")
    native_project.write("y.do", "echo inner >&2")
    native_project.redo("x")
    native_project.run("redo", "x", check=True)
    assert "inner" not in lines(native_project, "redo-log", "-r", "x")
    assert "inner" in lines(native_project, "redo-log", "-r", "-u", "x")


def test_the_log_of_a_name_that_was_never_built_is_an_error(native_project: Project) -> None:
    native_project.write("x.do", "echo made")
    assert native_project.run("redo-log", "x").returncode == 1
