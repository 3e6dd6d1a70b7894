"""Hostile DICOM objects: the compressed frames."""

import struct
from typing import Any

import numpy as np

from tests.support import dicom_objects as dicoms
from tests.support.hostile.jpeg import segment
from tests.support.hostile.make import HEIGHT, WIDTH, Makers
from tests.support.images import speckle

GRAY = speckle(64, 64)
_SIZE, _STYLE, _STYLE_OF_COMPONENT, _QUANTIZATION, _ORDER, _TILE = 0x51, 0x52, 0x53, 0x5C, 0x5F, 0x90
_LARGEST = (WIDTH, HEIGHT)


def _frame(codestream: bytes, syntax: str, size: tuple[int, int] = (64, 64), samples: int = 1, **changes: Any) -> bytes:
    """Return an object that holds one frame."""
    pixels = GRAY if samples == 1 else np.dstack([GRAY] * 3)
    photometric = "MONOCHROME2" if samples == 1 else "RGB"
    changes |= {"Columns": size[0], "Rows": size[1]}
    return dicoms.compressed([pixels], syntax, lambda _: codestream, photometric, **changes)


def _jpeg_2000(
    size: tuple[int, int] = _LARGEST,
    *,
    tile: tuple[int, int] | None = None,
    offset: int = 0,
    components: int = 1,
    step: int = 1,
    layers: int = 1,
    levels: int = 5,
    block: tuple[int, int] = (6, 6),
    precinct: int | None = None,
    more: bytes = b"",
) -> bytes:
    """Return a JPEG 2000 codestream without data; `block` and `precinct` are exponents of two."""
    area = (size[0] + offset, size[1] + offset, offset, offset)
    header = struct.pack(">H8IH", 0, *area, *(tile or area[:2]), 0, 0, components) + bytes([7, step, step]) * components
    style = bytes([int(precinct is not None), 0]) + struct.pack(">H", layers)
    style += bytes([0, levels, block[0] - 2, block[1] - 2, 0, 1])
    style += b"" if precinct is None else bytes([precinct * 17]) * (levels + 1)
    start = b"\xff\x4f" + segment(_SIZE, header) + segment(_STYLE, style)
    start += segment(_QUANTIZATION, b"\x40" + bytes([0x40]) * (3 * levels + 1)) + more
    return start + segment(_TILE, struct.pack(">HIBB", 0, 14, 0, 1)) + b"\xff\x93\xff\xd9"


def _j2k(size: tuple[int, int] = _LARGEST, **options: Any) -> bytes:
    return _frame(_jpeg_2000(size, **options), dicoms.J2K_LOSSLESS, size, 3 if options.get("components") == 3 else 1)


def _boxed() -> bytes:
    """Return a codestream in boxes; the first claims 2^63 bytes."""
    box = struct.pack(">I4sQ", 1, b"free", 2**63 - 1)
    return _frame(b"\0\0\0\x0cjP  \r\n\x87\n" + box + _jpeg_2000((64, 64)), dicoms.J2K_LOSSLESS)


def slow_jpeg_2000(side: int = 2_600) -> bytes:
    """Return an honest frame of noise, which takes more than a second of CPU time."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    return dicoms.compressed([noise], dicoms.J2K_LOSSLESS, dicoms.jpeg_2000, "MONOCHROME2")


def _jpeg_ls(size: tuple[int, int], *, tables: bytes = b"", near: int = 0, data: bytes = b"") -> bytes:
    start = b"\xff\xd8" + segment(0xF7, struct.pack(">BHHB", 8, size[1], size[0], 1) + b"\1\x11\0")
    return start + tables + segment(0xDA, b"\1\1\0" + bytes([near, 0, 0])) + data + b"\xff\xd9"


def _ls(size: tuple[int, int] = _LARGEST, **options: Any) -> bytes:
    return _frame(_jpeg_ls(size, **options), dicoms.LS_LOSSLESS, _LARGEST)


def _rle(count: int, offsets: list[int], data: bytes) -> bytes:
    header = struct.pack("<16I", count, *offsets, *[0] * (15 - len(offsets)))
    return _frame(header + data, dicoms.RLE, _LARGEST)


def _lossless(size: tuple[int, int], data: bytes, predictor: int = 1) -> bytes:
    start = b"\xff\xd8" + segment(0xC3, struct.pack(">BHHB", 16, size[1], size[0], 1) + b"\1\x11\0")
    table = segment(0xC4, b"\0" + bytes([0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17)))
    stream = start + table + segment(0xDA, b"\1\1\0" + bytes([predictor, 0, 0])) + data + b"\xff\xd9"
    deep = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    return _frame(stream, dicoms.LOSSLESS_FIRST, _LARGEST, **deep)


def _flood(count: int, frames: int) -> bytes:
    """Return `count` empty fragments for a number of frames."""
    item = b"\xfe\xff\x00\xe0"
    pixels = item + bytes(4) + (item + bytes(4)) * count + b"\xfe\xff\xdd\xe0" + bytes(4)
    return dicoms.write(dicoms.describe([GRAY]), pixels, dicoms.BASELINE, NumberOfFrames=frames)


def _offsets() -> bytes:
    """Return a cine whose offset table has a million entries."""
    table = b"\xfe\xff\x00\xe0" + struct.pack("<I", 4_000_000) + bytes(4_000_000)
    part = dicoms.jpeg(GRAY)
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(part) + len(part) % 2) + part + bytes(len(part) % 2)
    pixels = table + item * 3 + b"\xfe\xff\xdd\xe0" + bytes(4)
    return dicoms.write(dicoms.describe([GRAY] * 2), pixels, dicoms.BASELINE)


FILES: Makers = {
    "j2k-precincts-2x2": lambda: _j2k(precinct=1),
    "j2k-precincts-1x1": lambda: _j2k(precinct=0),
    "j2k-precincts-32x32": lambda: _j2k(precinct=5),
    "j2k-blocks-4x4": lambda: _j2k(block=(2, 2)),
    "j2k-blocks-8x8": lambda: _j2k(block=(3, 3)),
    "j2k-blocks-4x1024": lambda: _j2k(block=(2, 10)),
    "j2k-blocks-of-2-to-the-17": lambda: _j2k(block=(17, 17)),
    "j2k-style-of-component": lambda: _j2k(more=segment(_STYLE_OF_COMPONENT, b"\0\1\5\0\0\0\1" + b"\x11" * 6)),
    "j2k-style-of-component-2": lambda: _j2k(more=segment(_STYLE_OF_COMPONENT, b"\0\0\5\0\0\0\1")),
    "j2k-tiles-of-one-pixel": lambda: _j2k(tile=(1, 1)),
    "j2k-4096-tiles": lambda: _j2k(tile=(128, 62)),
    "j2k-4096-tiles-small-precincts": lambda: _j2k(tile=(128, 62), precinct=5),
    "j2k-layers-65535": lambda: _j2k(layers=65_535),
    "j2k-layers-1000": lambda: _j2k(layers=1_000),
    "j2k-levels-32": lambda: _j2k(levels=32),
    "j2k-levels-200": lambda: _j2k(levels=80),
    "j2k-components-16384": lambda: _j2k(components=16_384),
    "j2k-components-3": lambda: _j2k(components=3),
    "j2k-subsampled-255": lambda: _j2k(step=255),
    "j2k-subsampled-0": lambda: _j2k(step=0),
    "j2k-offset-2-billion": lambda: _j2k(offset=2**31 - 20_000, tile=(2**31 - 1, 2**31 - 1)),
    "j2k-orders": lambda: _j2k(more=segment(_ORDER, b"\0\0\0\1\x21\1\0" * 9_000)),
    "j2k-boxes": _boxed,
    "j2k-slow": slow_jpeg_2000,
    "ls-without-data": lambda: _ls(),
    "ls-size-lies": lambda: _ls((65_535, 65_535)),
    "ls-zeros": lambda: _ls(data=bytes(8_000_000)),
    "ls-ones": lambda: _ls(data=b"\xff\x7f" * 4_000_000),
    "ls-near-255": lambda: _ls(near=255, data=bytes(100)),
    "ls-presets": lambda: _ls(tables=segment(0xF8, b"\1" + b"\xff" * 10) * 10_000),
    "ls-size-in-preset": lambda: _ls(tables=segment(0xF8, b"\4\4" + b"\xff" * 8)),
    "rle-segments-2-billion": lambda: _rle(2**32 - 1, [64], bytes(100)),
    "rle-offset-beyond-end": lambda: _rle(1, [2**32 - 16], bytes(100)),
    "rle-offset-0": lambda: _rle(1, [0], bytes(100)),
    "rle-inflates": lambda: _rle(1, [64], b"\x81\0" * 8_000_000),
    "rle-nothing": lambda: _rle(1, [64], b"\x80" * 16_000_000),
    "lossless-zeros": lambda: _lossless(_LARGEST, bytes(16_000_000)),
    "lossless-zeros-predictor-7": lambda: _lossless(_LARGEST, bytes(16_000_000), 7),
    "lossless-without-data": lambda: _lossless(_LARGEST, b""),
    "lossless-size-lies": lambda: _lossless((65_535, 65_535), bytes(100)),
    "fragments-flood": lambda: _flood(1_000_000, 1),
    "fragments-flood-at-the-limit": lambda: _flood(199_000, 99_000),
    "fragments-offsets": _offsets,
}
