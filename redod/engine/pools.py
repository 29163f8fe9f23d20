"""The pools of tokens that sessions draw on: a workspace's own, where its `redod.toml` says how many jobs, the shared
one, or what a make around the session has.

It owns which pool is whose, and sees to it that each has its jobserver. Giving out tokens is the core's.
"""

from redod.core.model import World
from redod.core.tokens import Pool
from redod.engine.client import Setting
from redod.engine.stores import Stores
from redod.jobserver.jobservers import Jobservers
from redod.jobserver.pipe import Pipe


class Pools:
    """What it uses is the engine's."""

    def __init__(self, world: World, stores: Stores, jobservers: Jobservers) -> None:
        self._world = world
        self._stores = stores
        self._jobservers = jobservers
        self._by_root: dict[bytes, Pool] = {}
        """Of the workspaces whose `redod.toml` says how many jobs."""
        jobservers.keep(world.shared)

    def of(self, target: bytes, setting: Setting) -> Pool:
        """What a session without -j draws on whose first target this is: its workspace's pool, else the shared one.

        Raises ConfigError.
        """
        root = self._stores.root(target, setting)
        jobs = self._stores.configs.read(root).jobs
        if jobs is None:
            return self._world.shared
        pool = self._by_root.get(root)
        if pool is None or pool.size != jobs:
            if pool is not None:
                self._give_up(pool)
            pool = self._by_root[root] = Pool(jobs)
            self._jobservers.keep(pool)
        return pool

    def borrow(self, jobserver: Pipe, jobs: int) -> Pool:
        """A pool for one session: what the make around it has, which runs `jobs` at a time."""
        pool = Pool(jobs, borrowed=True)
        self._jobservers.lend(pool, jobserver)
        return pool

    def _give_up(self, pool: Pool) -> None:
        """Sessions that run go on with it."""
        self._jobservers.let_go(pool)
        if pool not in self._world.pools:
            self._jobservers.rest(pool)
