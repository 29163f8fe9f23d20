"""What an observation means for a file: the only place where a node's kind, stamp and version follow the disk."""

from redod.core.graph import Graph, Kind, Node
from redod.core.paths import directory_of
from redod.core.stamps import MISSING, Moment, Stamp, difference, is_hand_edit, settled, source_difference
from redod.core.suspects import distrust, doubt, is_watchable, suspect, watch


def settle(graph: Graph, node: Node, found: Stamp, moment: Moment) -> bool:
    """Bring a node up to what the disk says; whether its record as a target changed and must be stored."""
    version = node.version
    node.observed = moment.epoch
    is_recorded = (_settle_target if node.kind is Kind.TARGET else _settle_other)(graph, node, found, moment)
    if node.version != version:
        doubt(node)
    if node.observed and moment.watched and is_watchable(found) and directory_of(node.path) in moment.watched:
        watch(graph, node)
    elif node.watched:
        suspect(node)
    return is_recorded


def _settle_other(graph: Graph, node: Node, found: Stamp, moment: Moment) -> bool:
    if node.stamp is None:
        node.version = graph.fresh_version()
    elif differs := source_difference(node.stamp, found):
        node.version = graph.fresh_version()
        graph.changes[node] = differs
    was_edited = node.kind is Kind.OVERRIDDEN
    node.stamp = settled(found, moment.now_ns)
    if not found.exists:
        node.kind = Kind.UNKNOWN
        return was_edited
    if not was_edited and not found.is_directory:
        # A directory stays undecided: it is a source only where no dofile matches.
        node.kind = Kind.SOURCE
    return False


def _settle_target(graph: Graph, node: Node, found: Stamp, _: Moment) -> bool:
    recorded = node.stamp
    if recorded is None or not (differs := difference(recorded, found)):
        return False
    distrust(node)
    if differs == "missing":
        # Forgotten as a file of ours: recreated by hand, it will be a source.
        node.stamp, node.status = MISSING, None
        return True
    if found.is_directory or (recorded.exists and not is_hand_edit(recorded, found)):
        # Out of date, and the record stays as it is: let the next check see the difference again.
        node.observed = 0
        return False
    node.kind = Kind.OVERRIDDEN if recorded.exists else Kind.SOURCE
    node.stamp, node.version = found, graph.fresh_version()
    graph.changes[node] = differs
    return True
