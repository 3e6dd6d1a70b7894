"""Jobs run side by side, results come in order, and at most a window of them is under way."""

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import Any

import numpy as np
import pytest

from service.analysis.batch import Batch, File, FrameOutcome, Job, Selection, in_order
from service.errors import Problem, UnsupportedFormat
from service.execution.decoders.decoder import InProcessDecoder
from service.imaging.frame import Frame, Limits
from tests.support.dicom_objects import BASELINE, compressed, jpeg
from tests.support.images import animation, encode, speckle


async def sources(jobs: Sequence[Job[int]]) -> AsyncGenerator[Job[int], None]:
    for job in jobs:
        yield job


async def collect(jobs: Sequence[Job[int]], window: int) -> list[int]:
    async with aclosing(in_order(sources(jobs), window)) as results:
        return [result async for result in results]


def test_results_come_in_order_whichever_is_first() -> None:
    async def job(number: int) -> int:
        await asyncio.sleep(random.Random(number).uniform(0, 0.01))
        return number

    jobs = [partial(job, number) for number in range(40)]
    assert asyncio.run(collect(jobs, 7)) == list(range(40))


@pytest.mark.parametrize("window", [1, 2, 5])
def test_at_most_a_window_of_jobs_is_started_and_not_yielded(window: int) -> None:
    begun = handed_out = most = 0

    async def job() -> int:
        nonlocal begun, most
        begun += 1
        most = max(most, begun - handed_out)
        await asyncio.sleep(0)
        return 0

    async def read() -> None:
        nonlocal handed_out
        async with aclosing(in_order(sources([job] * 30), window)) as results:
            async for _ in results:
                await asyncio.sleep(0.001)  # a slow reader
                handed_out += 1

    asyncio.run(read())
    assert (begun, most) == (30, window)


def test_jobs_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    async def job() -> int:
        await asyncio.wait_for(both.wait(), 5)
        return 1

    assert asyncio.run(collect([job, job], 2)) == [1, 1]


def test_closing_the_generator_cancels_the_jobs() -> None:
    ended: list[int] = []

    async def job(number: int) -> int:
        try:
            await asyncio.sleep(60 * (number > 0))
        except asyncio.CancelledError:
            ended.append(number)
            raise
        return number

    async def read() -> None:
        results = in_order(sources([partial(job, number) for number in range(9)]), 3)
        assert await anext(results) == 0
        await results.aclose()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(read())
    assert ended == [1, 2]


def test_a_failed_job_cancels_the_others() -> None:
    async def fail() -> int:
        raise ValueError("a bug")

    async def wait() -> int:
        await asyncio.sleep(60)
        return 0

    async def read() -> None:
        with pytest.raises(ValueError, match="a bug"):
            await collect([fail, wait, wait], 3)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(read())


def test_a_selection() -> None:
    assert list(Selection().indices(3)) == [0, 1, 2]
    assert list(Selection(every=3).indices(8)) == [0, 3, 6]
    assert list(Selection(limit=2).indices(8)) == [0, 1]
    assert list(Selection(every=3, limit=2).indices(8)) == [0, 3]
    assert list(Selection(every=3, limit=99).indices(8)) == [0, 3, 6]


def test_a_selection_by_time() -> None:
    even = [round(1000 * number / 30) for number in range(90)]
    assert list(Selection(fps=30).indices(90, even)) == list(range(90))
    assert list(Selection(fps=10).indices(90, even)) == list(range(0, 90, 3))
    assert list(Selection(fps=100).indices(90, even)) == list(range(90))
    assert list(Selection(fps=10, limit=3).indices(90, even)) == [0, 3, 6]
    assert list(Selection(fps=0.5).indices(90, even)) == [0, 60]
    varied = [0, 40, 80, 120, 1000, 1040, 1080, 2500, 2540, 3100]
    assert list(Selection(fps=1).indices(10, varied)) == [0, 4, 7, 9]
    assert list(Selection(fps=1).indices(10, None)) == list(range(10))


def mean(frame: Frame) -> float:
    return float(frame.pixels.mean())


def run_batch(
    uploads: list[bytes | Problem],
    analyze: Callable[[Frame], Any] = mean,
    selection: Selection = Selection(),  # noqa: B008 (frozen)
    window: int = 4,
) -> list[FrameOutcome[Any]]:
    def file(number: int, upload: bytes | Problem) -> File:
        def read() -> bytes:
            if isinstance(upload, Problem):
                raise upload
            return upload

        return File(number, f"{number}", read)

    async def run() -> list[FrameOutcome[Any]]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(3) as threads:
            batch = Batch(
                partial(loop.run_in_executor, threads), analyze, InProcessDecoder(Limits()).open, selection, window
            )
            files = [file(number, upload) for number, upload in enumerate(uploads)]
            async with aclosing(batch.outcomes(files)) as outcomes:
                return [outcome async for outcome in outcomes]

    return asyncio.run(run())


STILLS = [speckle(40, 56, seed) for seed in range(7)]


def test_stills_and_loops_in_the_order_of_the_upload() -> None:
    uploads = [encode(STILLS[0]), animation("PNG", STILLS[1:6]), encode(STILLS[6], "BMP")]
    outcomes = run_batch(list(uploads))
    assert [(outcome.file.number, outcome.index, outcome.count) for outcome in outcomes] == [
        (0, 0, 1), *[(1, index, 5) for index in range(5)], (2, 0, 1)
    ]  # fmt: skip
    assert [outcome.value for outcome in outcomes] == [float(still.mean()) for still in STILLS]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_every_and_limit(kind: str) -> None:
    outcomes = run_batch([animation(kind, STILLS)], selection=Selection(every=2, limit=3))
    assert [outcome.index for outcome in outcomes] == [0, 2, 4]
    assert [outcome.value for outcome in outcomes] == [float(STILLS[index].mean()) for index in (0, 2, 4)]


def test_a_bad_file_is_refused_and_the_others_are_analyzed() -> None:
    outcomes = run_batch(
        [encode(STILLS[0]), b"text", UnsupportedFormat("gone"), encode(STILLS[1])[:99], encode(STILLS[2])]
    )
    assert [getattr(outcome.value, "code", None) for outcome in outcomes] == [
        None, "unsupported-format", "unsupported-format", "unreadable-frame", None
    ]  # fmt: skip
    assert [outcome.index for outcome in outcomes] == [0, None, None, None, 0]


def test_a_frame_that_the_analysis_refuses_leaves_the_others() -> None:
    def analyze(frame: Frame) -> float:
        if frame.index == 2:
            raise UnsupportedFormat("not this one")
        return mean(frame)

    outcomes = run_batch([animation("PNG", STILLS)], analyze)
    assert [isinstance(outcome.value, Problem) for outcome in outcomes] == [index == 2 for index in range(7)]


def test_a_damaged_frame_of_a_dicom_object_leaves_the_others() -> None:
    broken = compressed(STILLS, BASELINE, lambda frame: b"no" if frame is STILLS[2] else jpeg(frame), "MONOCHROME2")
    outcomes = run_batch([broken])
    assert [isinstance(outcome.value, Problem) for outcome in outcomes] == [index == 2 for index in range(7)]


def test_an_animation_ends_at_its_first_damaged_frame() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (60, 60), np.uint8) for _ in range(9)]
    data = animation("PNG", noise)
    outcomes = run_batch([data[: len(data) // 2], encode(STILLS[0])])
    codes = [getattr(outcome.value, "code", None) for outcome in outcomes]
    assert codes[-1] is None
    assert codes.count("unreadable-frame") == 1
    assert codes.index("unreadable-frame") == len(codes) - 2 < 9


def test_a_loop_s_frames_are_analyzed_side_by_side() -> None:
    both = threading.Barrier(2)

    def analyze(frame: Frame) -> int:
        both.wait(10)
        return frame.index

    assert [outcome.value for outcome in run_batch([animation("PNG", STILLS[:4])], analyze)] == [0, 1, 2, 3]
