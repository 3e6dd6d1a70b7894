"""Hostile WebP files."""

import struct

import numpy as np

from tests.support.hostile.make import Makers
from tests.support.images import encode, speckle

_ANIMATED, _ALPHA = 0b10, 0b10000


def _riff(body: bytes, size: int | None = None) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4 if size is None else size) + b"WEBP" + body


def _chunk(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    return kind + struct.pack("<I", len(body) if size is None else size) + body + bytes(len(body) % 2)


def _u24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _canvas(width: int, height: int, flags: int = _ANIMATED) -> bytes:
    return _chunk(b"VP8X", struct.pack("<I", flags) + _u24(width - 1) + _u24(height - 1))


def _animation(width: int, height: int, frames: int, at: int = 0, part: tuple[int, int] = (64, 64)) -> bytes:
    still = encode(speckle(part[1], part[0]), "WEBP", lossless=True)[12:]
    head = _u24(at) * 2 + _u24(part[0] - 1) + _u24(part[1] - 1) + _u24(1) + b"\0"
    return _riff(_canvas(width, height) + _chunk(b"ANIM", bytes(6)) + _chunk(b"ANMF", head + still) * frames)


def _cut(width: int, height: int, *, lossless: bool) -> bytes:
    """Return a still picture that ends after its header."""
    data = encode(np.zeros((height, width), np.uint8), "WEBP", lossless=lossless)
    return data[:60]


FILES: Makers = {
    "webp-canvas-of-281-terapixels": lambda: _riff(_canvas(2**24, 2**24)),
    "webp-animation-of-large-canvas": lambda: _animation(5_000, 5_000, 900),
    "webp-animation-of-100000": lambda: _animation(64, 64, 20_000),
    "webp-animation-at-the-limit": lambda: _animation(16_000, 2_000, 900, part=(300, 300)),
    "webp-animation-outside": lambda: _animation(64, 64, 3, at=2**23),
    "webp-largest-cut": lambda: _cut(8_000, 4_000, lossless=True),
    "webp-largest-lossy-cut": lambda: _cut(8_000, 4_000, lossless=False),
    "webp-riff-of-4gib": lambda: _riff(_canvas(64, 64) + _chunk(b"VP8 ", bytes(30)), 0xFFFF_FFFF),
    "webp-chunk-of-4gib": lambda: _riff(_canvas(64, 64) + _chunk(b"VP8L", b"/" + bytes(30), 0xFFFF_FFF0)),
    "webp-chunks": lambda: _riff(_canvas(64, 64, _ALPHA) + _chunk(b"abcd", b"") * 1_000_000),
    "webp-exif-of-16mb": lambda: _riff(_canvas(64, 64, 0b1000) + _chunk(b"EXIF", b"MM\0*" + bytes(16_000_000))),
}
