"""The CPU time of the parts of an answer.

Decoding, crop and network are measured in as many threads as the service has. The decoder crops; the part of the crop
is that of the same work in this process. HTTP is the time of the service's event loop.
"""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from bench.servers import running_service
from service.analysis.pipeline import Pipeline
from service.execution.cpu_budget import cpu_budget
from service.execution.decoders.pool import open_decoder
from service.imaging.decode import decode_frame
from service.imaging.letterbox import Preparation, prepare
from service.inference.engine import Engine
from service.inference.package import load_package
from service.inference.precision import choose_precision
from service.load_test.connection import Target
from service.load_test.loops import closed_loop
from service.load_test.server_cpu import cpu_seconds
from service.process_setup import configure_process
from service.reports.answers import classification
from service.settings import Settings

_CLIENTS = 16


class Parts(NamedTuple):
    """CPU milliseconds per answer."""

    decode: float  # with the decoder process and the way there and back
    crop: float  # sector search, letterbox and color flow
    network: float
    json: float  # the answer from the result, and its bytes
    http: float  # the thread of the event loop: connections, HTTP, admission
    total: float  # of an answer, with what is not listed: the way to the worker thread and back


def measure_split(model: Path, frames: list[bytes], seconds: float) -> Parts:
    """Return the parts of an answer of the service."""
    spent = measure_work(model, frames, seconds)
    with running_service(model, {"log_level": "warning"}) as (process, url):
        target = Target.parse(f"{url}/classify")
        asyncio.run(closed_loop(target, frames, _CLIENTS, min(1.0, seconds)))  # warms up
        before = _main_thread_s(process.pid)
        sample = asyncio.run(closed_loop(target, frames, _CLIENTS, seconds))
        http = _main_thread_s(process.pid) - before
    answers = sample.statuses.count(200)
    return Parts(*spent, 1000 * http / answers, 1000 * sample.cpu_s / answers)


def _main_thread_s(process: int) -> float:
    """Return the CPU seconds of a process's first thread so far, which runs the event loop (Linux)."""
    return int(Path(f"/proc/{process}/task/{process}/schedstat").read_text().split()[0]) / 1e9


def measure_work(model: Path, frames: list[bytes], seconds: float) -> tuple[float, float, float, float]:
    """Return the CPU time of decoding, cropping, the network and the JSON, in every core's thread at once."""
    configure_process()
    settings = Settings()
    count = cpu_budget().count
    with closing(open_decoder(settings.decoder_limits, count)) as decoder:
        decoder.start()
        engine = Engine(choose_precision(load_package(model), settings.precision))
        pipeline = Pipeline(engine, settings.limits, decoder)
        pipeline.classify(frames[0])
        others = _other_processes_s()
        end, lock, totals = time.perf_counter() + seconds, threading.Lock(), [0.0] * 5

        def work(thread: int) -> None:
            done = thread
            while time.perf_counter() < end:
                spent = list(_parts(pipeline, frames[done % len(frames)]))
                done += 1
                with lock:
                    totals[:] = [total + each for total, each in zip(totals, (*spent, 1), strict=True)]

        with ThreadPoolExecutor(count) as threads:
            list(threads.map(work, range(count)))
        decode, crop, network, json, answers = totals
        decode += _other_processes_s() - others
    return 1000 * decode / answers, 1000 * crop / answers, 1000 * network / answers, 1000 * json / answers


def _parts(pipeline: Pipeline, upload: bytes) -> Iterator[float]:
    raw = decode_frame(upload)
    started = time.thread_time()
    prepare(raw, Preparation(pipeline.engine.manifest.preprocessing))
    crop = time.thread_time() - started
    started = time.thread_time()
    frame = pipeline.prepare(upload)
    yield time.thread_time() - started - crop
    yield crop
    started = time.thread_time()
    pipeline.engine.score(frame.view)
    yield time.thread_time() - started
    result = pipeline.classify_frame(frame)
    started = time.thread_time()
    classification(result).model_dump_json()
    yield time.thread_time() - started


def _other_processes_s() -> float:
    """Return the CPU seconds of the processes that this one has started."""
    return cpu_seconds({os.getpid()}) - time.process_time()
