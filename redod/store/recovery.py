"""Files that the `made` journal tells of and the database does not: ours, but out of date.

It owns that decision. It knows neither file's format.
"""

from collections.abc import Callable, Iterable

from redod.core.graph import Graph, Kind, Node
from redod.core.stamps import Stamp
from redod.core.suspects import distrust, suspect
from redod.store.made import Entry, Print, print_of

Observe = Callable[[bytes], Stamp]
"""The stamp of a file as it is now; MISSING if there is none. May raise OSError."""


def recover(
    entries: Iterable[Entry], graph: Graph, workspace: int, path_of: Callable[[bytes], bytes], observe: Observe
) -> list[Node]:
    """Make a target, out of date, of each file that is as an entry says and not as the graph says.

    Such a file was renamed into place and the daemon died before it could record the result (or the record is lost).
    It is neither a hand edit nor to be believed. Returns the nodes changed.
    """
    lines: dict[bytes, set[Print]] = {}
    for file, name in entries:
        lines.setdefault(path_of(name), set()).add(file)
    recovered = []
    for path, files in lines.items():
        try:
            found = observe(path)
        except OSError:
            continue
        node = graph.node(path)
        if node.workspace in (0, workspace) and _is_unrecorded(found, files, node.stamp):
            distrust(node)
            suspect(node)
            node.kind = Kind.TARGET
            node.stamp = found
            node.status = None
            if not node.checksum:
                # With one, building it again tells whether it is another: then its dependents need not run.
                node.version = graph.fresh_version()
            node.workspace = workspace
            recovered.append(node)
    return recovered


def _is_unrecorded(found: Stamp, files: set[Print], recorded: Stamp | None) -> bool:
    if found.is_directory:
        # A directory's stamp tells nothing apart; built once too often is the safe side.
        return True
    if not found.exists or print_of(found) not in files:
        return False
    # Whatever was recorded of this very file, also that it is no target any more, was recorded after its line.
    return recorded is None or print_of(recorded) != print_of(found)
