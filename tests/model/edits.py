"""Random edits of every kind on a real tree of sources, and what a build has to make of them.

Each source `src/D/E/F` has a target `out/D%E%F.out`, a copy of it; `all` is all of these. The file `opt/a/conf` may be
absent, and so may the directories above it; `link` is a symbolic link to a directory, `file` one to a file.
"""

import mmap
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

SIZE = 3
"""Directories in a directory, and files in each of the lower ones."""
COPY = b"""\
IFS=%; set -- $2; IFS=/; name="../src/$*"
if [ -e "$name" ]; then redo-ifchange "$name"; cat "$name"; else redo-ifcreate "$name"; echo absent; fi
"""
OWN = b"redo-ifchange default.out.do\nset -- $1 ${1%.out}\n. ./default.out.do | sed 's/^/own /'\n"
OTHERS = {
    "conf.out.do": b"set -- $1 conf\n. ./absent.sh",
    "link.out.do": b"redo-ifchange ../link/0; cat ../link/0\n",
    "file.out.do": b"redo-ifchange ../file; cat ../file\n",
}


class Tree:
    """The sources below `top`; `aside` is on the same file system, and nobody looks there."""

    def __init__(self, top: Path, aside: Path, seed: int) -> None:
        self.top = top
        self.aside = aside
        self.random = random.Random(seed)
        self._written = 0
        aside.mkdir()
        numbers = range(SIZE)
        self.names = [f"{a}/{b}/{c}" for a in numbers for b in numbers for c in numbers]
        for name in self.names:
            self._make(top / "src" / name)
        self._make(aside / "0")
        (top / "out").mkdir()
        (top / "out/default.out.do").write_bytes(COPY)
        (top / "out/absent.sh").write_bytes(COPY.replace(b"src/", b"opt/a/"))
        for name, script in OTHERS.items():
            (top / "out" / name).write_bytes(script)
        (top / "link").symlink_to("src/0/0")
        (top / "file").symlink_to("src/1/1/1")
        targets = [name.replace("/", "%") for name in self.names] + ["conf", "link", "file"]
        outs = " ".join(f"'out/{name}.out'" for name in targets)
        (top / "all.do").write_text(f"redo-ifchange {outs}\ncat {outs}\n")

    def expected(self) -> bytes:
        """What `all` has to be."""
        parts = [self._copy(name) for name in self.names]
        conf = self.top / "opt/a/conf"
        parts.append(conf.read_bytes() if conf.exists() else b"absent\n")
        return b"".join([*parts, (self.top / "link/0").read_bytes(), (self.top / "file").read_bytes()])

    def edit(self) -> str:
        """Something that a person or a program does; its name."""
        edit: Callable[[], None] = self.random.choice([
            self._in_place, self._in_place, self._restored, self._renamed_over, self._renamed_over_and_restored,
            self._recreated, self._chmodded, self._touched, self._mapped, self._removed, self._directories_swapped,
            self._directory_remade, self._away_and_back, self._moved_in, self._linked, self._through_link,
            self._retargeted, self._conf, self._script, self._target_removed, self._nothing,
        ])  # fmt: skip
        edit()
        return edit.__name__

    def burst(self, count: int) -> None:
        """So many events: two names in turn, since equal events that follow each other are one. Then an edit."""
        for number in range(count):
            (self.top / "src/0/0" / str(number % 2)).write_bytes(b"burst\n")
        self._in_place()

    def _text(self) -> bytes:
        self._written += 1
        # Of one size, mostly.
        return b"%06d\n" % self._written + b"more\n" * (self.random.random() < 0.2)

    def _make(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._text())

    def _copy(self, name: str) -> bytes:
        path, out = self.top / "src" / name, name.replace("/", "%")
        text = path.read_bytes() if path.exists() else b"absent\n"
        if (self.top / f"out/{out}.out.do").exists():
            text = b"".join(b"own " + line for line in text.splitlines(keepends=True))
        return text

    def _source(self) -> Path:
        """One that exists, or does now: what `link` leads to must."""
        path = self.top / "src" / self.random.choice(self.names)
        if not path.exists():
            self._make(path)
        return path

    def _directory(self, deep: bool) -> Path:
        numbers = [str(self.random.randrange(SIZE)) for _ in range(2 if deep else 1)]
        return self.top.joinpath("src", *numbers)

    def _in_place(self) -> None:
        self._source().write_bytes(self._text())

    def _restored(self) -> None:
        """`touch -r`: the time of the last change is as before. Of a file with several links that is not seen."""
        path = self._source()
        if path.stat().st_nlink > 1:
            path.unlink()
            self._make(path)
        before = path.stat()
        path.write_bytes(self._text())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _renamed_over(self) -> None:
        self._make(self.aside / "new")
        (self.aside / "new").rename(self._source())

    def _renamed_over_and_restored(self) -> None:
        path = self._source()
        before = path.stat()
        self._make(path.with_name(".swp"))
        os.utime(path.with_name(".swp"), ns=(before.st_atime_ns, before.st_mtime_ns))
        path.with_name(".swp").rename(path)

    def _recreated(self) -> None:
        path = self._source()
        path.unlink()
        path.write_bytes(self._text())

    def _chmodded(self) -> None:
        path = self._source()
        path.chmod(path.stat().st_mode ^ 0o100)

    def _touched(self) -> None:
        os.utime(self._source())

    def _mapped(self) -> None:
        with self._source().open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
            mapping[:3] = b"map"

    def _removed(self) -> None:
        path = self._source()
        if path.parent != (self.top / "link").resolve() and path != (self.top / "file").resolve():
            path.unlink()

    def _directories_swapped(self) -> None:
        deep = self.random.random() < 0.5
        one, other = self._directory(deep), self._directory(deep)
        if one != other:
            one.rename(self.aside / "swapped")
            other.rename(one)
            (self.aside / "swapped").rename(other)
            self._mend()

    def _directory_remade(self) -> None:
        directory = self._directory(deep=True)
        shutil.rmtree(directory)
        for number in range(SIZE):
            self._make(directory / str(number))

    def _away_and_back(self) -> None:
        directory = self._directory(self.random.random() < 0.5)
        directory.rename(self.aside / "away")
        path = next(path for path in sorted((self.aside / "away").rglob("*")) if path.is_file())
        path.write_bytes(self._text())
        (self.aside / "away").rename(directory)

    def _moved_in(self) -> None:
        directory = self._directory(deep=False)
        for name in self.names[: SIZE * SIZE]:
            self._make(self.aside / "in" / name.partition("/")[2])
        shutil.rmtree(directory)
        (self.aside / "in").rename(directory)

    def _linked(self) -> None:
        """The source is a name of a file that has others."""
        path = self._source()
        os.link(self.aside / "0", self.aside / "new")
        (self.aside / "new").rename(path)
        (self.aside / "new").unlink(missing_ok=True)

    def _through_link(self) -> None:
        (self.aside / "0").write_bytes(self._text())

    def _retargeted(self) -> None:
        if self.random.random() < 0.5:
            link, to = self.top / "link", self._directory(deep=True)
        else:
            link, to = self.top / "file", self._source()
        link.unlink()
        link.symlink_to(to.relative_to(self.top))
        self._mend()

    def _mend(self) -> None:
        for path in ((self.top / "link").resolve() / "0", (self.top / "file").resolve()):
            if not path.exists():
                self._make(path)

    def _conf(self) -> None:
        match self.random.choice(["write", "remove", "move in"]):
            case "write":
                self._make(self.top / "opt/a/conf")
            case "remove":
                shutil.rmtree(self.top / "opt", ignore_errors=True)
            case _:
                shutil.rmtree(self.top / "opt", ignore_errors=True)
                self._make(self.aside / "opt/a/conf")
                (self.aside / "opt").rename(self.top / "opt")

    def _script(self) -> None:
        """A script that comes before the one for all."""
        script = self.top / "out" / (self.random.choice(self.names).replace("/", "%") + ".out.do")
        if script.exists():
            script.unlink()
        else:
            script.write_bytes(OWN)

    def _target_removed(self) -> None:
        (self.top / "out" / (self.random.choice(self.names).replace("/", "%") + ".out")).unlink(missing_ok=True)

    def _nothing(self) -> None:
        pass
