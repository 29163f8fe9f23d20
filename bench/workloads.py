"""The workloads: the same work written down for redo, make and ninja. It generates files; it runs and times nothing.

flat-N    N targets, each a copy of its own source, by one default.o.do; `all` asks for all of them in one call
chain-N   N targets, each a copy of the one before, the first of a source
many-N    one script with N calls of redo-ifchange, on one source each (redo only)
cproj     200 C files, 100 headers, 20 includes in each file, `cc -O0` with a depfile, one link
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

Files = Iterator[tuple[str, str]]
"""Names in the workload's one directory, and their texts."""


class Flavour(Enum):
    """Whose language a workload is written in."""

    REDO = "redo"
    MAKE = "make"
    NINJA = "ninja"


@dataclass(frozen=True, slots=True)
class Workload:
    """Work to build: target `all`, from sources common to all flavours.

    `edited` is the source that an incremental build is timed after, `edit` what that case is called.
    """

    name: str
    sources: Callable[[], Files]
    rules: dict[Flavour, Callable[[], Files]]
    edited: str
    edit: str

    def write(self, directory: Path, flavour: Flavour) -> None:
        """Make `directory` and write the workload into it. Raises KeyError when the flavour can't express it."""
        directory.mkdir(parents=True)
        for files in (self.sources, self.rules[flavour]):
            for name, text in files():
                (directory / name).write_text(text)

    def change(self, directory: Path, serial: int) -> None:
        """Edit the source `edited`; each serial gives another content, which is legal C too."""
        with open(directory / self.edited, "a") as file:
            file.write(f"/* edit {serial} */\n")


def workload(name: str) -> Workload:
    """The workload of this name. Raises ValueError for a name that is none."""
    kind, _, number = name.partition("-")
    if name == "cproj":
        return cproj()
    if kind in SIZED and number.isdecimal() and int(number) > 0:
        return SIZED[kind](int(number))
    raise ValueError(f"{name}: no such workload; there are flat-N, chain-N, many-N and cproj")


def flat(count: int) -> Workload:
    names = [f"f{i}" for i in range(count)]
    objects = " ".join(f"{name}.o" for name in names)

    def sources() -> Files:
        return ((f"{name}.c", f"source {name}\n") for name in names)

    def redo() -> Files:
        yield "all.do", f"redo-ifchange {objects}\n"
        yield "default.o.do", "redo-ifchange $2.c\ncp $2.c $3\n"

    def make() -> Files:
        # An explicit sh, because make starts a simple command without one, and the others do not.
        yield "Makefile", f"MAKEFLAGS += -r\nall: {objects}\n{objects}: %.o: %.c\n\t@sh -c 'cp $< $@'\n"

    def ninja() -> Files:
        yield "build.ninja", _ninja("cp $in $out", [(f"{name}.o", f"{name}.c") for name in names], objects)

    return Workload(f"flat-{count}", sources, _rules(redo, make, ninja), "f0.c", "one source changed")


def chain(count: int) -> Workload:
    links = [(f"c{i}.x", f"c{i - 1}.x") for i in range(1, count + 1)]
    last = f"c{count}.x"

    def sources() -> Files:
        yield "c0.x", "the leaf\n"

    def redo() -> Files:
        yield "all.do", f"redo-ifchange {last}\n"
        yield "default.x.do", "before=c$((${2#c} - 1)).x\nredo-ifchange $before\ncp $before $3\n"

    def make() -> Files:
        rules = "".join(f"{target}: {source}\n\t@sh -c 'cp $< $@'\n" for target, source in links)
        yield "Makefile", f"MAKEFLAGS += -r\nall: {last}\n{rules}"

    def ninja() -> Files:
        yield "build.ninja", _ninja("cp $in $out", links, last)

    return Workload(f"chain-{count}", sources, _rules(redo, make, ninja), "c0.x", "leaf changed")


def many(count: int) -> Workload:
    def sources() -> Files:
        return ((f"s{i}", f"source {i}\n") for i in range(count))

    def redo() -> Files:
        yield "all.do", loop(count, "redo-ifchange s$i")

    return Workload(f"many-{count}", sources, {Flavour.REDO: redo}, "s0", "one source changed")


def loop(count: int, command: str) -> str:
    """A script that runs the command `count` times, with the variable i from 0 on."""
    return f"i=0\nwhile [ $i -lt {count} ]; do\n    {command}\n    i=$((i + 1))\ndone\n"


def cproj(files: int = 200, headers: int = 100, includes: int = 20) -> Workload:
    """A C project in which each header is included by the same share of the files: includes / headers."""
    objects = " ".join(["main.o", *(f"part{i}.o" for i in range(files))])
    step = headers // includes

    def sources() -> Files:
        for h in range(headers):
            yield f"head{h}.h", f"#ifndef HEAD{h}\n#define HEAD{h}\nenum {{ value{h} = {h} }};\n#endif\n"
        for i in range(files):
            yield f"part{i}.c", _c_file(i, [(i + step * k) % headers for k in range(includes)])
        declared = "".join(f"int part{i}(void);\n" for i in range(files))
        total = " + ".join(f"part{i}()" for i in range(files))
        yield "main.c", f"{declared}int main(void) {{ return ({total}) == 0; }}\n"

    def redo() -> Files:
        yield "all.do", "redo-ifchange prog\n"
        yield "prog.do", f"objects='{objects}'\nredo-ifchange $objects\ncc -o $3 $objects\n"
        compile_ = "redo-ifchange $2.c\ncc -O0 -c -MD -MF $3.d -o $3 $2.c\n"
        yield "default.o.do", compile_ + "read depends <$3.d\nredo-ifchange ${depends#*:}\n"

    def make() -> Files:
        rules = "%.o: %.c\n\t@sh -c 'cc -O0 -c -MD -MF $*.d -o $@ $<'\n"
        link = "prog: $(objects)\n\t@sh -c 'cc -o $@ $(objects)'\n"
        yield "Makefile", f"MAKEFLAGS += -r\nobjects = {objects}\nall: prog\n{link}{rules}-include $(objects:.o=.d)\n"

    def ninja() -> Files:
        parts = [(name, name.replace(".o", ".c")) for name in objects.split()]
        depfile = "  depfile = $out.d\n  deps = gcc\n"
        link = f"rule link\n  command = cc -o $out $in\nbuild prog: link {objects}\n"
        yield "build.ninja", _ninja("cc -O0 -c -MD -MF $out.d -o $out $in", parts, "prog", depfile) + link

    return Workload("cproj", sources, _rules(redo, make, ninja), "head0.h", "one header edited")


SIZED: dict[str, Callable[[int], Workload]] = {"flat": flat, "chain": chain, "many": many}


def _c_file(number: int, included: list[int]) -> str:
    lines = "".join(f'#include "head{h}.h"\n' for h in included)
    total = " + ".join(f"value{h}" for h in included)
    return f"{lines}int part{number}(void) {{ return {total}; }}\n"


def _rules(
    redo: Callable[[], Files], make: Callable[[], Files], ninja: Callable[[], Files]
) -> dict[Flavour, Callable[[], Files]]:
    return {Flavour.REDO: redo, Flavour.MAKE: make, Flavour.NINJA: ninja}


def _ninja(command: str, pairs: list[tuple[str, str]], wanted: str, more: str = "") -> str:
    builds = "".join(f"build {target}: step {source}\n" for target, source in pairs)
    return f"rule step\n  command = {command}\n{more}{builds}build all: phony {wanted}\n"
