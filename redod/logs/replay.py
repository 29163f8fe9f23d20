"""Replay: shows stored logs again, in the order in which the live build showed them.

It owns the walk over what was recorded. It does not know where logs are stored: a callback finds them.
"""

from collections.abc import Callable, Iterable, Iterator

from redod.logs.records import Child, Done, Entry, Message, Note, Started, Text, Unchanged
from redod.logs.transcript import Style, Transcript

Lookup = Callable[[bytes], Iterable[Entry] | None]
"""A target's canonical path to the entries of its stored log (`records.decode`); None when there is none."""

_PIECE = 64 << 10
_UNKNOWN = Started(0.0, 0)


def replay(
    targets: Iterable[bytes], lookup: Lookup, style: Style, recursive: bool = False, unchanged: bool = False
) -> Iterator[bytes]:
    """What the targets' scripts printed, in pieces of some 64 KiB; each target once, however often it was asked for.

    `recursive`: also what they asked for, where they did. `unchanged`: and those that were up to date at the time.
    """
    transcript = Transcript(style)
    seen: set[bytes] = set()
    for target in targets:
        for _ in _walk(target, lookup, transcript, seen, (Child, Unchanged) if unchanged else Child, recursive):
            if transcript.size >= _PIECE:
                yield transcript.take(transcript.size)
    if transcript.size:
        yield transcript.take(transcript.size)


def _walk(
    target: bytes,
    lookup: Lookup,
    transcript: Transcript,
    seen: set[bytes],
    shown: type[Child] | tuple[type[Child], type[Unchanged]],
    recursive: bool,
) -> Iterator[None]:
    """Write one target and all below it, pausing after each entry. A stack of its own: chains may be very long."""
    stack: list[tuple[bytes, Started, Iterator[Entry]]] = []

    def enter(path: bytes) -> None:
        if path not in seen:
            seen.add(path)
            entries = list(lookup(path) or ())
            start = next((entry for entry in entries if isinstance(entry, Started)), _UNKNOWN)
            transcript.started(path, len(stack), start)
            stack.append((path, start, iter(entries)))

    enter(target)
    while stack:
        path, start, entries = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
        elif isinstance(entry, Child | Unchanged):
            if recursive and isinstance(entry, shown):
                enter(entry.path)
        elif isinstance(entry, Done):
            transcript.ended(path, len(stack) - 1, start, entry)
        else:
            _show(transcript, path, entry)
        yield


def _show(transcript: Transcript, path: bytes, entry: Started | Text | Message | Note) -> None:
    match entry:
        case Text(data):
            transcript.text(path, data)
        case Message(text):
            transcript.message(text)
        case Note(text):
            transcript.note(text)
        case Started():
            pass
