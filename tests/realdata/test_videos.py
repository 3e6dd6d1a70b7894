"""Real clips of scanners; skipped where they are not installed. None shows a fetus."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from service.execution.decoders.decoder import HAS_PROCESSES, InProcessDecoder
from service.execution.decoders.limits import DecoderLimits
from service.execution.decoders.pool import DecoderPool
from service.imaging.files.local_file import LocalFile
from service.imaging.frame import Limits
from tests.support.dicom_objects import compressed
from tests.support.paths import DATA

FOLDER = DATA / "video"
CLIPS = {
    "itkpocus_clarius-ocular-short.mp4": ("mp4", 50, (960, 1280), 1.96),
    "itkpocus_sonosite-anon-eye1-video.mp4": ("mp4", 100, (720, 960), 3.96),
    "lung_Reg_Image_18122_crop.mp4": ("mp4", 187, (208, 208), 9.737),
    "lung_Reg_Image_182106_crop.mp4": ("mp4", 206, (382, 382), 6.58),
    "lung_Reg_pat1Image_133410.mpeg": ("mpeg", 183, (370, 370), 7.28),
    "lung_Reg_pat2Image_134441.mpeg": ("mpeg", 215, (370, 370), 8.56),
    "lung_Reg_recommendations_alines_mov1.mov": ("mov", 180, (322, 322), 9.944),
}

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the clips are not next to the repository"),
    pytest.mark.skipif(not HAS_PROCESSES, reason="needs Linux"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with closing(DecoderPool(DecoderLimits(2**25, 32_000_000), 2)) as pool:
        yield pool


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_is_read_from_any_frame(pool: DecoderPool, name: str) -> None:
    format_, count, size, last = CLIPS[name]
    upload = LocalFile(FOLDER / name)
    in_order, anywhere = InProcessDecoder(Limits()).open(upload), pool.open(upload, count - 1)
    assert (anywhere.format, anywhere.count) == (format_, count)
    frames = [in_order.read(number) for number in range(count)]
    assert {frame.pixels.shape for frame in frames} == {size}
    assert frames[-1].seconds == last
    for number in (count - 1, 0, count // 2, count // 2 + 1, 3):
        assert np.array_equal(anywhere.read(number).pixels, frames[number].pixels)
    anywhere.close()


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_in_a_dicom_object_has_the_same_frames(name: str, fragments: int) -> None:
    format_, count, size, last = CLIPS[name]
    stream, syntax = (FOLDER / name).read_bytes(), "1.2.840.10008.1.2.4." + ("100" if format_ == "mpeg" else "102")
    colored = [np.zeros((*size, 3), np.uint8)]
    data = compressed(colored, syntax, lambda _: stream, "YBR_PARTIAL_420", fragments=fragments, NumberOfFrames=count)
    clip, wrapped = (InProcessDecoder(Limits()).open(each) for each in (stream, data))
    assert (wrapped.format, wrapped.count) == ("dicom", count)
    for number in (0, count - 1, count // 2):
        frame = wrapped.read(number)
        assert np.array_equal(frame.pixels, clip.read(number).pixels)
        assert (frame.index, frame.count) == (number, count)
    assert wrapped.read(count - 1).seconds == last
