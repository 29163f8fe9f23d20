"""Path algebra on canonical absolute paths. Names are bytes; they become text only to be shown."""


def directory_of(path: bytes) -> bytes:
    """The directory part of an absolute path (`/` for `/x`)."""
    return path[: path.rfind(b"/")] or b"/"


def name_of(path: bytes) -> bytes:
    return path[path.rfind(b"/") + 1 :]


def join(directory: bytes, name: bytes) -> bytes:
    return directory + name if directory.endswith(b"/") else directory + b"/" + name


def is_below(path: bytes, directory: bytes) -> bool:
    """Whether `path` lies in `directory` or deeper (not: is the directory itself)."""
    return path.startswith(directory if directory.endswith(b"/") else directory + b"/") and path != directory


def relative(path: bytes, base: bytes) -> bytes:
    """`path` as seen from the directory `base`; both canonical and absolute."""
    if path.startswith(base) and path[len(base) : len(base) + 1] == b"/":
        return path[len(base) + 1 :]
    there, here = path.split(b"/")[1:], base.split(b"/")[1:]
    here = [part for part in here if part]
    there = [part for part in there if part]
    common = 0
    while common < min(len(there), len(here)) and there[common] == here[common]:
        common += 1
    return b"/".join([b".."] * (len(here) - common) + there[common:]) or b"."


def show(name: bytes) -> str:
    """A name as text for a message: undecodable bytes and control characters escaped."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
