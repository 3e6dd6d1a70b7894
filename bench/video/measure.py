"""The peak memory of a service by the length of a video, and the rate of a batch next to the network's."""

import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from bench import cine_memory
from bench.cine_memory import draw_disc
from bench.decoder_memory.process_memory import tree
from bench.servers import peak_memory_mib
from service.analysis.pipeline import Pipeline
from service.execution.decoders.pool import DecoderPool
from service.imaging.files.local_file import LocalFile
from service.imaging.letterbox import Preparation, prepare
from service.inference.engine import Engine
from service.inference.package import load_package
from service.settings import Settings
from tests.support.videos import write_video

_DISTINCT = 50  # frames that are drawn; a longer video repeats them
FRAMES, _TURNS, _EACH = 200, 6, 30  # of the clip; of each side; of each turn


def measure_peak(frames: int, side: int, model: Path) -> tuple[float, float]:
    """Return megabytes of an MP4 with `frames` frames, and of the peak memory of a service that has classified it."""
    drawn = [draw_disc(side, step, _DISTINCT) for step in range(_DISTINCT)]
    video = write_video([drawn[number % _DISTINCT] for number in range(frames)])
    return len(video) / 2**20, cine_memory.measure_peak(video, frames, model, _peak_with_decoders)


def _peak_with_decoders(service: int) -> float:
    return sum(peak_memory_mib(each) for each in tree(service))


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
    options = ["-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p"]
    subprocess.run([ffmpeg, "-v", "error", "-i", str(path), *options, str(coded)], check=True)
    return coded, "H.264"


def compare(clip: Path, model: Path) -> tuple[float, float]:
    """Return the CPU milliseconds to decode a frame, and to crop it and run the network; of alternating turns.

    The least of several turns counts: other load on the machine only adds.
    """
    settings, whole_ms, network_ms = Settings(), list[float](), list[float]()
    with closing(DecoderPool(settings.decoder_limits, 2)) as pool:
        pool.start()
        pipeline = Pipeline(Engine(load_package(model)), settings.limits, pool)
        preparation = Preparation(pipeline.engine.manifest.preprocessing)
        with closing(pool.open(LocalFile(clip))) as raw, closing(pipeline.open(LocalFile(clip))) as frames:
            decoded = raw.read(0)
            frames.read(0)
            for turn in range(_TURNS):
                decoders = [each.id for each in pool._idle]
                before = _cpu_s(decoders)
                for number in range(1 + turn * _EACH, 1 + (turn + 1) * _EACH):
                    pipeline.classify_frame(frames.read(number))
                if decoders == [each.id for each in pool._idle]:  # else one was replaced, with the time that it took
                    whole_ms.append(1000 * (_cpu_s(decoders) - before) / _EACH)
                before = time.process_time()
                for _ in range(_EACH):
                    pipeline.classify_frame(prepare(decoded, preparation))
                network_ms.append(1000 * (time.process_time() - before) / _EACH)
    return min(whole_ms) - min(network_ms), min(network_ms)


def _cpu_s(decoders: list[int]) -> float:
    return time.process_time() + sum(time.clock_gettime((~each << 3) | 2) for each in decoders)
