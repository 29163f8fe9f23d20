"""contrib/editors: saving in a real editor builds what depends on the file, and the editor finds the errors."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.project import CHECKOUT, CLIENTS, PATIENCE, Project, make_install

EDITORS = CHECKOUT / "contrib/editors"
ERROR = "{name}.c:2:3: error: something is wrong"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program}")


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    bindir = make_install(tmp_path_factory.mktemp("install"), CLIENTS[0])
    made = Project(tmp_path / "project", bindir, tmp_path / "runtime")
    yield made
    made.close()


@pytest.fixture
def tree(project: Project) -> Project:
    """A target of one source, whose script reports an error as compilers do when the source holds the word."""
    project.write("all.do", "redo-ifchange sub/a.o\n")
    project.write(
        "default.o.do",
        "redo-ifchange $2.c\n"
        f'if grep -q wrong $2.c; then echo "{ERROR.format(name="$2")}" >&2; exit 1; fi\n'
        "cp $2.c $3\n",
    )
    project.write("sub/a.c", "right\n")
    project.redo("all")
    return project


def edit(tree: Project, *command: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[bytes]":
    """Run an editor to its end, with redo on its PATH."""
    environment = {**tree.environment, "PATH": f"{tree.bindir}:{tree.environment['PATH']}", "TERM": "dumb"}
    return subprocess.run(
        command, cwd=cwd or tree.path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE
    )


VIM = """\
set nocompatible
source {plugin}
let g:ended = []
autocmd User RedodDone call add(g:ended, g:redod_status)
function! Wait(count)
    while len(g:ended) < a:count
        sleep 10m
    endwhile
endfunction
edit project/sub/a.c
call setline(1, 'this is wrong')
write
call Wait(1)
let found = filter(getqflist(), 'v:val.valid')
let first = found[0]
let seen = [g:ended[0], len(found), bufname(first.bufnr), first.lnum, first.col, first.text]
call writefile(seen, 'project/seen')
call setline(1, 'mended')
write
call Wait(2)
call writefile([g:ended[1], len(filter(getqflist(), 'v:val.valid'))], 'project/seen-2')
let g:redod_on_save = 0
call setline(1, 'not built')
write
call setline(1, 'wrong again')
write
Redo
call Wait(3)
call writefile([g:ended[2], len(g:ended)], 'project/seen-3')
qall!
"""


@needs("vim")
def test_vim_builds_at_a_save_and_fills_the_quickfix_list(tree: Project, tmp_path: Path) -> None:
    script = tmp_path / "test.vim"
    script.write_text(VIM.format(plugin=EDITORS / "vim/plugin/redod.vim"))
    result = edit(tree, "vim", "-es", "-N", "-u", "NONE", "-i", "NONE", "-S", str(script), cwd=tree.path.parent)
    assert result.returncode == 0, (result.stdout, result.stderr)
    status, count, name, line, column, text = tree.read("seen").splitlines()
    assert (status, count, line, column) == ("1", "1", "2", "3")
    assert (tree.path.parent / name).samefile(tree.path / "sub/a.c")
    assert "something is wrong" in text
    assert tree.read("seen-2").split() == ["0", "0"]
    assert tree.read("seen-3").split() == ["1", "3"]
    assert tree.read("sub/a.o") == "mended\n"


EMACS = """\
(load "{plugin}")
(setq redod-show-on-failure nil)
(defvar ended nil)
(defvar top default-directory)
(add-hook 'compilation-finish-functions (lambda (_ message) (push message ended)))
(defun wait-for (count)
  (while (< (length ended) count) (accept-process-output nil 0.01)))
(find-file "sub/a.c")
(redod-mode)
(erase-buffer)
(insert "this is wrong\\n\\n")
(save-buffer)
(wait-for 1)
(next-error)
(with-temp-file (expand-file-name "seen" top)
  (insert (format "%s\\n%s\\n" (car ended)
    (with-current-buffer "a.c" (list (buffer-file-name) (line-number-at-pos) (current-column))))))
(with-current-buffer "a.c" (erase-buffer) (insert "mended\\n") (save-buffer))
(wait-for 2)
(with-temp-file (expand-file-name "seen-2" top) (insert (car ended)))
"""


@needs("emacs")
def test_emacs_builds_at_a_save_and_next_error_goes_to_the_line(tree: Project, tmp_path: Path) -> None:
    script = tmp_path / "test.el"
    script.write_text(EMACS.format(plugin=EDITORS / "emacs/redod.el"))
    result = edit(tree, "emacs", "--batch", "-Q", "-l", str(script))
    assert result.returncode == 0, (result.stdout, result.stderr)
    message, _, place = tree.read("seen").partition("\n\n")
    assert message.startswith("exited abnormally with code 1")
    assert place.strip().startswith(f"({tree.path / 'sub/a.c'} 2 ")
    assert tree.read("seen-2").startswith("finished")
    assert tree.read("sub/a.o") == "mended\n"


def test_the_problem_matcher_of_vs_code_understands_what_compilers_print() -> None:
    tasks = json.loads((EDITORS / "vscode/tasks.json").read_text())["tasks"]
    build = next(task for task in tasks if "redo-affected" in task["command"])
    assert build["args"] == ["--build", "--quiet", "--", "${file}"]
    pattern = build["problemMatcher"]["pattern"]
    for line, parts in (
        ("src/a.c:12:3: error: something is wrong", ("src/a.c", "12", "3", "error", "something is wrong")),
        ("a b.c:12: note: here", ("a b.c", "12", None, "note", "here")),
        ("a.c:1:10: fatal error: x.h: No such file", ("a.c", "1", "10", "fatal error", "x.h: No such file")),
        ("a.py:7: wrong: 3", ("a.py", "7", None, None, "wrong: 3")),
        ("In file included from a.c:1:", None),
        ("                 from a.c:2:", None),
        ("12:30:45 begins", None),
    ):
        found = re.match(pattern["regexp"], line)
        fields = ("file", "line", "column", "severity", "message")
        assert (found and tuple(found[pattern[field]] for field in fields)) == parts
    keys = json.loads((EDITORS / "vscode/keybindings.json").read_text())
    assert keys[0]["args"]["commands"][1]["args"] == build["label"]


def git(tree: Project, *command: str) -> bytes:
    """Run git; what it and its hooks print to standard error."""
    names = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")
    result = edit(tree, "git", *names, *command)
    assert result.returncode == 0, result.stderr
    return result.stderr


@pytest.fixture
def hooked(tree: Project) -> Project:
    """With our hooks, a branch `other` with another source, and `main`, which is checked out."""
    (tree.path / ".gitignore").write_text("*.o\n.redo\n/runtime\n")
    git(tree, "init", "-q")
    for hook in ("post-checkout", "post-merge"):
        shutil.copy(EDITORS / "git/post-checkout", tree.path / ".git/hooks" / hook)
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "one")
    git(tree, "checkout", "-qb", "other")
    tree.write("sub/a.c", "other\n")
    git(tree, "commit", "-qam", "two")
    git(tree, "checkout", "-q", "main")
    return tree


@needs("git")
@pytest.mark.parametrize("how", [(), ("--squash",)])
def test_the_git_hooks_build_what_a_checkout_and_a_merge_have_changed(hooked: Project, how: tuple[str, ...]) -> None:
    assert hooked.read("sub/a.o") == "right\n"
    git(hooked, "merge", "-q", *how, "other")
    assert hooked.read("sub/a.o") == "other\n"


@needs("git")
def test_a_checkout_that_renames_a_file_builds_what_depended_on_it(hooked: Project) -> None:
    git(hooked, "checkout", "-qb", "renamed")
    git(hooked, "mv", "sub/a.c", "sub/b.c")
    git(hooked, "commit", "-qm", "three")
    git(hooked, "checkout", "-q", "main")
    assert b"no rule to make sub/a.c" in git(hooked, "checkout", "-q", "renamed")


@needs("git")
def test_a_checkout_that_changes_no_file_builds_nothing_and_says_nothing(hooked: Project) -> None:
    git(hooked, "checkout", "-qb", "empty")
    git(hooked, "commit", "-qm", "three", "--allow-empty")
    assert git(hooked, "checkout", "-q", "main") == b""
