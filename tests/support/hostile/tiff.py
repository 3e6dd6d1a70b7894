"""Hostile TIFF files."""

import struct
import zlib

from tests.support.hostile.make import HEIGHT, WIDTH, Makers
from tests.support.images import animation, encode, speckle

_SHORT, _LONG = 3, 4
_LZW, _JPEG, _DEFLATE, _PACKBITS = 5, 7, 8, 32773


def _file(
    data: bytes, tags: dict[int, int], *, counts: dict[int, int] | None = None, next_at: int | None = None
) -> bytes:
    """Return a TIFF of one directory after its data; `counts` lie about the number of values of a tag."""
    at = 8 + len(data) + len(data) % 2
    entries = b"".join(
        struct.pack("<HHII", tag, _LONG, (counts or {}).get(tag, 1), value) for tag, value in sorted(tags.items())
    )
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", at if next_at == -1 else next_at or 0)
    return b"II*\0" + struct.pack("<I", at) + data + bytes(len(data) % 2) + directory


def _picture(data: bytes, compression: int = 1, size: tuple[int, int] = (64, 64), **more: dict[int, int]) -> bytes:
    tags = {256: size[0], 257: size[1], 258: 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: size[1], 279: len(data)}
    return _file(data, tags | more.get("tags", {}), counts=more.get("counts"))


def _tiled(tile: tuple[int, int], size: tuple[int, int] = (64, 64), data: bytes = bytes(4096)) -> bytes:
    tags = {256: size[0], 257: size[1], 258: 8, 259: 1, 262: 1, 277: 1, 322: tile[0], 323: tile[1], 324: 8, 325: 4096}
    return _file(data, tags)


def _deflated(count: int) -> bytes:
    deflate = zlib.compressobj(9)
    return b"".join([*(deflate.compress(bytes(2**20)) for _ in range(count // 2**20)), deflate.flush()])


def _strips(size: tuple[int, int]) -> bytes:
    """Return a picture whose every row is a strip, all at one place."""
    rows = size[1]
    offsets, lengths = struct.pack("<I", 8) * rows, struct.pack("<I", 64) * rows
    tags = {256: size[0], 257: rows, 258: 8, 259: _PACKBITS, 262: 1, 273: 8, 277: 1, 278: 1, 279: 8 + 4 * rows}
    return _file(offsets + lengths, tags, counts={273: rows, 279: rows})


def _directories(count: int) -> bytes:
    """Return a chain of directories with one tag each."""
    parts = [b"II*\0" + struct.pack("<I", 8)]
    parts += [struct.pack("<HHHIII", 1, 256, _LONG, 1, 64, 8 + 18 * (number + 1)) for number in range(count)]
    return b"".join(parts)


def _big() -> bytes:
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, 16)
    return head + struct.pack("<Q", 1) + struct.pack("<HHQQ", 273, _LONG, 2**60, 16) + bytes(8)


def _loop() -> bytes:
    tags = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 64, 279: 4096}
    return _file(bytes(4096), tags, next_at=-1)


def _huge_pages(count: int) -> bytes:
    """Return small pages whose headers claim the largest size."""
    data = animation("TIFF", [speckle(64, 64, seed) for seed in range(count)])
    size = struct.pack("<HHIHxx", 256, _SHORT, 1, 64), struct.pack("<HHIHxx", 257, _SHORT, 1, 64)
    large = struct.pack("<HHII", 256, _LONG, 1, WIDTH), struct.pack("<HHII", 257, _LONG, 1, HEIGHT)
    assert size[0] in data or struct.pack("<HHII", 256, _LONG, 1, 64) in data
    for kind, old, new in ((256, size[0], large[0]), (257, size[1], large[1])):
        data = data.replace(old, new).replace(struct.pack("<HHII", kind, _LONG, 1, 64), new)
    return data


FILES: Makers = {
    "tiff-tag-of-4-billion": lambda: _picture(bytes(4096), counts={273: 2**32 - 1}),
    "tiff-tag-of-the-file": lambda: _picture(bytes(16_000_000), tags={33432: 8}, counts={33432: 4_000_000}),
    "tiff-bits-of-a-million": lambda: _picture(bytes(4_000_000), counts={258: 1_000_000}),
    "tiff-samples-65535": lambda: _picture(bytes(4096), tags={277: 65_535}),
    "tiff-strip-of-4gib": lambda: _picture(bytes(4096), tags={279: 2**32 - 1}),
    "tiff-strip-elsewhere": lambda: _picture(bytes(4096), tags={273: 2**32 - 100}),
    "tiff-rows-0": lambda: _picture(bytes(4096), tags={278: 0}),
    "tiff-directory-loop": _loop,
    "tiff-directories": lambda: _directories(200_000),
    "tiff-pages-of-32-megapixels": lambda: _huge_pages(20),
    "tiff-tile-larger-than-page": lambda: _tiled((60_000, 60_000)),
    "tiff-tile-at-the-limit": lambda: _tiled((16_384, 1_952)),
    "tiff-tiles-of-16": lambda: _tiled((16, 16), (WIDTH, HEIGHT)),
    "tiff-tile-0": lambda: _tiled((0, 0)),
    "tiff-deflate-bomb": lambda: _picture(_deflated(2**28), _DEFLATE),
    "tiff-deflate-bomb-largest": lambda: _picture(_deflated(2**28), _DEFLATE, (WIDTH, HEIGHT)),
    "tiff-lzw-nonsense": lambda: _picture(b"\x80\x00\x55" * 100_000, _LZW, (WIDTH, HEIGHT)),
    "tiff-jpeg-nonsense": lambda: _picture(encode(speckle(), "JPEG")[:300], _JPEG, (WIDTH, HEIGHT)),
    "tiff-strips-at-one-place": lambda: _strips((WIDTH, HEIGHT)),
    "tiff-strips-of-one-pixel": lambda: _strips((1, 16_384)),
    "tiff-big-tag": _big,
}
