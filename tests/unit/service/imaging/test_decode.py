"""PNG, JPEG, BMP, TIFF and WebP: the gray levels of every mode, orientation and frame."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from service.errors import (
    FrameTooLarge,
    NoSuchFrame,
    UnreadableFrame,
)
from service.imaging.decode import decode_frame
from service.imaging.frame import Limits
from tests.support.images import (
    LOSSLESS,
    LOSSY,
    animation,
    colored,
    encode,
    png_chunk,
    speckle,
    tiff,
    with_orientation,
)


def pillow_gray(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L"))


def distance(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_lossless_gray_comes_back_exactly(kind: str, options: dict[str, Any]) -> None:
    pixels = speckle()
    frame = decode_frame(encode(pixels, kind, **options))
    # WebP has no gray: its pixels make the way through RGB.
    assert distance(frame.pixels, pixels) <= (1 if kind == "WEBP" else 0)
    assert (frame.format, frame.index, frame.count) == (kind.lower(), 0, 1)
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.flags.c_contiguous


@pytest.mark.parametrize(("kind", "options"), LOSSLESS + LOSSY)
@pytest.mark.parametrize("make", [speckle, lambda: colored(speckle())], ids=["gray", "color"])
def test_gray_levels_agree_with_pillow(kind: str, options: dict[str, Any], make: Any) -> None:
    data = encode(make(), kind, **options)
    assert distance(decode_frame(data).pixels, pillow_gray(data)) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_orientation_is_applied_as_pillow_does(kind: str, options: dict[str, Any], orientation: int) -> None:
    data = with_orientation(kind, speckle(), orientation, **options)
    expected = pillow_gray(data)
    assert expected.shape == ((80, 60) if orientation >= 5 else (60, 80))
    assert distance(decode_frame(data).pixels, expected) <= 1


@pytest.mark.parametrize("orientation", [0, 9, 700])
def test_an_orientation_that_does_not_exist_is_upright(orientation: int) -> None:
    pixels = speckle()
    assert distance(decode_frame(with_orientation("PNG", pixels, orientation)).pixels, pixels) == 0


def test_orientation_that_follows_the_pixels_of_a_png_counts_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = encode(speckle())
    end = plain.rindex(b"IEND") - 4
    data = plain[:end] + png_chunk(b"eXIf", exif.tobytes()[6:]) + plain[end:]
    assert decode_frame(data).pixels.shape == (80, 60)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("TIFF", {"big_tiff": True})], ids=["png", "tiff", "bigtiff"]
)
def test_16_bits_scale_from_the_full_range(kind: str, options: dict[str, Any]) -> None:
    pixels = np.array([[0, 1, 128, 129], [257, 32768, 65279, 65535]], np.uint16)
    frame = decode_frame(encode(pixels, kind, **options))
    assert frame.pixels.tolist() == [[0, 0, 0, 1], [1, 128, 254, 255]]


def test_12_bits_scale_from_4095() -> None:
    frame = decode_frame(tiff(1, 12, bytes([0x00, 0x0F, 0xFF]), 2, 1))
    assert frame.pixels.tolist() == [[0, 255]]


def test_white_is_zero_is_inverted() -> None:
    pixels = struct.pack("<HH", 0, 65535)
    assert decode_frame(tiff(0, 16, pixels, 2, 1)).pixels.tolist() == [[255, 0]]
    assert decode_frame(tiff(0, 8, b"\0\xff", 2, 1)).pixels.tolist() == [[255, 0]]


def test_alpha_is_composited_over_black() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[..., :3] = 200
    rgba[0, :, 3] = 0, 128, 255
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        assert decode_frame(encode(rgba, kind, **options)).pixels.tolist() == [[0, 100, 200]]


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True, "exact": True})],
)
def test_alpha_that_is_zero_everywhere_is_ignored(kind: str, options: dict[str, Any]) -> None:
    for seed in range(3):
        rgba = np.dstack([np.random.default_rng(seed).integers(0, 256, (5, 7, 3)), np.zeros((5, 7))]).astype(np.uint8)
        expected = np.asarray(Image.fromarray(rgba[..., :3]).convert("L"))
        frame = decode_frame(encode(rgba, kind, **options))
        assert np.abs(frame.pixels.astype(int) - expected).max() <= 1
        assert frame.colors is not None
        rgba[0, 0, 3] = 255
        assert not decode_frame(encode(rgba, kind, **options)).pixels[1:].any()


@pytest.mark.parametrize("header", [40, 56, 108, 124])
def test_a_bitmap_of_32_bits_whose_alpha_is_zero_everywhere(header: int) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    stored = np.dstack([pixels[::-1]] * 3 + [np.zeros_like(pixels)]).tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(header - 40, b"\0")[: header - 40]
    compression = 0 if header == 40 else 3
    info = struct.pack("<IiiHHIIiiII", header, 4, 3, 1, 32, compression, len(stored), 2835, 2835, 0, 0) + masks
    start = 14 + len(info)
    bitmap = b"BM" + struct.pack("<IHHI", start + len(stored), 0, 0, start) + info + stored
    assert np.array_equal(decode_frame(bitmap).pixels, pixels)


def test_a_transparent_value_becomes_black() -> None:
    gray8 = Image.fromarray(np.array([[90, 91]], np.uint8))
    assert decode_frame(encode(gray8, transparency=90)).pixels.tolist() == [[0, 91]]
    gray16 = Image.fromarray(np.array([[60000, 65535]], np.uint16))
    assert decode_frame(encode(gray16, transparency=60000)).pixels.tolist() == [[0, 255]]


def test_palette_goes_through_its_colors() -> None:
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([0, 0, 0, 255, 0, 0, 255, 255, 255])
    assert decode_frame(encode(image)).pixels.tolist() == [[0, 76, 255]]
    assert decode_frame(encode(image, transparency=2)).pixels.tolist() == [[0, 76, 0]]


def test_bilevel_is_black_and_white() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    for kind in ("PNG", "BMP", "TIFF"):
        assert decode_frame(encode(image, kind)).pixels.tolist() == [[0, 255]]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_goes_through_rgb(kind: str) -> None:
    pixels = speckle()
    data = encode(Image.fromarray(colored(pixels)).convert("CMYK"), kind)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").convert("L"))
    assert distance(decode_frame(data).pixels, expected) == 0


def test_lab_becomes_its_lightness() -> None:
    image = Image.merge("LAB", [Image.fromarray(speckle())] * 3)
    assert distance(decode_frame(encode(image, "TIFF")).pixels, speckle()) == 0


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_range_are_refused(mode: str) -> None:
    with pytest.raises(UnreadableFrame, match="no defined range"):
        decode_frame(encode(Image.new(mode, (4, 4)), "TIFF"))


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"big_tiff": True})]
)
def test_the_index_selects_the_frame(kind: str, options: dict[str, Any]) -> None:
    frames = [speckle(seed=seed) for seed in range(3)]
    data = animation(kind, frames, **options)
    for index, expected in enumerate(frames):
        frame = decode_frame(data, index=index)
        assert (frame.index, frame.count) == (index, 3)
        assert distance(frame.pixels, expected) <= 1
    for index in (3, -1, 10**9):
        with pytest.raises(NoSuchFrame, match="this file has 3 frames"):
            decode_frame(data, index=index)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_a_still_has_one_frame(kind: str) -> None:
    with pytest.raises(NoSuchFrame, match="this file has 1 frame"):
        decode_frame(encode(speckle(), kind), index=1)


def test_every_frame_of_an_animation_up_to_the_requested_one_counts_as_pixels() -> None:
    data = animation("PNG", [speckle(seed=seed) for seed in range(3)])
    limits = Limits(max_pixels=2 * 60 * 80)
    assert decode_frame(data, index=1, limits=limits).index == 1
    with pytest.raises(FrameTooLarge):
        decode_frame(data, index=2, limits=limits)


@settings(max_examples=60, deadline=None)
@given(
    pixels=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)),
    kind=st.sampled_from(["PNG", "BMP", "TIFF"]),
)
def test_any_gray_frame_comes_back_exactly(pixels: np.ndarray[Any, np.dtype[np.uint8]], kind: str) -> None:
    assert np.array_equal(decode_frame(encode(pixels, kind)).pixels, pixels)
