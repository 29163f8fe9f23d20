"""The search rule for dofiles, as SEMANTICS has it."""

import pytest

from redod.core.dofiles import candidates, default_names


def test_the_names_are_tried_nearest_first_and_longest_extension_first() -> None:
    assert [candidate.path for candidate in candidates(b"/p/dir/foo.a.b")] == [
        b"/p/dir/foo.a.b.do", b"/p/dir/default.a.b.do", b"/p/dir/default.b.do", b"/p/dir/default.do",
        b"/p/default.a.b.do", b"/p/default.b.do", b"/p/default.do",
        b"/default.a.b.do", b"/default.b.do", b"/default.do",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "directory", "target", "stem"),
    [
        (b"/p/sub/foo.a.b.do", b"/p/sub", b"foo.a.b", b"foo.a.b"),
        (b"/p/sub/default.a.b.do", b"/p/sub", b"foo.a.b", b"foo"),
        (b"/p/sub/default.b.do", b"/p/sub", b"foo.a.b", b"foo.a"),
        (b"/p/default.a.b.do", b"/p", b"sub/foo.a.b", b"sub/foo"),
        (b"/default.do", b"/", b"p/sub/foo.a.b", b"p/sub/foo.a.b"),
    ],
)
def test_a_script_runs_in_its_directory_with_the_target_relative_to_it(
    path: bytes, directory: bytes, target: bytes, stem: bytes
) -> None:
    found = {candidate.path: candidate for candidate in candidates(b"/p/sub/foo.a.b")}[path]
    assert (found.directory, found.target, found.stem) == (directory, target, stem)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"plain", [b"default.do"]),
        (b".hidden", [b"default.hidden.do", b"default.do"]),
        (b"dot.", [b"default.do"]),
        (b"a b.\xff", [b"default.\xff.do", b"default.do"]),
    ],
)
def test_default_names_follow_the_dots(name: bytes, expected: list[bytes]) -> None:
    assert [default for default, _ in default_names(name)] == expected


def test_the_root_directory_is_searched_once() -> None:
    assert [candidate.path for candidate in candidates(b"/x")] == [b"/x.do", b"/default.do"]
