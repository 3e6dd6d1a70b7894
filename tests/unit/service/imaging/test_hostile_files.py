"""Bombs, damage, and bytes that are not a picture: each is refused with its reason, at little cost."""

import struct
import tracemalloc
import warnings
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from service.errors import (
    EmptyUpload,
    FrameTooLarge,
    Problem,
    UnreadableFrame,
    UnsupportedFormat,
    UploadTooLarge,
)
from service.imaging.decode import decode_frame
from service.imaging.frame import Limits
from tests.support.images import (
    LOSSLESS,
    LOSSY,
    animation,
    encode,
    png_bomb,
    speckle,
    tiff,
    webp_bomb,
    with_orientation,
)


def bmp_bomb() -> bytes:
    data = bytearray(encode(speckle(), "BMP"))
    data[18:26] = struct.pack("<II", 60_000, 60_000)
    return bytes(data)


def jpeg_bomb() -> bytes:
    data = bytearray(encode(speckle(), "JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", 60_000, 60_000)
    return bytes(data)


BOMBS = {
    "png": png_bomb(),
    "jpeg": jpeg_bomb(),
    "bmp": bmp_bomb(),
    "tiff": tiff(1, 8, bytes(64), 60_000, 60_000),
    "webp": webp_bomb(),
    "long": png_bomb(10**9, 1),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused_by_their_header(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(FrameTooLarge):
        decode_frame(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_the_limit_is_in_pixels_and_exact() -> None:
    data = encode(speckle(60, 80))
    assert decode_frame(data, limits=Limits(max_pixels=4800)).pixels.shape == (60, 80)
    with pytest.raises(FrameTooLarge, match="80 x 60"):
        decode_frame(data, limits=Limits(max_pixels=4799))


def test_the_limit_is_in_bytes_and_exact() -> None:
    data = encode(speckle())
    assert decode_frame(data, limits=Limits(max_bytes=len(data))).format == "png"
    with pytest.raises(UploadTooLarge):
        decode_frame(data, limits=Limits(max_bytes=len(data) - 1))


def test_a_tile_larger_than_its_picture_is_refused() -> None:
    tags = [
        (256, 4),
        (257, 4),
        (258, 8),
        (259, 8),
        (262, 1),
        (277, 1),
        (322, 60_000),
        (323, 60_000),
        (324, 8),
        (325, 8),
    ]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHIHxx", tag, 3, 1, value) for tag, value in tags)
    with pytest.raises(FrameTooLarge):
        decode_frame(b"II*\0" + struct.pack("<I", 16) + bytes(8) + directory + bytes(4))


def test_pages_are_bounded_and_loops_end() -> None:
    page = struct.pack("<H", 0)
    looped = b"II*\0" + struct.pack("<I", 8) + page + struct.pack("<I", 8)
    with pytest.raises(UnreadableFrame):
        decode_frame(looped)
    many = b"II*\0" + struct.pack("<I", 8) + b"".join(page + struct.pack("<I", 14 + 6 * n) for n in range(2000))
    with pytest.raises((FrameTooLarge, UnreadableFrame)):
        decode_frame(many)
    with pytest.raises(FrameTooLarge, match="pages"):
        decode_frame(animation("TIFF", [speckle(2, 2)] * 1001))


def test_jpeg_of_endless_scans_is_refused() -> None:
    data = encode(speckle(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    with pytest.raises(UnreadableFrame, match="scans"):
        decode_frame(data[:start] + data[start:-2] * 101 + data[-2:])


@pytest.mark.parametrize(
    ("kind", "options"), [*LOSSLESS, *LOSSY, ("PNG", {"interlace": 1})], ids=lambda value: str(value)
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_cut_short(kind: str, options: dict[str, Any], share: float) -> None:
    data = encode(speckle(), kind, **options)
    with pytest.raises((UnreadableFrame, UnsupportedFormat)) as caught:
        decode_frame(data[: int(len(data) * share)])
    if share >= 0.5:
        assert caught.type is UnreadableFrame


def test_zero_size() -> None:
    with pytest.raises(UnreadableFrame):
        decode_frame(png_bomb(0, 0))


NOT_IMAGES = {
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "zip": b"PK\x03\x04" + bytes(40),
    "text that starts as BMP": b"BMI of the mother is 23",
    "one byte": b"\0",
    "pdf": b"%PDF-1.7",
    "wave": b"RIFF\0\0\0\0WAVE",
    "text": b"plain text",
}


@pytest.mark.parametrize("data", NOT_IMAGES.values(), ids=NOT_IMAGES.keys())
def test_what_is_not_an_image_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        decode_frame(data)


def test_empty() -> None:
    with pytest.raises(EmptyUpload):
        decode_frame(b"")


def test_no_process_wide_state_is_touched() -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    decode_frame(encode(speckle()))
    with pytest.raises(FrameTooLarge):
        decode_frame(png_bomb())
    assert (limit, filters) == (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    assert cv2.getNumThreads() == 1


SEEDS = [
    encode(speckle(16, 16), kind, **options)
    for kind, options in [*LOSSLESS, *LOSSY, ("PNG", {"bits": 4}), ("TIFF", {"compression": "jpeg"})]
]
SEEDS += [animation("PNG", [speckle(8, 8), speckle(8, 8, 1)]), animation("WEBP", [speckle(8, 8), speckle(8, 8, 1)])]
SEEDS += [with_orientation("JPEG", speckle(8, 8), 6), encode(Image.new("RGBA", (8, 8))), encode(Image.new("P", (8, 8)))]


@settings(max_examples=400, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 4000),
    index=st.integers(0, 3),
)
def test_hostile_bytes_are_decoded_or_refused(seed: bytes, edits: list[tuple[int, int]], cut: int, index: int) -> None:
    data = bytearray(seed)
    for position, value in edits:
        data[position % len(data)] = value
    limits = Limits(max_bytes=10_000, max_pixels=100_000)
    try:
        frame = decode_frame(bytes(data[: max(cut, 1) if cut % 3 == 0 else None]), index=index, limits=limits)
    except Problem:
        return
    assert frame.pixels.ndim == 2
    assert 0 < frame.pixels.size <= limits.max_pixels
    assert frame.pixels.dtype == np.uint8
