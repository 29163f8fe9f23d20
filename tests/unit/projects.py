"""Small projects for the tests of the core: scripts and sources in `/p`, names without it."""

from redod.core.graph import DepKind
from tests.model.filesystem import Files
from tests.model.simulation import Client, Simulation


class Project:
    """`scripts` by target name, in the language of `tests.model.language`; every other name given is a source."""

    def __init__(self, scripts: dict[str, str], *sources: str, seed: int = 0, jobs: int = 2) -> None:
        self.files = Files()
        for name, script in scripts.items():
            self.write(name + ".do", script)
        for name in sources:
            self.write(name, name)
        self.simulation = Simulation(self.files, seed=seed, jobs=jobs)

    def write(self, name: str, content: str) -> None:
        self.files.write(path(name), content.encode())

    def read(self, name: str) -> str:
        return self.files.contents[path(name)].decode()

    def build(
        self, names: str, *, force: bool = False, jobs: int | None = 1, keep_going: bool = False
    ) -> tuple[int, str]:
        """One session to its end: its status, and the names whose scripts ran, in order."""
        targets = [path(name) for name in names.split()]
        status, ran = self.simulation.build(*targets, force=force, jobs=jobs, keep_going=keep_going)
        return status, " ".join(name_of(target) for target in ran)

    def start(
        self, names: str, *, force: bool = False, jobs: int | None = None, lent: int | None = None,
        keep_going: bool = False, background: bool = False, load_limit: float = 0,
    ) -> Client:  # fmt: skip
        targets = [path(name) for name in names.split()]
        return self.simulation.start(
            targets, force=force, jobs=jobs, lent=lent, keep_going=keep_going, background=background,
            load_limit=load_limit,
        )  # fmt: skip

    def until_runs(self, name: str) -> None:
        """Go on until this target's script has been started once more."""
        before = self.runs_of(name)
        while self.runs_of(name) == before:
            assert self.simulation.advance(), f"{name} never ran"

    def runs_of(self, name: str) -> int:
        return sum(ran.target == path(name) for ran in self.simulation.ran)

    @property
    def ran(self) -> str:
        return " ".join(name_of(ran.target) for ran in self.simulation.ran)

    def deps(self, name: str) -> list[str]:
        """What a target recorded, its dofile first; names of ifcreate dependencies with a `-` before them."""
        node = self.simulation.graph.find(path(name))
        assert node is not None
        return [("-" if dep.kind is DepKind.IFCREATE else "") + name_of(dep.node.path) for dep in node.deps]


def path(name: str) -> bytes:
    return b"/p/" + name.encode()


def name_of(target: bytes) -> str:
    return target.removeprefix(b"/p/").decode()
