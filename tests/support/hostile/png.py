"""Hostile PNG files."""

import struct
import zlib

from tests.support.hostile.make import HEIGHT, WIDTH, Makers
from tests.support.images import png_chunk

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = png_chunk(b"IEND", b"")
_GRAY, _PALETTE, _RGBA = 0, 3, 6


def _file(*parts: bytes, size: tuple[int, int] = (64, 64), depth: int = 8, color: int = _GRAY, lace: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, lace)
    return b"".join([_SIGNATURE, png_chunk(b"IHDR", header), *parts])


def _zeros(count: int) -> bytes:
    """Return a zlib stream that inflates to `count` zeros."""
    deflate = zlib.compressobj(9)
    parts = [deflate.compress(bytes(2**20)) for _ in range(count // 2**20)]
    return b"".join([*parts, deflate.compress(bytes(count % 2**20)), deflate.flush()])


def _pixels(count: int = 64 * 65) -> bytes:
    return png_chunk(b"IDAT", _zeros(count))


def _lying(length: int) -> bytes:
    return _file(struct.pack(">I", length) + b"IDAT" + bytes(8), size=(8, 8))


def _bomb(kind: bytes, head: bytes, count: int, *, after: bool) -> bytes:
    bombs = png_chunk(kind, head + _zeros(7_900_000)) * count
    return _file(_pixels(), bombs, _END) if after else _file(bombs, _pixels(), _END)


def _animated(
    frames: int, claimed: int, size: tuple[int, int] = (64, 64), part: tuple[int, ...] = (1, 1, 0, 0)
) -> bytes:
    chunks = [png_chunk(b"acTL", struct.pack(">II", claimed, 0))]
    data = _zeros((part[0] + 1) * part[1])
    for number in range(frames):
        control = struct.pack(">5IHHBB", 2 * number, *part, 1, 1, 0, 0)
        chunks += [png_chunk(b"fcTL", control), png_chunk(b"fdAT", struct.pack(">I", 2 * number + 1) + data)]
    return _file(chunks[0], _pixels((size[0] + 1) * size[1]), *chunks[1:], _END, size=size)


def _exif_loop() -> bytes:
    """Return EXIF whose directory points to itself."""
    exif = b"MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08"
    return _file(png_chunk(b"eXIf", exif), _pixels(), _END)


FILES: Makers = {
    "png-data-length-4gib": lambda: _lying(0xFFFF_FFFF),
    "png-data-length-2gib": lambda: _lying(0x7FFF_FFFF),
    "png-data-length-31mb": lambda: _lying(31 * 2**20),
    "png-texts-after-pixels": lambda: _bomb(b"zTXt", b"k\0\0", 200, after=True),
    "png-texts-before-pixels": lambda: _bomb(b"zTXt", b"k\0\0", 200, after=False),
    "png-international-texts": lambda: _bomb(b"iTXt", b"k\0\1\0\0\0", 200, after=True),
    "png-profiles": lambda: _bomb(b"iCCP", b"k\0\0", 200, after=False),
    "png-inflates-to-256mib": lambda: _file(_pixels(2**28), _END),
    "png-inflates-in-many-chunks": lambda: _file(*[_pixels(2**20)] * 900, _END),
    "png-empty-data-chunks": lambda: _file(*[png_chunk(b"IDAT", b"")] * 90_000, _pixels(), _END),
    "png-unknown-chunks": lambda: _file(*[png_chunk(b"abCd", b"")] * 500_000, _pixels(), _END),
    "png-two-headers": lambda: _file(
        png_chunk(b"IHDR", struct.pack(">IIBBBBB", 9999, 9999, 16, 6, 0, 0, 0)), _pixels()
    ),
    "png-largest-gray-without-data": lambda: _file(_pixels(100), _END, size=(WIDTH, HEIGHT)),
    "png-largest-rgba-16-interlaced": lambda: _file(
        _pixels((WIDTH * 8 + 8) * HEIGHT * 2), _END, size=(WIDTH, HEIGHT), depth=16, color=_RGBA, lace=1
    ),
    "png-largest-1-bit": lambda: _file(_pixels((WIDTH // 8 + 1) * HEIGHT), _END, size=(WIDTH, HEIGHT), depth=1),
    "png-palette-missing": lambda: _file(_pixels(), _END, color=_PALETTE),
    "png-palette-of-30000": lambda: _file(png_chunk(b"PLTE", bytes(90_000)), _pixels(), _END, color=_PALETTE),
    "png-animation-of-100000": lambda: _animated(100_000, 100_000),
    "png-animation-claims-2-billion": lambda: _animated(3, 2**31 - 1),
    "png-animation-claims-1000": lambda: _animated(3, 1000),
    "png-animation-of-large-frames": lambda: _animated(900, 900, (4000, 4000), (4000, 4000, 0, 0)),
    "png-animation-outside": lambda: _animated(3, 3, (64, 64), (64, 64, 2**31 - 1, 2**31 - 1)),
    "png-exif-loop": _exif_loop,
}
