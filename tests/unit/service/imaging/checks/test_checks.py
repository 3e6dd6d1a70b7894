"""Structure is checked before decoding: hostile files are refused within milliseconds, good ones keep their pixels."""

import io
import struct
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.errors import UnreadableFrame
from service.imaging.checks.jpeg import check_jpeg
from service.imaging.checks.jpeg_2000 import Grid, check_partition
from service.imaging.checks.png import check_png
from service.imaging.checks.tiff import check_tiff
from service.imaging.checks.webp import check_webp
from service.imaging.decode import decode_frame
from tests.support.images import animation, colored, encode, png_chunk, speckle

STILL = encode(speckle())
JPEG = encode(speckle(), "JPEG")
SIGNATURE = STILL[:8]
HEADER = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))


def jpeg_2000(precinct: int = 15, code_block: int = 6, layers: int = 1, side: int = 4096) -> bytes:
    """Return a main header; `precinct` and `code_block` are exponents of two."""
    size = struct.pack(">HHH8IH", 0xFF51, 41, 0, side, side, 0, 0, side, side, 0, 0, 1) + b"\x07\x01\x01"
    style = bytes([1, 0]) + struct.pack(">H", layers) + bytes([0, 5, code_block - 2, code_block - 2, 0, 1])
    style += bytes([precinct * 17]) * 6
    return b"\xff\x4f" + size + struct.pack(">HH", 0xFF52, len(style) + 2) + style + b"\xff\x90\x00\x0a" + bytes(8)


def check_jpeg_2000(data: bytes, side: int = 4096) -> None:
    check_partition(data, 2, Grid(side, side, side, side, 1))


def tiff(kind: int, values: int, tags: int = 1) -> bytes:
    entry = struct.pack("<HHII", 270, kind, values, 8)
    return b"II*\0" + struct.pack("<IH", 8, tags) + entry * tags + bytes(4)


HOSTILE: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "a chunk of 4 GiB": (check_png, SIGNATURE + HEADER + struct.pack(">I", 2**32 - 1) + b"IDAT" + bytes(8)),
    "two headers": (check_png, SIGNATURE + HEADER * 2 + png_chunk(b"IDAT", b"")),
    "no header": (check_png, SIGNATURE + png_chunk(b"IDAT", b"")),
    "a million chunks": (check_png, SIGNATURE + HEADER + png_chunk(b"IDAT", b"") * 200_000),
    "a million segments": (check_jpeg, JPEG[:2] + b"\xff\xee\0\2" * 1_000_000 + JPEG[2:]),
    "fill bytes": (check_jpeg, JPEG[:2] + b"\xff" * 1_000_000 + JPEG[2:]),
    "a segment beyond the end": (check_jpeg, JPEG[:2] + b"\xff\xe1\xff\xff" + bytes(9)),
    "precincts of 2 x 2": (check_jpeg_2000, jpeg_2000(precinct=1)),
    "code-blocks of 4 x 4": (check_jpeg_2000, jpeg_2000(code_block=2)),
    "layers": (check_jpeg_2000, jpeg_2000(layers=65_535)),
    "tags of 16 GiB": (check_tiff, tiff(4, 2**32 - 1)),
    "overlapping tags": (check_tiff, tiff(1, 40_000, tags=4_000)),
    "tags beyond number": (check_tiff, tiff(1, 1, tags=65_535)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_structure_is_refused_within_milliseconds(name: str) -> None:
    check, data = HOSTILE[name]
    started = time.process_time()
    with pytest.raises(UnreadableFrame):
        check(data)
    assert time.process_time() - started < 0.1  # some ten milliseconds at most, on a slow machine


@pytest.mark.parametrize("pixels", [speckle(), colored(speckle())])
def test_what_decides_no_pixel_is_left_out(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> None:
    png = encode(pixels)
    text = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000)))
    padded = png[:33] + text * 3 + png[33:]
    assert check_png(padded) == check_png(png)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", comment=b"x" * 900, icc_profile=b"y" * 900)
    assert len(check_jpeg(buffer.getvalue())) < len(buffer.getvalue()) - 1_800
    assert np.array_equal(decode_frame(padded).pixels, decode_frame(png).pixels)


def test_orientation_and_color_transform_stay() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = encode(Image.fromarray(speckle(40, 60)), "JPEG", exif=exif)
    assert decode_frame(rotated).pixels.shape == (60, 40)
    assert b"Exif" in check_jpeg(rotated)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_loops_keep_their_frames(kind: str) -> None:
    loop = animation(kind, [speckle(seed=seed) for seed in range(4)])
    for index in range(4):
        assert np.array_equal(decode_frame(loop, index=index).pixels, speckle(seed=index))


@pytest.mark.parametrize("options", [{}, {"precinct_size": (128, 128)}, {"codeblock_size": (16, 16)},
                                     {"tile_size": (64, 64)}, {"quality_layers": [40, 20, 10]}])  # fmt: skip
def test_jpeg_2000_as_encoders_write_it_passes(options: dict[str, object]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(speckle(300, 400)).save(buffer, "JPEG2000", no_jp2=True, **options)
    tile = (64, 64) if "tile_size" in options else (400, 300)
    check_partition(buffer.getvalue(), 2, Grid(400, 300, *tile, 1))


@given(st.binary(max_size=300), st.sampled_from([check_png, check_jpeg, check_tiff, check_jpeg_2000]))
def test_any_bytes_pass_or_are_refused(data: bytes, check: Callable[[bytes], object]) -> None:
    for start in (b"", STILL[:40], JPEG[:40], b"II*\0\x08\0\0\0", jpeg_2000()[:60]):
        try:
            check(start + data)
        except UnreadableFrame:
            continue


LOOP = animation("WEBP", [speckle(seed=seed) for seed in range(3)], lossless=True)


def with_webp_chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    data = LOOP + kind + struct.pack("<I", size) + body + bytes(len(body) % 2)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@given(st.binary(max_size=99))
def test_a_webp_keeps_its_frames_and_loses_other_chunks(body: bytes) -> None:
    assert check_webp(with_webp_chunk(b"XMP ", body)) == (LOOP, 3)
    assert check_webp(LOOP + body) == (LOOP, 3)  # behind the end of the RIFF


def test_the_frames_of_a_webp_are_read_after_the_check() -> None:
    data = with_webp_chunk(b"abcd", bytes(9))
    for index in range(3):
        assert np.array_equal(decode_frame(data, index=index).pixels, speckle(seed=index))


@pytest.mark.parametrize("length", [10, 2**31, 2**32 - 1])
def test_a_webp_chunk_longer_than_the_file_is_refused(length: int) -> None:
    with pytest.raises(UnreadableFrame, match="longer than the rest"):
        check_webp(with_webp_chunk(b"EXIF", b"x", length))


def test_too_many_webp_chunks_are_refused() -> None:
    with pytest.raises(UnreadableFrame, match="more than 100000 chunks"):
        check_webp(b"RIFF" + struct.pack("<I", 2**30) + b"WEBP" + b"abcd\0\0\0\0" * 100_010)
