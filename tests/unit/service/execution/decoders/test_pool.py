"""Decoder processes answer as this process would; each ends with its own file, and others go on."""

import io
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from bench.decoder_memory.process_memory import status_bytes
from service.errors import (
    DecodeLimit,
    EmptyUpload,
    FrameTooLarge,
    NoSuchFrame,
    NotFound,
    Overloaded,
    Problem,
    UnreadableFrame,
    UnsupportedFormat,
    UploadTooLarge,
)
from service.execution.decoders.arena import Arena, Taker
from service.execution.decoders.decoder import HAS_PROCESSES, InProcessDecoder
from service.execution.decoders.fork_server import _ForkServer, fork_server
from service.execution.decoders.limits import DecoderLimits
from service.execution.decoders.messages import OpenedFile, decode_reply
from service.execution.decoders.pool import DecoderPool
from service.execution.decoders.process import NO_UPLOAD, DecoderProcess
from service.execution.work import AnyThreads, StopReason, Work, WorkStopped, work_context
from service.imaging.color import FLOW
from service.imaging.files.local_file import LazyFile, LocalFile, Upload
from service.imaging.frame import Limits
from service.imaging.letterbox import Picture, Preparation, PreparedFrame
from service.imaging.sector import Box
from service.schemas.manifest import Preprocessing
from tests.support.dicom_objects import BASELINE, DEFLATED, J2K_LOSSLESS, compressed, jpeg, jpeg_2000, native
from tests.support.hostile import HOSTILE
from tests.support.images import animation, encode, speckle
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(not HAS_PROCESSES, reason="needs Linux")

LIMITS = DecoderLimits(max_bytes=8 * 2**20, max_pixels=8_000_000, cpu_s=0.4)
ENDINGS: list[str] = []


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with closing(DecoderPool(LIMITS, 2, count_ending=ENDINGS.append)) as pool:
        pool.start()
        yield pool


@pytest.fixture(autouse=True)
def no_endings() -> None:
    ENDINGS.clear()


def colored(height: int = 120, width: int = 160) -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height))


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    colored().save(file, "JPEG", exif=exif)
    return file.getvalue()


FRAMES = [speckle(40, 56, seed) for seed in range(4)]
FILES: dict[str, bytes] = {
    "png": encode(FRAMES[0]),
    "jpeg": encode(FRAMES[0], "JPEG"),
    "color": encode(colored(), "PNG"),
    "rotated": rotated(),
    "animation": animation("PNG", FRAMES),
    "pages": animation("TIFF", FRAMES),
    "dicom": native(FRAMES),
    "dicom jpeg": compressed(FRAMES, BASELINE, jpeg, "MONOCHROME2"),
    "larger than the arena": encode(np.random.default_rng(0).integers(0, 256, (2000, 3000), np.uint8)),
}


def lazy(data: bytes, reads: list[int]) -> LazyFile:
    def read() -> bytes:
        reads.append(len(data))
        return data[:-1] + data[-1:]  # a copy

    return LazyFile(len(data), read)


def test_a_lazy_file_is_read_where_a_decoder_needs_it(pool: DecoderPool) -> None:
    reads: list[int] = []
    with closing(pool.open(lazy(FILES["animation"], reads))) as frames:
        for number in range(4):
            assert np.array_equal(frames.read(number).pixels, FRAMES[number])
        assert len(reads) == 1
        others = [pool.open(FILES["animation"]) for _ in range(6)]  # the decoders forget the file for them
        assert np.array_equal(frames.read(2).pixels, FRAMES[2])
        assert len(reads) == 2
    for each in others:
        each.close()


@pytest.mark.parametrize(
    ("data", "kind"), [(b"", EmptyUpload), (b"text", UnsupportedFormat), (bytes(2**23 + 1), UploadTooLarge)]
)
def test_a_lazy_file_that_is_refused_costs_no_decoder(pool: DecoderPool, data: bytes, kind: type[Problem]) -> None:
    before = {each.id for each in pool._idle}
    with pytest.raises(kind):
        pool.open(lazy(data, []))
    assert {each.id for each in pool._idle} == before


def test_lazy_files_are_not_kept(pool: DecoderPool) -> None:
    read: list[bytes] = []

    def copy() -> bytes:
        read.append(FILES["animation"][:-1] + FILES["animation"][-1:])
        return read[-1]

    with closing(pool.open(LazyFile(1, copy))) as frames:
        references = sys.getrefcount(read[0])
        assert references == 2  # the list, and the argument
        assert np.array_equal(frames.read(3).pixels, FRAMES[3])


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("on_disk", [False, True], ids=["bytes", "file"])
def test_the_frames_are_those_of_this_process(pool: DecoderPool, data: bytes, on_disk: bool, tmp_path: Path) -> None:
    upload: Upload = data
    if on_disk:
        upload = LocalFile(tmp_path / "file")
        upload.path.write_bytes(data)
    here, there = InProcessDecoder(Limits()).open(data), pool.open(upload)
    assert (there.format, there.count, there.independent) == (here.format, here.count, here.independent)
    for index in [*range(here.count), 0]:
        mine, theirs = here.read(index), there.read(index)
        assert np.array_equal(mine.pixels, theirs.pixels)
        assert (mine.region, mine.dicom, mine.index) == (theirs.region, theirs.dicom, theirs.index)
    with pytest.raises(NoSuchFrame):
        there.read(here.count)
    there.close()
    assert ENDINGS == []


def doppler() -> bytes:
    pixels = np.repeat(speckle(300, 400)[..., None], 3, 2)
    pixels[100:200, 150:250] = (230, 40, 20)
    return encode(Image.fromarray(pixels))


def window(around: int) -> bytes:
    """Return a frame inside a plain surround."""
    pixels = np.full((300, 400), around, np.uint8)
    pixels[60:240, 80:320] = speckle(180, 240)
    return encode(pixels)


PREPARED = FILES | {
    "flow": doppler(),
    "large": encode(speckle(1500, 1100)),
    "tiny": encode(speckle(3, 2)),
    "plain": encode(np.full((300, 400), 60, np.uint8)),
    "black": encode(np.zeros((300, 400), np.uint8)),
    "window": window(180),
    "page": window(255),
}
PREPROCESSING = Preprocessing(size=96, crop="sector", zoom=1.15)


@pytest.mark.parametrize("picture", ["none", "thumbnail", "whole"])
@pytest.mark.parametrize("data", PREPARED.values(), ids=PREPARED.keys())
def test_prepared_frames_are_those_of_this_process(pool: DecoderPool, data: bytes, picture: Picture) -> None:
    preparation = Preparation(PREPROCESSING, picture)
    here = InProcessDecoder(Limits()).open_prepared(data, preparation)
    with closing(pool.open_prepared(data, preparation)) as there:
        for index in [*range(here.count), 0]:
            mine, theirs = here.read(index), there.read(index)
            for first, second in ((mine.view, theirs.view), (mine.cells, theirs.cells), (mine.picture, theirs.picture)):
                assert (first is None) == (second is None)
                assert first is None or np.array_equal(first, np.asarray(second))
            assert (mine.crop, mine.flow) == (theirs.crop, theirs.flow)
            assert mine.metadata.dicom == theirs.metadata.dicom
            assert (mine.metadata.width, mine.metadata.height) == (theirs.metadata.width, theirs.metadata.height)
            assert (mine.metadata.index, mine.metadata.count) == (index, here.count)
    assert ENDINGS == []


def test_a_flow_is_measured_where_the_colors_are(pool: DecoderPool) -> None:
    with closing(pool.open_prepared(doppler(), Preparation(PREPROCESSING))) as frames:
        assert frames.read(0).flow > FLOW


GOOD_REPLY: dict[str, Any] = {"height": 60, "width": 80, "crop": (Box(0, 0, 80, 60), "none")}
FILE = OpenedFile("png", 2, True, 4800)


@pytest.mark.parametrize(
    "lie",
    [
        {},
        {"crop": None},
        {"crop": (Box(0, 0, 81, 60), "none")},
        {"crop": (Box(-1, 0, 80, 60), "sector")},
        {"crop": (Box(5, 0, 5, 60), "sector")},
        {"height": 70},
        {"attributes": 2**22},
        {"times": 4},
        {"times": 2**30},
    ],
    ids=str,
)
def test_what_a_decoder_says_of_a_frame_is_checked(lie: dict[str, Any]) -> None:
    """A decoder that a hostile file has taken over can say anything."""
    with closing(Arena.create()) as arena:
        described = decode_reply(json.dumps({"frame": GOOD_REPLY | lie}).encode()).frame
        assert described is not None

        def take() -> PreparedFrame:
            taker = Taker(arena, FILE, described, 60 * 80)
            frame = taker.prepared(0, Preparation(PREPROCESSING, "whole"))
            taker.times()
            return frame

        if lie:
            with pytest.raises(UnreadableFrame):
                take()
        else:
            assert take().view.shape == (96, 96)


@pytest.mark.parametrize(
    "lie", [{"flow": -0.1}, {"flow": 2}, {"crop": (Box(0, 0, 1, 1), "x")}, {"height": 0}, {"width": 2**20}], ids=str
)
def test_a_reply_with_impossible_values_is_none(lie: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        decode_reply(json.dumps({"frame": GOOD_REPLY | lie}).encode())


def _webp_of_no_width() -> bytes:
    data = bytearray(encode(colored(), "WEBP"))
    data[26:28] = bytes(2)
    return bytes(data)


def refusals() -> dict[str, tuple[bytes, type[Problem]]]:
    return {
        "cut": (FILES["png"][:200], UnreadableFrame),
        "no pixels": (_webp_of_no_width(), UnreadableFrame),
        "too many pixels": (encode(np.zeros((3000, 3000), np.uint8)), FrameTooLarge),
        "too many bytes": (bytes(9 * 2**20), UploadTooLarge),
    }


@pytest.mark.parametrize(("data", "problem"), refusals().values(), ids=refusals().keys())
def test_a_refusal_is_the_same_and_costs_no_process(pool: DecoderPool, data: bytes, problem: type[Problem]) -> None:
    with pytest.raises(problem) as here:
        InProcessDecoder(Limits(LIMITS.max_bytes, LIMITS.max_pixels)).open(data).read(0)
    with pytest.raises(problem) as there:
        pool.open(data).read(0)
    assert there.value.detail == here.value.detail
    assert ENDINGS == []


@pytest.mark.parametrize("damaged_frame", [0, 1])
def test_a_damaged_frame_is_refused_and_the_others_are_read(pool: DecoderPool, damaged_frame: int) -> None:
    parts = [bytes(40) if index == damaged_frame else jpeg(frame) for index, frame in enumerate(FRAMES)]
    damaged = iter(parts)
    frames = pool.open(compressed(FRAMES, BASELINE, lambda _: next(damaged), "MONOCHROME2"))

    def is_read(index: int) -> bool:
        with suppress(UnreadableFrame):
            return frames.read(index).pixels.shape == FRAMES[index].shape
        return False

    with ThreadPoolExecutor(3) as threads:  # in several decoders
        assert list(threads.map(is_read, range(4))) == [index != damaged_frame for index in range(4)]


@cache
def slow_file(side: int = 2600) -> bytes:
    """A JPEG 2000 frame of noise; the default takes about a second to decode."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    return compressed([noise], J2K_LOSSLESS, jpeg_2000, "MONOCHROME2")


def test_a_frame_that_takes_too_long_is_refused(pool: DecoderPool) -> None:
    with pytest.raises(DecodeLimit, match=r"0\.4 s of CPU time"):
        pool.open(slow_file())
    assert ENDINGS == ["cpu-time"]
    assert pool.open(FILES["png"]).read(0).pixels.shape == FRAMES[0].shape


def test_a_stop_ends_the_decoder_at_once(pool: DecoderPool) -> None:
    work = Work()
    for each in pool._idle:
        os.kill(each.id, signal.SIGSTOP)  # none will ever answer
    threading.Timer(0.15, work.stop, [StopReason.DEADLINE]).start()
    started = time.monotonic()
    with work_context(work), pytest.raises(WorkStopped):
        pool.open(FILES["png"])
    assert time.monotonic() - started < LIMITS.wall_s / 2
    assert ENDINGS == ["stopped"]
    for each in pool._idle:
        os.kill(each.id, signal.SIGCONT)


def test_decoders_leave_the_cores_to_the_service_and_slow_ones_to_other_decoders() -> None:
    with closing(DecoderPool(LIMITS._replace(cpu_s=10), 1)) as pool:
        pool.start()
        (decoder,) = pool._idle
        niceness = os.getpriority(os.PRIO_PROCESS, decoder.id)
        assert niceness > os.getpriority(os.PRIO_PROCESS, 0)
        opened = threading.Thread(target=pool.open, args=[slow_file()])
        opened.start()
        eventually(lambda: os.getpriority(os.PRIO_PROCESS, decoder.id) > niceness)
        decoder.kill()
        opened.join()


class Full(AnyThreads):
    """Threads that may not step aside any more."""

    def check_room(self) -> None:
        raise Overloaded("Full.")


def test_where_the_slow_places_are_taken_a_slow_frame_is_refused_early(pool: DecoderPool) -> None:
    work = Work()
    work.workers = Full()
    with work_context(work):
        with pytest.raises(Overloaded):
            pool.open(slow_file(1400))  # about a quarter of a second, without much memory
        assert pool.open(FILES["png"]).read(0).pixels.shape == FRAMES[0].shape  # an ordinary one is decoded
    assert ENDINGS == []


def test_a_spare_decoder_waits_where_all_others_work() -> None:
    with closing(DecoderPool(LIMITS, 1)) as pool:
        pool.start()
        (first,) = pool._idle
        with pool.use(NO_UPLOAD) as decoder:
            assert decoder is first
            eventually(lambda: len(pool._idle) == 1)
            assert pool._idle[0] is not first
            assert pool._spare is None
        assert len(pool._idle) == 1  # no more than wait in quiet times
        assert pool._idle[0] is first  # the one whose memory is warm


def test_memory_is_bounded_by_the_header(pool: DecoderPool) -> None:
    # A negative allowance stands for a file that needs more than its header says.
    small = DecoderPool(LIMITS._replace(allowance=-183_000_000), 1, count_ending=ENDINGS.append)
    with closing(small), pytest.raises(DecodeLimit, match="memory"):
        small.open(FILES["larger than the arena"])
    assert ENDINGS == ["memory"]
    assert pool.open(FILES["png"]).read(0).pixels.shape == FRAMES[0].shape


def test_a_deflated_object_of_the_largest_size_is_read() -> None:
    """Its frame is inflated before its header says how many pixels it has."""
    data = native([np.zeros((5000, 6000), np.uint8)], DEFLATED)
    with closing(DecoderPool(DecoderLimits(32 * 2**20, 32_000_000), 1)) as large:
        assert large.open(data).read(0).pixels.shape == (5000, 6000)


def test_a_file_that_shrinks_ends_its_decoder_only(pool: DecoderPool, tmp_path: Path) -> None:
    path = tmp_path / "loop.dcm"
    path.write_bytes(native([speckle(400, 600, seed) for seed in range(4)]))
    frames = pool.open(LocalFile(path))
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(UnreadableFrame, match="crash"):
        frames.read(3)
    assert ENDINGS == ["crash"]


def test_only_regular_files_are_opened(pool: DecoderPool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path(os.devnull), tmp_path / "missing"):
        with pytest.raises(NotFound):
            pool.open(LocalFile(path))


def decoder_ids(pool: DecoderPool) -> list[int]:
    return [each.id for each in pool._idle]


def test_every_answer_is_right_while_decoders_are_killed(pool: DecoderPool) -> None:
    stop, random_ = threading.Event(), random.Random(0)

    def kill() -> None:
        while not stop.wait(0.05):
            for each in random_.sample(ids := decoder_ids(pool), min(1, len(ids))):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

    def ask(number: int) -> bool:
        pixels = speckle(40, 56, number)
        with closing(pool.open(encode(pixels))) as frames:
            return np.array_equal(frames.read(0).pixels, pixels)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with ThreadPoolExecutor(4) as threads:
            assert all(threads.map(ask, range(200)))
    finally:
        stop.set()
        killer.join()


def test_decoders_know_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETAL_PLANES_STORE", "postgresql://user:pass-word@host/db")
    monkeypatch.setenv("fetal_planes_store_secret", "pass-word")
    server = _ForkServer()
    server.start()
    try:
        assert server._process is not None
        environment = Path(f"/proc/{server._process.pid}/environ")
        eventually(lambda: b"OPENBLAS_NUM_THREADS=1" in environment.read_bytes())  # it has begun
        assert b"pass-word" not in environment.read_bytes()
    finally:
        server.close()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_the_fork_server_starts_again(pool: DecoderPool, sent: signal.Signals) -> None:
    pool.start()
    server = fork_server()
    process, control = server._process, server._control
    assert process is not None
    assert control is not None
    process.send_signal(sent)
    if sent is signal.SIGSTOP:
        control.settimeout(0.1)  # that of the next server is longer
        DecoderProcess(LIMITS, pool._large).close()
    process.wait()
    eventually(lambda: not any(each.alive for each in pool._idle))  # they die with it
    assert pool.open(FILES["png"]).read(0).pixels.shape == FRAMES[0].shape


def test_a_decoder_that_cannot_start_costs_neither_the_others_nor_descriptors(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = pool.open(FILES["animation"])
    server, open_files = fork_server()._process, len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr("socket.recv_fds", lambda *_: (b"0", [], 0, None))  # as the server answers without a process
        with pytest.raises(OSError, match="temporarily unavailable"):
            DecoderProcess(LIMITS, pool._large)
    assert len(list(Path("/proc/self/fd").iterdir())) <= open_files + 1  # the answer that was not read
    assert fork_server()._process is server
    assert np.array_equal(frames.read(1).pixels, FRAMES[1])
    fork_server().close()  # its channel holds that answer


def test_a_decoder_keeps_nothing_of_a_closed_loop(pool: DecoderPool) -> None:
    frames = pool.open(native([speckle(1000, 1000, index) for index in range(6)]))
    frames.read(5)
    (decoder,) = (each for each in pool._idle if each.upload >= 0)
    before = status_bytes(decoder.id, "RssAnon")
    frames.close()
    assert decoder.upload < 0
    eventually(lambda: status_bytes(decoder.id, "RssAnon") < before - 4_000_000)
    pool.open(encode(speckle())).close()


def test_a_decoder_that_keeps_memory_without_a_file_is_replaced() -> None:
    with closing(DecoderPool(LIMITS._replace(max_pixels=32_000_000), 1, count_ending=ENDINGS.append)) as pool:
        pool.open(FILES["png"]).close()
        (first,) = pool._idle
        pool.open(FILES["png"]).close()
        assert pool._idle == [first]
        with pytest.raises(UnreadableFrame):
            pool.open(HOSTILE["j2k-4096-tiles-small-precincts"]()).read(0)
        assert first not in pool._idle
        assert ENDINGS == []


def test_two_loops_side_by_side_take_turns(pool: DecoderPool) -> None:
    loops = [
        pool.open(animation("PNG", [speckle(40, 56, 10 * each + index) for index in range(5)])) for each in range(4)
    ]
    for index in range(5):
        for each, loop in enumerate(loops):
            assert np.array_equal(loop.read(index).pixels, speckle(40, 56, 10 * each + index))


def test_no_process_is_left_behind() -> None:
    other = DecoderPool(LIMITS, 2)
    other.start()
    ids = decoder_ids(other)
    other.close()
    eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in ids))


def test_a_large_animation_is_decoded_within_the_limits() -> None:
    """The decoder of WebP allocates the canvas twice when it opens the file, before anything of it is read."""
    data = animation(
        "WEBP", [np.zeros((4000, 4000), np.uint8), np.full((4000, 4000), 200, np.uint8)], quality=0, method=0
    )
    with closing(DecoderPool(DecoderLimits(2**20, 32_000_000), 1)) as pool, closing(pool.open(data, 1)) as frames:
        assert frames.count == 2
        assert frames.read(1).pixels.shape == (4000, 4000)


def sparse_cine(path: Path, frames: int) -> None:
    """Write a cine of black frames of 400 x 600 pixels that takes no room on the disk."""
    data = native([np.zeros((400, 600), np.uint8)] * 2, NumberOfFrames=frames)
    at = data.rindex(b"\xe0\x7f\x10\x00OB") + 8
    with path.open("wb") as file:
        file.write(data[:at] + (frames * 240_000).to_bytes(4, "little"))
        file.truncate(at + 4 + frames * 240_000)


def test_a_cine_of_two_gigabytes_is_read_from_the_disk(pool: DecoderPool, tmp_path: Path) -> None:
    sparse_cine(tmp_path / "long.dcm", 8_000)
    with closing(pool.open(LocalFile(tmp_path / "long.dcm"))) as frames:
        assert frames.count == 8_000
        assert frames.read(7_999).pixels.shape == (400, 600)


def test_a_large_deflated_object_is_not_copied(pool: DecoderPool, tmp_path: Path) -> None:
    path = tmp_path / "deflated.dcm"
    path.write_bytes(native([speckle()], "1.2.840.10008.1.2.1.99"))
    os.truncate(path, 2**31)
    with pytest.raises(DecodeLimit, match="memory"):
        pool.open(LocalFile(path))
    assert ENDINGS == ["memory"]
