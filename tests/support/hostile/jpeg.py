"""Hostile JPEG files."""

import io
import re
import struct

import numpy as np
from PIL import Image

from tests.support.hostile.make import HEIGHT, WIDTH, Makers

_MARKER_DHT, _MARKER_DQT, _MARKER_DNL, _MARKER_DRI = 0xC4, 0xDB, 0xDC, 0xDD
_SOF = re.compile(rb"\xff[\xc0-\xc3]\x00[\x0b\x11]")


def _small(size: tuple[int, int] = (64, 64), *, color: bool = False, **options: bool) -> bytes:
    image = Image.new("RGB" if color else "L", size, 0)
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    """Return a marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _with(between: bytes, data: bytes | None = None) -> bytes:
    """Put bytes after the first marker of a JPEG."""
    data = data or _small()
    return data[:2] + between + data[2:]


def _frame(data: bytes, *, marker: int | None = None, size: tuple[int, int] | None = None) -> bytes:
    """Change the kind or the size in the frame header."""
    found = _SOF.search(data)
    assert found
    at, changed = found.start(), bytearray(data)
    if marker is not None:
        changed[at + 1] = marker
    if size is not None:
        struct.pack_into(">HH", changed, at + 5, size[1], size[0])
    return bytes(changed)


def _scans(count: int, size: tuple[int, int], *, color: bool) -> bytes:
    """Repeat the last scan of a progressive picture."""
    data = _small(size, color=color, progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def _sampling(factor: int) -> bytes:
    """Return a header of four components, whose first has a sampling factor; without data."""
    components = b"\x01" + bytes([factor]) + b"\0" + b"".join(bytes([number, 0x11, 0]) for number in (2, 3, 4))
    start = b"\xff\xd8" + segment(_MARKER_DQT, b"\0" + b"\1" * 64)
    return start + segment(0xC0, struct.pack(">BHHB", 8, HEIGHT, WIDTH, 4) + components) + b"\xff\xd9"


def _restarts() -> bytes:
    data = _with(segment(_MARKER_DRI, b"\0\1"))
    return data[:-2] + b"".join(b"\xff" + bytes([0xD0 + number % 8]) for number in range(500_000)) + b"\xff\xd9"


def _full_table() -> bytes:
    """Return a Huffman table of 256 codes."""
    return segment(_MARKER_DHT, b"\0" + bytes([0, 0, 0, 0, 0, 0, 0, 255, 1, 0, 0, 0, 0, 0, 0, 0]) + bytes(range(256)))


def _noise() -> bytes:
    return np.random.default_rng(0).integers(0, 255, 2_000_000, np.uint8).tobytes()


def _after_scan(data: bytes) -> bytes:
    return _small()[:-2] + data + b"\xff\xd9"


FILES: Makers = {
    "jpeg-empty-segments": lambda: _with(b"\xff\xee\0\2" * 4_000_000),
    "jpeg-comments": lambda: _with(segment(0xFE, bytes(65_000)) * 400),
    "jpeg-fill-bytes": lambda: _with(b"\xff" * 16_000_000),
    "jpeg-quantization-tables": lambda: _with(segment(_MARKER_DQT, b"".join([b"\0" + b"\1" * 64] * 900)) * 300),
    "jpeg-huffman-tables": lambda: _with(_full_table() * 50_000),
    "jpeg-largest-without-data": lambda: _frame(_small(color=True), size=(WIDTH, HEIGHT)),
    "jpeg-largest-progressive-without-data": lambda: _frame(_small(color=True, progressive=True), size=(WIDTH, HEIGHT)),
    "jpeg-99-scans": lambda: _scans(90, (WIDTH, HEIGHT), color=False),
    "jpeg-99-color-scans": lambda: _scans(90, (WIDTH, HEIGHT), color=True),
    "jpeg-100000-scans": lambda: _scans(100_000, (64, 64), color=False),
    "jpeg-arithmetic": lambda: _frame(_small(), marker=0xC9, size=(WIDTH, HEIGHT)),
    "jpeg-arithmetic-progressive": lambda: _frame(_small(progressive=True), marker=0xCA, size=(WIDTH, HEIGHT)),
    "jpeg-lossless": lambda: _frame(_small(), marker=0xC3, size=(WIDTH, HEIGHT)),
    "jpeg-hierarchical": lambda: _frame(_small(), marker=0xC5, size=(WIDTH, HEIGHT)),
    "jpeg-height-follows": lambda: (
        _frame(_small(), size=(WIDTH, 0))[:-2] + segment(_MARKER_DNL, b"\xff\xff") + b"\xff\xd9"
    ),
    "jpeg-two-frames": lambda: _with(segment(0xC0, struct.pack(">BHHB", 8, 65_535, 65_535, 1) + b"\1\x11\0")),
    "jpeg-restarts": _restarts,
    "jpeg-sampling-4x4": lambda: _sampling(0x44),
    "jpeg-sampling-15x15": lambda: _sampling(0xFF),
    "jpeg-zeros-after-scan": lambda: _after_scan(bytes(16_000_000)),
    "jpeg-noise-after-scan": lambda: _after_scan(_noise()),
    "jpeg-segments-after-scan": lambda: _after_scan(b"\xff\xee\0\2" * 4_000_000),
    "jpeg-tables-after-scan": lambda: _after_scan(_full_table() * 50_000),
    "jpeg-exif-loop": lambda: _with(
        segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08")
    ),
    "jpeg-segment-beyond-end": lambda: _small()[:2] + b"\xff\xe1\xff\xff",
}
