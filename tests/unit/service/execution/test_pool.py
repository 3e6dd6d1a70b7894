"""The worker pool: order, stops, errors, and no references left behind."""

import asyncio
import gc
import itertools
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.errors import Overloaded
from service.execution.cpu_budget import CpuBudget
from service.execution.pool import WorkerPool
from service.execution.work import StopReason, Work, WorkStopped, current_work, stage, work_context
from service.inference.engine import AllCores, Engine
from service.inference.package import load_package
from tests.support import waiting
from tests.support.images import speckle


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(CpuBudget(1, "test"))
    yield pool
    pool.close()


def test_work_is_done_in_order_in_a_worker(pool: WorkerPool) -> None:
    done: list[int] = []

    async def ask() -> list[None]:
        return await asyncio.gather(*(pool.run(done.append, number) for number in range(20)))

    asyncio.run(ask())
    assert done == list(range(20))
    assert asyncio.run(pool.run(threading.current_thread)).name.startswith("worker")


def test_a_job_wakes_no_thread_that_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    choose = WorkerPool._choose

    def counted(pool: WorkerPool) -> Any:
        next(looks)
        return choose(pool)

    monkeypatch.setattr(WorkerPool, "_choose", counted)
    pool = WorkerPool(CpuBudget(2, "test"))

    async def ask() -> None:
        for _ in range(20):
            await asyncio.gather(*(pool.run(int) for _ in range(5)))

    asyncio.run(ask())
    assert next(looks) <= 3 * 100 + 8  # at most the thread that ends a job, and one that a new job wakes
    pool.close()


def test_an_error_reaches_the_caller(pool: WorkerPool) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(pool.run(lambda: 1 / 0))
    assert asyncio.run(pool.run(lambda: 1)) == 1


class Upload:
    """An object whose deletion the test can observe."""


@pytest.mark.parametrize("fails", [False, True])
def test_the_pool_keeps_no_reference_to_an_upload(pool: WorkerPool, fails: bool) -> None:
    def work(_: Upload) -> None:
        if fails:
            raise ValueError

    async def ask() -> "weakref.ref[Upload]":
        upload = Upload()
        watched = weakref.ref(upload)
        with suppress(ValueError):
            await pool.run(work, upload)
        del upload
        await pool.run(int)  # the worker has turned to something else
        return watched

    gc.disable()
    try:
        assert asyncio.run(ask())() is None
    finally:
        gc.enable()


def test_a_stop_drops_waiting_jobs_and_stops_running_ones(pool: WorkerPool) -> None:
    entered, seen = threading.Event(), list[StopReason | None]()

    def work() -> None:
        entered.set()
        run = current_work()
        while run.stopped is None:
            threading.Event().wait(0.01)
        seen.append(run.stopped)

    async def ask() -> None:
        run = Work()
        with work_context(run):
            working = asyncio.ensure_future(pool.run(work))
            await asyncio.to_thread(entered.wait)
            waiting = asyncio.ensure_future(pool.run(seen.append, None))
            await asyncio.sleep(0)
            assert (pool.busy, pool.waiting) == (1, 1)
            run.stop(StopReason.DEADLINE)
            assert pool.waiting == 0
            for each in (working, waiting, asyncio.ensure_future(pool.run(seen.append, None))):
                with pytest.raises(WorkStopped, match="deadline"):
                    await each
        await pool.run(int)

    asyncio.run(ask())
    assert seen == [StopReason.DEADLINE]


def test_a_canceled_caller_leaves_no_job_in_the_queue(pool: WorkerPool) -> None:
    entered, release = threading.Event(), threading.Event()

    def work() -> bool:
        entered.set()
        return release.wait(30)

    async def ask() -> None:
        working = asyncio.ensure_future(pool.run(work))
        await asyncio.to_thread(entered.wait)
        waiting = asyncio.ensure_future(pool.run(int))
        await asyncio.sleep(0)
        assert pool.waiting == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert pool.waiting == 0
        release.set()
        assert await working

    asyncio.run(ask())


class Two:
    """A pool of two workers, whose jobs wait until the test lets them go on."""

    def __init__(self) -> None:
        self.pool, self.started, self.go = WorkerPool(CpuBudget(2, "test")), list[str](), threading.Event()

    def quick(self, name: str) -> None:
        self.started.append(name)

    def slow(self, name: str) -> None:
        self.started.append(name)
        with self.pool.step_aside():
            self.go.wait(30)

    def submit(self, work: Work, *jobs: partial[None]) -> list["asyncio.Future[None]"]:
        with work_context(work):
            return [asyncio.ensure_future(self.pool.run(job)) for job in jobs]


@pytest.fixture
def two() -> Iterator[Two]:
    two = Two()
    yield two
    two.go.set()
    two.pool.close()


until = partial(waiting.until, timeout_s=30)


def test_a_batch_of_slow_files_leaves_the_workers_to_others(two: Two) -> None:
    async def ask() -> None:
        batch = two.submit(Work(), *(partial(two.slow, f"slow {number}") for number in range(8)))
        await until(lambda: len(two.started) == 2)
        await two.submit(Work(), partial(two.quick, "other"))[0]
        await asyncio.sleep(0.05)
        assert two.started == ["slow 0", "slow 1", "other"]  # the batch starts no third file meanwhile
        two.go.set()
        await asyncio.gather(*batch)

    asyncio.run(ask())
    assert len(two.started) == 9


def test_two_batches_of_slow_files_leave_the_workers_to_others(two: Two) -> None:
    async def ask() -> None:
        jobs = [partial(two.slow, f"slow {number}") for number in range(8)]
        batches = [*two.submit(Work(), *jobs), *two.submit(Work(), *jobs)]
        await until(lambda: len(two.started) == 4)
        await two.submit(Work(), partial(two.quick, "other"))[0]
        two.go.set()
        await asyncio.gather(*batches)

    asyncio.run(ask())


def test_a_slow_file_too_many_is_refused_and_the_workers_stay_free(two: Two) -> None:
    async def ask() -> None:
        batches = [two.submit(Work(), *(partial(two.slow, "slow") for _ in range(2))) for _ in range(4)]
        jobs = [job for batch in batches for job in batch]
        await until(lambda: sum(job.done() for job in jobs) == 2)
        await two.submit(Work(), partial(two.quick, "other"))[0]
        two.go.set()
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(result) for result in results if result is not None] == [Overloaded] * 2

    asyncio.run(ask())


def test_a_job_steps_aside_by_its_work(two: Two) -> None:
    def slow() -> None:
        two.started.append("slow")
        with current_work().workers.step_aside():
            two.go.wait(30)

    async def ask() -> None:
        jobs = [job for _ in range(3) for job in two.submit(Work(), partial(slow), partial(slow))]
        await until(lambda: len(two.started) == 6 and two.pool.busy == 0)
        with pytest.raises(Overloaded):
            two.pool.check_room()
        two.go.set()
        await asyncio.gather(*jobs)
        two.pool.check_room()

    asyncio.run(ask())


def test_the_next_job_is_of_the_request_with_the_fewest_at_work(two: Two) -> None:
    first_goes = threading.Event()

    def wait(name: str) -> None:
        two.started.append(name)
        (first_goes if name == "a0" else two.go).wait(30)

    async def ask() -> None:
        first = two.submit(Work(), *(partial(wait, f"a{number}") for number in range(4)))
        await until(lambda: sorted(two.started) == ["a0", "a1"])
        second = two.submit(Work(), *(partial(wait, f"b{number}") for number in range(2)))
        await until(lambda: two.pool.waiting == 4)
        first_goes.set()
        await until(lambda: len(two.started) == 3)
        assert two.started[2] == "b0"
        two.go.set()
        await asyncio.gather(*first, *second)

    asyncio.run(ask())


def test_a_job_that_stepped_aside_gets_a_worker_back(two: Two) -> None:
    async def ask() -> None:
        slow = two.submit(Work(), partial(two.slow, "slow"))
        await until(lambda: two.pool.busy == 0 and bool(two.started))
        two.go.set()
        await slow[0]
        await until(lambda: two.pool.busy == 0)
        await asyncio.gather(*two.submit(Work(), *(partial(two.quick, f"{number}") for number in range(5))))
        await until(lambda: (two.pool.busy, two.pool.waiting) == (0, 0))

    asyncio.run(ask())


def test_close_finishes_the_submitted_jobs() -> None:
    pool, done = WorkerPool(CpuBudget(1, "test")), list[int]()

    async def ask() -> None:
        work = asyncio.gather(*(pool.run(done.append, number) for number in range(5)))
        await asyncio.sleep(0)
        await asyncio.to_thread(pool.close)
        await work
        with pytest.raises(RuntimeError, match="closed"):
            await pool.run(int)

    asyncio.run(ask())
    assert done == list(range(5))


def test_an_open_pool_does_not_keep_the_process_alive() -> None:
    program = """
import asyncio, threading
from service.execution.cpu_budget import CpuBudget
from service.execution.pool import WorkerPool
pool, entered = WorkerPool(CpuBudget(2, "test")), threading.Event()
async def ask():
    asyncio.ensure_future(pool.run(lambda: entered.set() or threading.Event().wait(3600)))
    await asyncio.to_thread(entered.wait)
asyncio.run(ask())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_stages_are_recorded_and_stopped_work_begins_none() -> None:
    with work_context(Work()) as run:
        with stage("decode"), stage("infer"):
            pass
        assert [name for name, _ in run.stages] == ["infer", "decode"]
        assert all(seconds >= 0 for _, seconds in run.stages)
        run.stop(StopReason.CLIENT_LEFT)
        with pytest.raises(WorkStopped), stage("encode"):
            raise AssertionError("begun")
    assert current_work() is not run


def test_a_stop_ends_the_session_s_run_and_leaves_the_session_usable(engine: Engine) -> None:
    frame = speckle(64, 64)
    expected = engine.score(frame).probabilities
    with work_context(Work()) as run:
        run.stop(StopReason.DEADLINE)
        with pytest.raises(WorkStopped):
            engine.score(frame)
    assert (engine.score(frame).probabilities == expected).all()


def test_all_cores_serve_a_run_that_is_alone(phantom_folder: Path) -> None:
    alone = [True, False]
    wide = Engine(load_package(phantom_folder), AllCores(2, lambda: alone.pop(0)))
    assert wide._wide is not None
    options = wide._wide.get_session_options()
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    frame = speckle(64, 64)
    with work_context(Work()) as run:
        first, second = wide.score(frame), wide.score(frame)
    assert run.threads == [2, 1]
    assert (first.probabilities == second.probabilities).all()


def test_a_single_core_needs_no_second_session(phantom_folder: Path) -> None:
    assert Engine(load_package(phantom_folder), AllCores(1, lambda: True))._wide is None
