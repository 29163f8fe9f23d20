"""Suspects: what may have changed since it was looked at, so that a check costs what changed and not what exists.

A file is *watched* while the shell would have told us of a change to it. A target has *doubts*: the files it was made
from that are not known to be as it recorded them; None where nothing is known and a check has to look at all of them. A
target that is watched and has no doubts is up to date, and so is all below it: nobody has to look. Suspicion spreads
upwards through `dependents`, which is derived: a target with doubts (be they none) stands with each of its
dependencies. Nothing here looks at the disk, and a suspicion decides nothing: the next check does.
"""

from collections.abc import Collection, Iterable

from redod.core.dofiles import candidates
from redod.core.graph import NO_DOUBTS, Dep, DepKind, Graph, Kind, Node
from redod.core.paths import directory_of, is_below, name_of
from redod.core.stamps import Stamp

_SCRIPT = b".do"


def is_watchable(stamp: Stamp) -> bool:
    """Whether all that can happen to a file is heard of in its directory.

    Not what is written through another link to it, nor what happens to the file that a symbolic link leads to.
    """
    return stamp.nlink <= 1 and stamp.referent is None


def is_sound(dep: Dep) -> bool:
    """Whether this dependency, of a target, is known to be as the target recorded it."""
    node = dep.node
    if not node.watched or node.stamp is None:
        return False
    if dep.kind is DepKind.IFCREATE:
        return not node.stamp.exists
    if dep.late or node.version != dep.version:
        return False
    if node.kind is Kind.TARGET:
        return node.doubts is NO_DOUBTS
    return not must_be_made(node) and not is_untargeted_directory(node)


def must_be_made(node: Node) -> bool:
    """Whether a dependency that never became a target is one that a build would try to make (again)."""
    if node.kind is Kind.TARGET:
        return False
    if node.stamp is None or not node.stamp.exists:
        return True
    # The script of a directory that was there before has failed.
    return node.stamp.is_directory and bool(node.status)


def is_untargeted_directory(node: Node) -> bool:
    """Whether it counts as a source until a dofile comes for it, which is to be looked for: nothing need tell of it."""
    return node.stamp is not None and node.stamp.is_directory and node.kind is not Kind.TARGET


def watch(graph: Graph, node: Node) -> None:
    """From the look on that the node's stamp comes from, the shell tells what happens to it."""
    node.watched = True
    if not node.listed:
        node.listed = True
        graph.watched.setdefault(directory_of(node.path), []).append(node)


def suspect(node: Node) -> None:
    """The file may have changed."""
    node.watched = False
    doubt(node)


def doubt(node: Node) -> None:
    """Whatever is made from this file, directly or not, is not known to be up to date any more."""
    todo = [node]
    while todo:
        here = todo.pop()
        for dependent in dependents_of(here):
            if isinstance(dependent.doubts, set):
                # Its own dependents doubt it already.
                dependent.doubts.add(here)
            else:
                dependent.doubts = {here}
                todo.append(dependent)


def trust(node: Node) -> None:
    """All that the target was made from has been judged, and a script that comes before its own would be heard of:
    from now on only what is in doubt has to be looked at.
    """
    if node.doubts is None:
        for dep in node.deps:
            _add_dependent(dep.node, node)
    node.doubts = {dep.node for dep in node.deps if not is_sound(dep)} or NO_DOUBTS


def resolve(node: Node, judged: Collection[Dep]) -> None:
    """These dependencies, which were in doubt, have been judged."""
    if node.doubts is None:
        return
    left = set(node.doubts)
    left.difference_update([dep.node for dep in judged])
    left.update([dep.node for dep in judged if not is_sound(dep)])
    node.doubts = left or NO_DOUBTS


def distrust(node: Node) -> None:
    """Nothing is known of the target: the next check looks at all that it was made from. Before `deps` change."""
    if node.doubts is not None:
        node.doubts = None
        for dep in node.deps:
            _remove_dependent(dep.node, node)
        doubt(node)


def replace_deps(node: Node, deps: tuple[Dep, ...], *, trusted: bool) -> None:
    """The target was built from these."""
    if node.doubts is not None and trusted and [dep.node for dep in node.deps] == [dep.node for dep in deps]:
        node.deps = deps
    else:
        distrust(node)
        node.deps = deps
    if trusted:
        trust(node)


def heard(graph: Graph, paths: Iterable[bytes]) -> None:
    """Something has happened, or may have, to what these paths name."""
    for path in paths:
        node = graph.find(path)
        if node is not None and node.watched:
            suspect(node)
        # Who passes over a name has seen that it is no script; so nobody does who could have seen one there.
        is_script = node is not None and node.kind is not Kind.TARGET and node.stamp and node.stamp.leads_to_file
        if path.endswith(_SCRIPT) and not is_script:
            _script_came(graph, path)


def lose(graph: Graph, directories: Iterable[bytes]) -> None:
    """What has happened in these directories since it was last heard of is not known."""
    graph.arrivals += 1
    for directory in directories:
        for node in graph.watched.pop(directory, ()):
            node.listed = False
            distrust(node)
            suspect(node)


def dependents_of(node: Node) -> Collection[Node]:
    """The targets that are to doubt when this file changes."""
    found = node.dependents
    if found is None:
        return ()
    return (found,) if isinstance(found, Node) else found


def _script_came(graph: Graph, path: bytes) -> None:
    """A name that targets may have passed over in their search may be a script now."""
    graph.arrivals += 1
    target = graph.find(path.removesuffix(_SCRIPT))
    if target is not None:
        distrust(target)
    name = name_of(path)
    if not name.startswith(b"default."):
        return
    directory, extension = directory_of(path), name[len(b"default") : -len(_SCRIPT)]
    # Rare, so no index: it would take more memory than all the rest of what is watched.
    for node in graph:
        if node.doubts is not None and node.path.endswith(extension) and is_below(node.path, directory):
            _distrust_if_passed_over(node, path)


def _distrust_if_passed_over(target: Node, name: bytes) -> None:
    for candidate in candidates(target.path):
        if target.dofile is not None and candidate.path == target.dofile.path:
            return
        if candidate.path == name:
            distrust(target)
            return


def _add_dependent(node: Node, dependent: Node) -> None:
    """Most files have one dependent: a set for each would be half of the memory of a large graph."""
    found = node.dependents
    if found is None:
        node.dependents = dependent
    elif not isinstance(found, Node):
        found.add(dependent)
    elif found is not dependent:
        node.dependents = {found, dependent}


def _remove_dependent(node: Node, dependent: Node) -> None:
    found = node.dependents
    if found is dependent:
        node.dependents = None
    elif isinstance(found, set):
        found.discard(dependent)
