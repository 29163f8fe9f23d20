"""A job's resource limits are its client's."""

import resource

from redod.jobs.limits import Limits, changes
from tests.unit.shop import Run, Shop


def wanted(**changed: tuple[int, int]) -> Limits:
    limits = [resource.getrlimit(number) for number in range(16)]
    for name, pair in changed.items():
        limits[getattr(resource, "RLIMIT_" + name)] = pair
    return tuple((soft % 2**64, hard % 2**64) for soft, hard in limits)


def test_a_job_has_its_clients_number_of_descriptors(run: Run) -> None:
    async def test(shop: Shop) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        await shop.run(b"ulimit -Sn; ulimit -Hn", limits=wanted(NOFILE=(777, before[1])))
        assert shop.written.split()[0] == b"777"
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == before

    run(test)


def test_a_low_limit_does_not_hinder_the_server(run: Run) -> None:
    async def test(shop: Shop) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        await shop.run(b"ulimit -Sn", limits=wanted(NOFILE=(20, hard)))
        assert shop.written == b"20\n"

    run(test)


def test_other_limits_and_lower_hard_ones_are_imposed_exactly(run: Run) -> None:
    async def test(shop: Shop) -> None:
        limits = wanted(FSIZE=(1234567, 7654321), CORE=(0, 0), NOFILE=(99, 100))
        recorder = await shop.run(b'cat /proc/self/limits; echo "$redod_gate"; ls -l /proc/self/fd/0', limits=limits)
        lines = {line[:26].strip(): line[26:].split() for line in shop.written.splitlines()}
        assert lines[b"Max file size"][:2] == [b"1234567", b"7654321"]
        assert lines[b"Max core file size"][:2] == [b"0", b"0"]
        assert lines[b"Max open files"][:2] == [b"99", b"100"]
        assert b"-> /dev/null" in shop.written
        assert "exited 0" in recorder.facts

    run(test)


def test_hard_limits_above_the_servers_are_not_asked_for() -> None:
    own = ((10, 20), (10, -1))
    assert changes(((30, 40), (10, 2**64 - 1)), own) == ((0, 20, 20),)
    assert changes(((10, -1), (2**64 - 1, 2**64 - 1)), own) == ((1, -1, -1),)
    assert changes(own, own) == ()
