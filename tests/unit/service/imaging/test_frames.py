"""The frames of a file: the same as when decoded one by one, at the cost of one pass."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from PIL.PngImagePlugin import PngImageFile

from service.errors import FrameTooLarge, NoSuchFrame, Problem, UnreadableFrame
from service.imaging.decode import decode_frame, open_frames
from service.imaging.dicom import encapsulation as fragments
from service.imaging.frame import Limits
from tests.support.dicom_objects import BASELINE, compressed, jpeg, native
from tests.support.images import animation, encode, speckle

STILLS = [speckle(40, 56, seed) for seed in range(6)]
LOOPS = {
    "png": animation("PNG", STILLS),
    "webp": animation("WEBP", STILLS, lossless=True),
    "tiff": animation("TIFF", STILLS),
    "pages of many sizes": animation("TIFF", [speckle(30 + seed, 50, seed) for seed in range(6)]),
    "dicom": native(STILLS),
    "compressed dicom": compressed(STILLS, BASELINE, jpeg, "MONOCHROME2"),
}


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("indices", [range(6), range(1, 6, 2), (4, 1, 1, 5), (5, 0)], ids=str)
def test_frames_are_those_that_decode_frame_returns(kind: str, indices: Any) -> None:
    frames = open_frames(LOOPS[kind])
    assert frames.count == 6
    for index in indices:
        frame, alone = frames.read(index), decode_frame(LOOPS[kind], index=index)
        assert np.array_equal(frame.pixels, alone.pixels)
        assert (frame.index, frame.count, frame.format) == (index, 6, alone.format) == (index, 6, frames.format)


@pytest.mark.parametrize("index", [-1, 6, 10**30])
def test_an_index_outside_the_file_is_refused(index: int) -> None:
    with pytest.raises(NoSuchFrame, match="this file has 6 frames"):
        open_frames(LOOPS["png"]).read(index)


def test_an_animation_is_decoded_once_for_all_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    loads, load = [], PngImageFile.load

    def counted(self: PngImageFile) -> Any:
        if self.tile:
            loads.append(self.tell())
        return load(self)

    monkeypatch.setattr(PngImageFile, "load", counted)
    frames = open_frames(LOOPS["png"])
    for index in range(6):
        frames.read(index)
    assert loads == list(range(6))


def test_only_the_frames_between_two_reads_count_as_pixels() -> None:
    frames = open_frames(LOOPS["png"], Limits(max_pixels=2 * 40 * 56))
    assert [frames.read(index).index for index in (1, 3, 5)] == [1, 3, 5]  # 6 frames in all, never 3 at a time
    with pytest.raises(FrameTooLarge):
        open_frames(LOOPS["png"], Limits(max_pixels=2 * 40 * 56)).read(2)


def test_the_fragments_of_a_dicom_object_are_scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scans, scan = [], fragments._scan

    def counted(*arguments: Any) -> Any:
        scans.append(1)
        return scan(*arguments)

    monkeypatch.setattr(fragments, "_scan", counted)
    frames = open_frames(LOOPS["compressed dicom"])
    for index in range(6):
        frames.read(index)
    assert len(scans) == 1


def test_a_damaged_frame_of_a_dicom_object_leaves_the_others_readable() -> None:
    broken = compressed(STILLS, BASELINE, lambda frame: b"no" if frame is STILLS[2] else jpeg(frame), "MONOCHROME2")
    frames = open_frames(broken)
    assert frames.independent
    with pytest.raises(UnreadableFrame):
        frames.read(2)
    assert np.array_equal(frames.read(3).pixels, decode_frame(LOOPS["compressed dicom"], index=3).pixels)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_an_animation_cut_short_yields_whole_frames_only(kind: str) -> None:
    read: list[Any] = []

    def read_all() -> None:
        frames = open_frames(LOOPS[kind][: len(LOOPS[kind]) * 2 // 3])
        assert not frames.independent
        read.extend(frames.read(index).pixels for index in range(6))

    with pytest.raises(Problem):
        read_all()
    assert all(np.array_equal(pixels, still) for pixels, still in zip(read, STILLS, strict=False))


def test_at_most_one_frame_is_in_memory() -> None:
    many = animation("PNG", [np.full((400, 400), seed, np.uint8) for seed in range(60)])
    tracemalloc.start()
    frames = open_frames(many)
    for index in range(60):
        assert frames.read(index).pixels[0, 0] == index
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 400 * 400  # 60 would be held otherwise


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_a_still_is_a_file_of_one_frame(kind: str) -> None:
    frames = open_frames(encode(speckle(), kind))
    assert (frames.count, frames.read(0).index) == (1, 0)
    with pytest.raises(NoSuchFrame):
        frames.read(1)
