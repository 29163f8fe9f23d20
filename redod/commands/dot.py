"""`redo-dot`: the graph for Graphviz."""

from collections.abc import Iterator, Mapping

from redod.commands.answer import send
from redod.commands.context import Attendant, Context, Errand
from redod.commands.query import under
from redod.core.graph import DepKind, Kind, Node
from redod.core.paths import relative, show
from redod.core.verdicts import Clean, Source, Undecided, Verdict

_HEAD = b"""\
digraph redo {
rankdir=LR
node [shape=box]
"""


def redo_dot(context: Context) -> Attendant | None:
    """Print the graph below the targets."""
    _, names = context.options()
    return Errand(context, _answer, context, context.paths(names))


async def _answer(context: Context, paths: list[bytes]) -> None:
    nodes = await under(context, paths, recursive=True)
    verdicts = await context.engine.judging.judge([node for node in nodes if node.kind is Kind.TARGET])
    await send(context, _lines(nodes, verdicts, context.invocation.cwd))


def _lines(nodes: list[Node], verdicts: Mapping[Node, Verdict], cwd: bytes) -> Iterator[bytes]:
    yield _HEAD
    for node in nodes:
        name = quoted(relative(node.path, cwd))
        yield name + _look(node, verdicts.get(node)) + b"\n"
        for dep in node.deps:
            absent = b" [style=dotted]" if dep.kind is DepKind.IFCREATE else b""
            yield b"%s -> %s%s\n" % (name, quoted(relative(dep.node.path, cwd)), absent)
    yield b"}\n"


def _look(node: Node, verdict: Verdict | None) -> bytes:
    """Sources are ellipses; out of date is red, and perhaps so is orange."""
    if isinstance(verdict, Undecided):
        return b" [color=orange]"
    if verdict is not None and not isinstance(verdict, Clean | Source):
        return b" [color=red]"
    return b"" if node.kind is Kind.TARGET else b" [shape=ellipse]"


def quoted(name: bytes) -> bytes:
    """A name as DOT's quoted string, in UTF-8: bytes that cannot be shown as `\\xe9` and the like, a backslash doubled.

    Each backslash of that is doubled once more, since labels have escapes of their own.
    """
    text = show(name.replace(b"\\", b"\\\\"))
    return b'"%s"' % text.replace("\\", "\\\\").replace('"', '\\"').encode()
