"""The peak memory of a service by the length of a video, and the rate of a batch next to the network's."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from bench.cine_memory import draw_disc
from bench.decoder_memory.process_memory import status_bytes
from bench.servers import running_service
from fetal_planes_client import BatchEnd, Client
from service.analysis.batch import Batch, File, Selection
from service.analysis.pipeline import Pipeline
from service.execution.cpu_budget import cpu_budget
from service.execution.decoders.pool import DecoderPool
from service.imaging.files.local_file import LocalFile
from service.imaging.frame import Frame
from service.inference.engine import Engine
from service.inference.package import load_package
from service.settings import Settings
from tests.support.videos import write_video

_SETTINGS = {"max_upload_bytes": str(2**28), "log_level": "error"}
_DISTINCT = 50  # frames that are drawn; a longer video repeats them
FRAMES, _TURNS = 300, 3  # of the clip; of each side, alternating


def measure_peak(frames: int, side: int, model: Path) -> tuple[float, float]:
    """Return megabytes of an MP4 with `frames` frames, and of the peak memory of a service that has classified it."""
    drawn = [draw_disc(side, step, _DISTINCT) for step in range(_DISTINCT)]
    video = write_video([drawn[number % _DISTINCT] for number in range(frames)])
    with running_service(model, _SETTINGS) as (process, url):
        with Client(url) as client:
            for line in client.classify_batch([video]):
                last = line
        assert isinstance(last, BatchEnd)
        assert last.summary.cines[0].frames == frames
        peak = sum(status_bytes(each, "VmHWM") for each in _with_descendants(process.pid))
    return len(video) / 2**20, peak / 2**20


def _with_descendants(root: int) -> Iterator[int]:
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found = [root]
    for each in found:
        yield each
        found += [child for child, parent in parents.items() if parent == each]


def make_clip(folder: Path) -> tuple[Path, str]:
    """Return a clip of speckle that moves, and the name of its compression."""
    noise = np.random.default_rng(0).normal(110, 40, (700, 900)).clip(0, 255).astype(np.uint8)
    frames = [
        np.ascontiguousarray(noise[step % 90 : step % 90 + 600, step % 60 : step % 60 + 800]) for step in range(FRAMES)
    ]
    path = folder / "clip.mp4"
    path.write_bytes(write_video(frames, "mp4", 30))
    if (ffmpeg := shutil.which("ffmpeg")) is None:
        return path, "MPEG-4"
    coded = folder / "h264.mp4"
    command = [
        ffmpeg,
        "-v",
        "error",
        "-i",
        str(path),
        "-c:v",
        "libx264",
        "-crf",
        "23",
        "-pix_fmt",
        "yuv420p",
        str(coded),
    ]
    subprocess.run(command, check=True)
    return coded, "H.264"


class Rates:
    """Frames per second, and CPU milliseconds per frame, of several turns."""

    def __init__(self) -> None:
        self.per_second: list[float] = []
        self.cpu_ms: list[float] = []

    def measure(self, run: Callable[[], int], cpu_s: Callable[[], float]) -> None:
        """Add a turn; `run` returns the number of frames."""
        cpu, started = cpu_s(), time.monotonic()
        frames = run()
        self.per_second.append(frames / (time.monotonic() - started))
        self.cpu_ms.append(1000 * (cpu_s() - cpu) / frames)

    def text(self) -> str:
        """Return the medians."""
        return f"{np.median(self.per_second):.1f} frames per second, {np.median(self.cpu_ms):.1f} CPU ms per frame"


def compare(clip: Path, model: Path) -> tuple[Rates, Rates]:
    """Return the rates of a batch of the clip, and of the network on its first frames."""
    threads = cpu_budget(None).count
    settings = Settings()
    with closing(DecoderPool(settings.decoder_limits, threads + 1)) as pool, ThreadPoolExecutor(threads) as workers:
        pool.start()
        pipeline = Pipeline(Engine(load_package(model)), settings.limits, pool)
        with closing(pool.open(LocalFile(clip))) as opened:
            decoded = [opened.read(number) for number in range(40)]

        def cpu_s() -> float:
            decoders = [time.clock_gettime((~each.id << 3) | 2) for each in pool._idle]
            return time.process_time() + sum(decoders)

        def network() -> int:
            several = [frame for _ in range(5) for frame in decoded]
            return sum(1 for _ in workers.map(pipeline.classify_frame, several))

        def batch() -> int:
            return asyncio.run(_classify(clip, pipeline, workers, 3 * threads))

        batch_rates, network_rates = Rates(), Rates()
        network()
        for _ in range(_TURNS):
            batch_rates.measure(batch, cpu_s)
            network_rates.measure(network, cpu_s)
    return batch_rates, network_rates


async def _classify(clip: Path, pipeline: Pipeline, workers: ThreadPoolExecutor, window: int) -> int:
    def analyze(frame: Frame) -> None:
        pipeline.classify_frame(frame)

    run = partial(asyncio.get_running_loop().run_in_executor, workers)
    batch = Batch(run, analyze, pipeline.decoder, Selection(), window)
    return sum([1 async for _ in batch.outcomes([File(0, None, partial(LocalFile, clip))])])
