"""Job processes, on both loops."""

import asyncio
import gc
import os
import signal
import weakref

from tests.unit.shop import SECONDS, Recorder, Run, Shop, one_turn

CLOSE_ALL = b"for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 )) && exec {f}>&-; done; "


def test_a_job_is_over_when_it_has_exited_and_its_pipe_is_closed(run: Run) -> None:
    async def test(shop: Shop) -> None:
        job, recorder = shop.start(b"echo out; echo err >&2; exit 3")
        await recorder.over()
        assert sorted(recorder.facts) == ["closed", "exited 3"]
        assert (recorder.output, shop.written) == (b"err\n", b"out\n")
        assert job.is_over
        assert job.status == 3

    run(test)


def test_death_by_a_signal_is_a_negative_status(run: Run) -> None:
    async def test(shop: Shop) -> None:
        assert "exited -9" in (await shop.run(b"kill -9 $$")).facts

    run(test)


def test_a_background_process_keeps_the_pipe_until_it_ends(run: Run) -> None:
    async def test(shop: Shop) -> None:
        job, recorder = shop.start(b"(read x <go; echo late >&2) & exit 5")
        await recorder.until(lambda: "exited 5" in recorder.story)
        assert not job.is_over
        assert not job.signal_group(0)
        shop.go()
        await recorder.over()
        assert recorder.facts == ["exited 5", "closed"]
        assert recorder.output == b"late\n"

    run(test)


def test_a_pipe_closed_before_the_exit_does_not_end_the_job(run: Run) -> None:
    async def test(shop: Shop) -> None:
        recorder = Recorder()
        job = shop.spawner.start(shop.order(b"bash", b"-c", CLOSE_ALL + b"read x <go; exit 4"), recorder)
        await recorder.until(lambda: "closed" in recorder.story)
        assert job.status is None
        shop.go()
        await recorder.over()
        assert recorder.facts == ["closed", "exited 4"]

    run(test)


def test_stderr_can_be_opened_by_name_and_does_not_lose_anything(run: Run) -> None:
    async def test(shop: Shop) -> None:
        assert (await shop.run(b"echo 1 >&2; echo 2 >/dev/stderr; echo 3 >&2")).output == b"1\n2\n3\n"

    run(test)


def test_draining_tells_at_once_what_has_been_printed(run: Run) -> None:
    async def test(shop: Shop) -> None:
        os.mkfifo(shop.directory / "ready")
        job, recorder = shop.start(b"echo hi >&2; echo >ready; read x <go")
        (shop.directory / "ready").read_bytes()
        assert recorder.output == b""
        job.drain_stderr()
        assert recorder.output == b"hi\n"
        shop.go()
        await recorder.over()

    run(test)


def test_a_megabyte_of_stderr_arrives_in_order_and_in_pieces(run: Run) -> None:
    async def test(shop: Shop) -> None:
        recorder = await shop.run(b"seq 1 150000 >&2")
        assert recorder.output == b"".join(b"%d\n" % number for number in range(1, 150001))

    run(test)


def test_a_detached_process_that_kept_stderr_can_write_to_it_and_keeps_nothing_else(run: Run) -> None:
    async def test(shop: Shop) -> None:
        before = len(os.listdir("/proc/self/fd"))
        os.mkfifo(shop.directory / "done")
        detached = CLOSE_ALL + b"read x <go; echo late >&2 && echo ok >done"
        recorder = Recorder()
        order = shop.order(b"bash", b"-c", b"(" + detached + b") & exec true")
        job = shop.spawner.start(order, recorder)
        await recorder.over()
        gone = weakref.ref(recorder)
        shop.go()
        output = await asyncio.to_thread((shop.directory / "done").read_bytes)
        assert (output, recorder.output) == (b"ok\n", b"")
        del recorder, order, job
        gc.collect()
        assert gone() is None
        async with asyncio.timeout(SECONDS):
            while len(os.listdir("/proc/self/fd")) > before:
                await one_turn()

    run(test)


def test_what_is_written_into_the_completion_pipe_is_dropped(run: Run) -> None:
    async def test(shop: Shop) -> None:
        script = b"for f in /proc/$$/fd/*; do n=${f##*/}; [ $n -ge 50 ] && [ -p $f ] && seq 1 50000 >$f; done; exit 6"
        assert sorted((await shop.run(script)).facts) == ["closed", "exited 6"]

    run(test)


def test_after_letting_go_nothing_is_told_and_the_script_is_reaped(run: Run) -> None:
    async def test(shop: Shop) -> None:
        before = len(os.listdir("/proc/self/fd"))
        job, recorder = shop.start(b"read x <go; echo x >&2")
        job.let_go()
        shop.go()
        async with asyncio.timeout(SECONDS):
            while job.status is None or len(os.listdir("/proc/self/fd")) > before:
                await one_turn()
        assert recorder.story == []

    run(test)


def test_the_group_can_be_signalled_until_the_script_is_reaped(run: Run) -> None:
    async def test(shop: Shop) -> None:
        job, recorder = shop.start(b"exec tail -f /dev/null")
        shop.spawner.settle()
        assert job.signal_group(signal.SIGTERM)
        await recorder.over()
        assert "exited -15" in recorder.facts
        assert not job.signal_group(signal.SIGTERM)

    run(test)
