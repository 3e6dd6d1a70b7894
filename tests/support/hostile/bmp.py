"""Hostile BMP files."""

import struct

from tests.support.hostile.make import HEIGHT, WIDTH, Makers

_RLE8, _RLE4, _BITFIELDS, _JPEG = 1, 2, 3, 4


def _file(
    data: bytes, size: tuple[int, int], bits: int = 8, compression: int = 0, *, colors: int = 0, at: int | None = None
) -> bytes:
    palette = bytes(1024) if bits <= 8 else b""
    start = 54 + len(palette) if at is None else at
    header = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, compression, len(data), 0, 0, colors, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, start) + header + palette + data


FILES: Makers = {
    "bmp-rle-without-end": lambda: _file(b"\xff\x00" * 1000, (WIDTH, HEIGHT), compression=_RLE8),
    "bmp-rle-empty-runs": lambda: _file(b"\x00\x00" * 8_000_000, (WIDTH, HEIGHT), compression=_RLE8),
    "bmp-rle-deltas": lambda: _file(b"\x00\x02\xff\xff" * 4_000_000, (WIDTH, HEIGHT), compression=_RLE8),
    "bmp-rle-deltas-small": lambda: _file(b"\x00\x02\xff\xff" * 4_000_000, (64, 64), compression=_RLE8),
    "bmp-rle-absolute": lambda: _file(b"\x00\xff" + b"\x00\xff" * 4_000_000, (WIDTH, HEIGHT), compression=_RLE8),
    "bmp-rle4-zeros": lambda: _file(bytes(8_000_000), (WIDTH, HEIGHT), 4, _RLE4),
    "bmp-largest-without-data": lambda: _file(b"", (WIDTH, HEIGHT), 32),
    "bmp-upside-down": lambda: _file(bytes(4096), (64, -(2**31))),
    "bmp-negative-width": lambda: _file(bytes(4096), (-64, 64)),
    "bmp-pixels-elsewhere": lambda: _file(bytes(4096), (64, 64), at=0xFFFF_FFF0),
    "bmp-palette-of-4-billion": lambda: _file(bytes(4096), (64, 64), colors=0xFFFF_FFFF),
    "bmp-palette-of-4-million": lambda: _file(bytes(16_000_000), (64, 64), colors=4_000_000),
    "bmp-bit-fields": lambda: _file(bytes(65_536), (64, 64), 32, _BITFIELDS),
    "bmp-jpeg": lambda: _file(bytes(4096), (64, 64), 0, _JPEG),
}
