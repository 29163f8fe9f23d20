"""Three projects in the style of real ones, examples/{library,notes,pipeline}: a build runs exactly what it must."""

import subprocess
from pathlib import Path

import pytest

from tests.behaviour.project import Project
from tests.client.conftest import COMPILER
from tests.contrib.examples import copy

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


def ran(project: Project, *targets: str, **environment: str) -> set[str]:
    """Build what is out of date, with success; each script ran once."""
    result = project.run("redo-ifchange", *(targets or ("all",)), env=environment, check=True)
    jobs = project.jobs(result)
    assert len(jobs) == len(set(jobs))
    return set(jobs)


def edit(project: Project, name: str, old: str, new: str) -> None:
    text = project.read(name)
    assert old in text
    project.write(name, text.replace(old, new))


# ---- library: a tree for sources, one for outputs, flags from the environment, a configured header, a shared library

OBJECTS = {"out/vec.o", "out/bits.o", "out/demo.o"}
LINKED = {"out/libvec.a", "out/libvec.so.1", "out/libvec.so", "out/demo", "check", "all"}
ALWAYS = {"out/flags"}


@pytest.fixture
def library(project: Project) -> Project:
    """The example, built."""
    copy("library", project.path)
    assert ran(project) == OBJECTS | LINKED | ALWAYS | {"out/config.h"}
    return project


@needs_compiler
def test_the_library_is_built_and_runs(library: Project) -> None:
    said = subprocess.run([library.path / "out/demo"], capture_output=True, text=True, check=True).stdout
    assert said == library.read("expected")
    assert (library.path / "out/libvec.so").readlink() == Path("libvec.so.1")
    assert "#define HAVE_POPCOUNT 1" in library.read("out/config.h")
    assert "/* no WINDOWS_H */" in library.read("out/config.h")


@needs_compiler
def test_the_library_asks_only_for_its_flags_when_nothing_has_changed(library: Project) -> None:
    assert ran(library) == ALWAYS
    assert ran(library) == ALWAYS


@needs_compiler
def test_an_edited_source_of_the_library_is_compiled_and_linked(library: Project) -> None:
    edit(library, "src/vec.c", "v.x * v.x", "(v.x * v.x)")
    assert ran(library) == ALWAYS | {"out/vec.o"} | LINKED
    edit(library, "src/demo.c", "return 0", "return (0)")
    assert ran(library) == ALWAYS | {"out/demo.o", "out/demo", "check", "all"}


@needs_compiler
def test_an_edited_header_of_the_library_compiles_what_includes_it(library: Project) -> None:
    edit(library, "src/vec.h", "double x, y;", "double x, y; /* metres */")
    assert ran(library) == ALWAYS | OBJECTS | LINKED


@needs_compiler
def test_other_flags_compile_everything_and_the_same_again_nothing(library: Project) -> None:
    flags = {"CFLAGS": "-O0"}
    assert ran(library, **flags) == ALWAYS | {"out/config.h"} | OBJECTS | LINKED
    assert ran(library, **flags) == ALWAYS


@needs_compiler
def test_an_edited_rule_runs_for_all_that_it_makes(library: Project) -> None:
    edit(library, "rules/archive", "ar rcD", "ar rcsD")
    assert ran(library) == ALWAYS | {"out/libvec.a", "all"}
    edit(library, "rules/config.h", "int n", "int  n")
    assert ran(library) == ALWAYS | {"out/config.h"}, "the same header is no change"


# ---- notes: scripts in Python and awk without an execute bit, in parent directories; lists of files; an own script

PAGES = {"notes/2025/first", "notes/2025/two words", "notes/about"}
LISTS = {"sources"}


def pages(*stems: str) -> set[str]:
    return {f"{stem}.html" for stem in stems}


@pytest.fixture
def notes(project: Project) -> Project:
    """The example, built."""
    copy("notes", project.path)
    made = {f"{stem}.{kind}" for stem in PAGES for kind in ("html", "words")}
    assert ran(project) == made | LISTS | {"all", "pages", "index.html"}
    return project


def test_the_pages_are_made_from_the_notes(notes: Project) -> None:
    page = notes.read("notes/2025/first.html")
    assert "<h1>A first note</h1>" in page
    assert "<p>And two paragraphs &amp; a half.</p>\n<footer>13 words</footer>" in page
    assert '<a href="notes/2025/two words.html">Names with spaces</a>' in notes.read("index.html")
    assert not any(path.stat().st_mode & 0o111 for path in notes.path.glob("*.do"))


def test_only_the_list_of_notes_is_made_again_when_nothing_has_changed(notes: Project) -> None:
    assert ran(notes) == LISTS
    assert ran(notes) == LISTS


def test_an_edited_note_makes_its_page_and_the_index(notes: Project) -> None:
    edit(notes, "notes/about.txt", "Nothing much", "Something")
    about = {"notes/about.words", "notes/about.html"}
    assert ran(notes) == LISTS | about | {"pages", "index.html", "all"}


def test_a_note_that_comes_or_goes_makes_no_other_page(notes: Project) -> None:
    notes.write("notes/new.txt", "New\n\nText.\n")
    top = {"pages", "index.html", "all"}
    assert ran(notes) == LISTS | top | {"notes/new.words", "notes/new.html"}
    assert "notes/new.html" in notes.read("index.html")
    (notes.path / "notes/new.txt").unlink()
    assert ran(notes) == LISTS | top
    assert "notes/new.html" not in notes.read("index.html")


def test_another_layout_makes_all_pages_and_counts_no_words(notes: Project) -> None:
    edit(notes, "page.template", "<footer>", "<footer class=small>")
    assert ran(notes) == LISTS | pages(*PAGES) | {"pages", "index.html", "all"}


def test_a_script_of_its_own_is_used_while_it_is_there(notes: Project) -> None:
    page = "notes/2025/first.html"
    before = notes.read(page)
    own = notes.write(f"{page}.do", "echo by hand\n")
    assert ran(notes) == LISTS | {page, "pages", "all"}
    assert notes.read(page) == "by hand\n"
    own.unlink()
    assert ran(notes) == LISTS | {page, "pages", "all"}
    assert notes.read(page) == before


# ---- pipeline: directories as targets, a list of dependencies that is made, checksums that end what need not go on

STATIONS = {"airfield", "harbour", "north hill"}
RESULTS = {"report.txt", "charts", "all"}


def days(*names: str) -> set[str]:
    return {f"{name}.days" for name in names}


def means(*names: str) -> set[str]:
    return {f"{name}.mean" for name in names}


@pytest.fixture
def pipeline(project: Project) -> Project:
    """The example, built."""
    copy("pipeline", project.path)
    assert ran(project) == RESULTS | {"stations", "names"} | days(*STATIONS) | means(*STATIONS)
    return project


def test_the_pipeline_makes_directories_and_a_report(pipeline: Project) -> None:
    assert pipeline.read("report.txt") == "airfield        8.5\nharbour         5.0\nnorth hill      1.5\n"
    assert {path.name for path in (pipeline.path / "charts").iterdir()} == STATIONS
    assert pipeline.read("charts/north hill") == "2025-03-01 ##\n2025-03-02 #\n"


def test_the_pipeline_runs_nothing_when_nothing_has_changed(pipeline: Project) -> None:
    assert ran(pipeline) == set()


def test_one_changed_value_goes_on_for_its_station_only(pipeline: Project) -> None:
    edit(pipeline, "measurements.csv", "harbour,2025-03-02,6", "harbour,2025-03-02,8")
    assert ran(pipeline) == {"stations", "names"} | days(*STATIONS) | means("harbour") | RESULTS
    assert "harbour         6.0" in pipeline.read("report.txt")


def test_lines_in_another_order_change_nothing_further_on(pipeline: Project) -> None:
    lines = pipeline.read("measurements.csv").splitlines(keepends=True)
    pipeline.write("measurements.csv", "".join([lines[0], *reversed(lines[1:])]))
    assert ran(pipeline) == {"stations", "names"} | days(*STATIONS)


def test_a_station_that_comes_or_goes_is_followed(pipeline: Project) -> None:
    before = pipeline.read("measurements.csv")
    pipeline.write("measurements.csv", before + "lighthouse,2025-03-01,3\n")
    everything = {"stations", "names"} | days(*STATIONS) | RESULTS
    assert ran(pipeline) == everything | days("lighthouse") | means("lighthouse")
    assert (pipeline.path / "charts/lighthouse").exists()
    pipeline.write("measurements.csv", before)
    assert ran(pipeline) - days("lighthouse") == everything
    assert not (pipeline.path / "charts/lighthouse").exists()
    assert "lighthouse" not in pipeline.read("report.txt")


def test_a_removed_directory_is_made_again(pipeline: Project) -> None:
    for path in (pipeline.path / "charts").iterdir():
        path.unlink()
    (pipeline.path / "charts").rmdir()
    assert ran(pipeline) == {"charts", "all"}
