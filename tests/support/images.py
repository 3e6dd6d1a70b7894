"""Picture files of every format, made in code."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LOSSLESS: list[tuple[str, dict[str, Any]]] = [
    ("PNG", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("WEBP", {"lossless": True}),
]
LOSSY: list[tuple[str, dict[str, Any]]] = [("JPEG", {"quality": 90}), ("JPEG", {"progressive": True}), ("WEBP", {})]


def speckle(height: int = 60, width: int = 80, seed: int = 0) -> NDArray[np.uint8]:
    """Return a smooth random gray frame, uint8 [H, W], so that lossy formats stay close to it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = np.zeros((height, width))
    for _ in range(5):
        waves += np.sin(rows * rng.uniform(0.05, 0.2) + columns * rng.uniform(0.05, 0.2) + rng.uniform(0, 6))
    return np.clip(128 + 24 * waves, 0, 255).astype(np.uint8)


def encode(pixels: NDArray[Any] | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return an array or picture as a file in Pillow's format `kind`."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colored(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return three different channels [H, W, 3] made from one frame."""
    return np.dstack([pixels, np.roll(pixels, 7, 0), 255 - pixels])


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a PNG whose header claims 60,000 x 60,000 pixels, cut off after its first rows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(2**20))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def webp_bomb() -> bytes:
    """Return an extended WebP whose canvas is 60,000 x 60,000."""
    size = (59_999).to_bytes(3, "little")
    canvas = b"VP8X" + struct.pack("<IB3x", 10, 0b10) + size + size
    return b"RIFF" + struct.pack("<I", len(canvas) + 4) + b"WEBP" + canvas


def animation(kind: str, frames: list[NDArray[np.uint8]], **options: Any) -> bytes:
    """Return an animated or multi-page file of gray frames, lossless."""
    images = [Image.fromarray(frame) for frame in frames]
    return encode(images[0], kind, save_all=True, append_images=images[1:], **options)


def with_orientation(kind: str, pixels: NDArray[np.uint8], orientation: int, **options: Any) -> bytes:
    """Return a picture file whose EXIF orientation is not upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(pixels, kind, exif=exif.tobytes(), **options)


def dicom() -> bytes:
    return bytes(128) + b"DICM" + bytes(64)


def tiff(photometric: int, bits: int, pixels: bytes, width: int, height: int) -> bytes:
    """Return a little-endian TIFF of one uncompressed strip."""
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    tags += [(278, height), (279, len(pixels))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHIHxx", tag, 3, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory + bytes(4)
