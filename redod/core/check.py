"""The check: walks the recorded graph below one target and says whether it must be built.

The walk is iterative (a chain of 100,000 targets must not meet the recursion limit) and asks for what it needs to
see of the disk: `run` returns either a verdict or the paths to observe; the caller answers with `observed` and
runs it again. It stops at the first reason to build, because the script that runs then asks for everything else itself.
"""

from collections.abc import Sequence, Set

from redod.core.dofiles import candidates
from redod.core.graph import NO_DOUBTS, Dep, DepKind, Graph, Kind, Node
from redod.core.paths import directory_of, name_of
from redod.core.settle import settle
from redod.core.stamps import Moment, Stamp, difference
from redod.core.suspects import is_untargeted_directory, is_watchable, must_be_made, resolve, trust
from redod.core.verdicts import NEVER_BUILT, Clean, Dirty, Reason, Source, Undecided, Verdict, Why

_BATCH = 1000
"""Paths to observe at a time: looking at all dependencies of a very wide target would keep others waiting."""


class _Frame:
    """One target on the way down."""

    __slots__ = (
        "arrivals", "better", "deps", "first", "in_doubt", "index", "late_targets", "node", "passed_over", "recorded",
        "scripts", "unseen",
    )  # fmt: skip

    def __init__(self, node: Node, arrivals: int) -> None:
        self.node = node
        self.recorded = node.deps
        """As they were when it was begun with."""
        self.in_doubt = node.doubts is not None
        """It was trusted, so only some of its dependencies need be judged."""
        self.deps: Sequence[Dep] = node.deps
        """Those to judge."""
        if node.doubts is NO_DOUBTS:
            self.deps = ()
        elif node.doubts is not None:
            doubts = node.doubts
            self.deps = [dep for dep in node.deps if dep.node in doubts]
        self.arrivals = arrivals
        """The graph's, when it was begun with; -1: scripts that come before its own would not be told of."""
        self.index = -1
        """The dependency to judge next; -1: the target itself."""
        self.unseen: list[bytes] | None = None
        """What is still to be observed before it can be judged; None: not known yet."""
        self.passed_over: list[bytes] = []
        """Names that would come before the recorded dofile and are not known to be absent."""
        self.better: bytes = b""
        """A name that now comes before the recorded dofile."""
        self.scripts: dict[bytes, list[Node]] = {}
        """Names of dofiles that directories among the dependencies would be made by, if they existed."""
        self.late_targets: set[Node] = set()
        """Those of the directories for which one does by now."""
        self.first: list[Node] = []
        """Targets with checksums that must be built before this one can be judged."""


class Check:
    """Judges `root` for a session that began in `epoch`.

    `changed` collects targets whose record changed by what was seen (edited by hand, gone).
    """

    __slots__ = (
        "_absent", "_asked", "_differs", "_epoch", "_failed", "_graph", "_outdated", "_results", "_seen_absent",
        "_stack", "changed", "root",
    )  # fmt: skip

    def __init__(
        self,
        graph: Graph,
        root: Node,
        epoch: int,
        failed: Set[Node] = frozenset(),
        outdated: dict[Node, tuple[int, Reason]] | None = None,
    ) -> None:
        self.root = root
        self.changed: list[Node] = []
        self._graph = graph
        self._epoch = epoch
        self._failed = failed
        """Targets that failed in this session: they will not be built again in it."""
        self._outdated = {} if outdated is None else outdated
        """Targets that the session found out of date, each with its version then and the reason: without this memory a
        chain of N targets whose leaf changed would be walked N times."""
        self._stack = [_Frame(root, graph.arrivals)]
        self._results: dict[Node, Verdict | None] = {root: None}
        """None: on the way down, so meeting it again is a loop."""
        self._seen_absent: dict[bytes, int] = {}
        """`default*` names, which many targets pass over, and how many arrivals there had been before."""
        self._absent: set[bytes] = set()
        """Names of dofiles that would make a directory, which many targets may depend on, and that do not exist."""
        self._asked: list[bytes] = []
        self._differs: dict[Node, str] = {}
        """Targets that are not as they were built, with the field of the stamp that tells."""

    def run(self) -> Verdict | list[bytes]:
        """A verdict on the root, or the paths that must be observed before there can be one."""
        while self._stack:
            frame = self._stack[-1]
            if frame.node.deps is not frame.recorded:
                # Another session has built it meanwhile, from things that this check may not have looked at.
                frame = self._stack[-1] = _Frame(frame.node, self._graph.arrivals)
            if frame.unseen is None:
                frame.unseen = self._to_observe(frame)
            if frame.unseen:
                self._asked, frame.unseen = frame.unseen[:_BATCH], frame.unseen[_BATCH:]
                return self._asked
            verdict = self._judge(frame)
            if verdict is not None:
                self._results[frame.node] = verdict
                if isinstance(verdict, Clean):
                    frame.node.verified = max(frame.node.verified, self._epoch)
                    if frame.index >= 0:
                        self._keep(frame)
                elif isinstance(verdict, Dirty) and frame.node.kind is Kind.TARGET:
                    self._outdated[frame.node] = (frame.node.version, verdict.reason)
                self._stack.pop()
        result = self._results[self.root]
        assert result is not None
        return result

    def observed(self, stamps: list[Stamp], moment: Moment) -> None:
        """What the paths that `run` returned look like, in the same order."""
        frame = self._stack[-1]
        for path, stamp in zip(self._asked, stamps, strict=True):
            node = self._graph.find(path)
            if node is not None:
                self._settle(node, stamp, moment)
        if not frame.passed_over and not frame.scripts:
            return
        seen = dict(zip(self._asked, stamps, strict=True))
        for path, directories in frame.scripts.items():
            if path not in seen:
                continue
            if seen[path].leads_to_file:
                frame.late_targets.update(directories)
            else:
                self._absent.add(path)
        for path in frame.passed_over:
            if path not in seen:
                continue
            if seen[path].leads_to_file:
                frame.better = path
                return
            if not is_watchable(seen[path]) or directory_of(path) not in moment.watched:
                frame.arrivals = -1
            if name_of(path).startswith(b"default."):
                self._seen_absent[path] = frame.arrivals

    def _settle(self, node: Node, stamp: Stamp, moment: Moment) -> None:
        recorded = node.stamp
        if settle(self._graph, node, stamp, moment):
            self.changed.append(node)
        elif node.kind is Kind.TARGET and recorded is not None and (differs := difference(recorded, stamp)):
            self._differs[node] = differs

    def _to_observe(self, frame: _Frame) -> list[bytes]:
        node, epoch = frame.node, self._epoch
        wanted = [] if node.watched or node.observed >= epoch else [node.path]
        if node.kind is not Kind.TARGET or node.verified >= epoch or self._is_outdated(node):
            return wanted
        if not frame.in_doubt:
            frame.passed_over = self._passed_over(frame)
            wanted.extend(frame.passed_over)
        wanted.extend([
            dep.node.path for dep in frame.deps if not dep.node.watched and dep.node.observed < epoch
        ])  # fmt: skip
        for dep in frame.deps:
            if is_untargeted_directory(dep.node):
                for candidate in candidates(dep.node.path):
                    if candidate.path not in self._absent:
                        frame.scripts.setdefault(candidate.path, []).append(dep.node)
        wanted.extend(frame.scripts)
        return wanted

    def _keep(self, frame: _Frame) -> None:
        """What was found out holds until something else is heard."""
        node = frame.node
        if frame.in_doubt:
            resolve(node, frame.deps)
        elif node.watched and node.doubts is None and frame.arrivals == self._graph.arrivals:
            trust(node)

    def _passed_over(self, frame: _Frame) -> list[bytes]:
        node = frame.node
        if node.kind is not Kind.TARGET or node.dofile is None:
            return []
        names = []
        for candidate in candidates(node.path):
            if candidate.path == node.dofile.path:
                break
            arrivals = self._seen_absent.get(candidate.path)
            if arrivals is None:
                names.append(candidate.path)
            else:
                frame.arrivals = min(frame.arrivals, arrivals)
        return names

    def _judge(self, frame: _Frame) -> Verdict | None:
        """The verdict on a frame's target; None when another target must be judged first (it is on the stack now)."""
        if frame.index < 0:
            verdict = self._judge_itself(frame)
            if verdict is not None:
                return verdict
            frame.index = 0
        deps = frame.deps
        while frame.index < len(deps):
            dep = deps[frame.index]
            reason: Reason | None
            if dep.kind is DepKind.IFCREATE:
                reason = Reason(Why.CREATED, dep.node.path) if dep.node.stamp and dep.node.stamp.exists else None
            elif dep.late:
                reason = Reason(Why.LATE, dep.node.path)
            else:
                if self._descend(frame, dep.node):
                    return None
                reason = self._dependency(frame, dep.node, dep.version)
            if reason is not None:
                return Dirty(reason)
            frame.index += 1
        return Undecided(tuple(dict.fromkeys(frame.first))) if frame.first else Clean()

    def _judge_itself(self, frame: _Frame) -> Verdict | None:
        node = frame.node
        if node.kind is not Kind.TARGET:
            return self._judge_untargeted(node)
        if node.verified >= self._epoch:
            return Clean()
        assert node.stamp is not None
        if node.status is None:
            return Dirty(NEVER_BUILT if node.dofile is None or node.stamp.exists else Reason(Why.MISSING))
        if node.status != 0:
            return Dirty(Reason(Why.FAILED))
        if self._is_outdated(node):
            return Dirty(self._outdated[node][1])
        if node in self._differs:
            return Dirty(Reason(Why.STAMP, detail=self._differs[node]))
        if node.always:
            return Dirty(Reason(Why.ALWAYS))
        if node in self._graph.ended_services:
            return Dirty(Reason(Why.SERVICE_ENDED))
        if frame.better:
            return Dirty(Reason(Why.BETTER_DOFILE, frame.better))
        return None

    def _is_outdated(self, node: Node) -> bool:
        found = self._outdated.get(node)
        return found is not None and found[0] == node.version

    def _judge_untargeted(self, node: Node) -> Verdict:
        if node.stamp is not None and node.stamp.exists:
            return Source(edited=node.kind is Kind.OVERRIDDEN)
        return Dirty(NEVER_BUILT)

    def _descend(self, frame: _Frame, node: Node) -> bool:
        """Whether a dependency must be judged first; it is then on the stack."""
        if node.kind is not Kind.TARGET or node in self._results:
            return False
        if node.doubts is NO_DOUBTS and node.watched:
            node.verified = max(node.verified, self._epoch)
            self._results[node] = Clean()
            return False
        self._results[node] = None
        self._stack.append(_Frame(node, self._graph.arrivals))
        return True

    def _dependency(self, frame: _Frame, node: Node, version: int) -> Reason | None:
        """Why a judged dependency makes the frame's target out of date."""
        if node.kind is Kind.TARGET:
            verdict = self._results[node]
            if verdict is None:
                return Reason(Why.LOOP, node.path)
            if isinstance(verdict, Undecided):
                frame.first.extend(verdict.first)
                return None
            if isinstance(verdict, Dirty):
                if not node.checksum or node in self._failed:
                    return Reason(Why.DEPENDENCY, node.path)
                frame.first.append(node)
                return None
        exists = node.stamp is not None and node.stamp.exists
        if node.version == version:
            if not must_be_made(node) and node not in frame.late_targets:
                return None
            return Reason(Why.DEPENDENCY if exists else Why.ABSENT, node.path)
        if node.kind is Kind.TARGET:
            return Reason(Why.REBUILT, node.path)
        if not exists:
            return Reason(Why.DOFILE_GONE if node is frame.node.dofile else Why.GONE, node.path)
        return Reason(Why.CHANGED, node.path, self._graph.changes.get(node, ""))
