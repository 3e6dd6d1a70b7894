"""Honest files of every format, in any size: makers by a name that says what they make."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support import dicom_objects as dicoms
from tests.support.images import animation, encode, png_chunk

Pixels = NDArray[Any]
Maker = Callable[[Pixels], bytes]
"""Returns a file of a gray frame, uint8 [H, W]."""


def drawn(width: int, height: int) -> Pixels:
    """Return a gray frame of blocks, which every format compresses well."""
    blocks = np.random.default_rng(0).integers(0, 256, (-(-height // 64), -(-width // 64)), np.uint8)
    return np.kron(blocks, np.ones((64, 64), np.uint8))[:height, :width]


def noise(width: int, height: int) -> Pixels:
    """Return a gray frame that no format compresses."""
    return np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)


def _picture(kind: str, mode: str = "L", **options: Any) -> Maker:
    return lambda pixels: encode(Image.fromarray(pixels).convert(mode), kind, **options)


def _deep(kind: str) -> Maker:
    return lambda pixels: encode(pixels.astype(np.uint16) * 257, kind)


def _rgba_16(pixels: Pixels) -> bytes:
    """Return a PNG of four channels of 16 bits, which Pillow does not write."""
    deep = pixels.astype(np.uint16) * 257
    done, file = cv2.imencode(".png", cv2.merge([deep, deep, deep, deep]))
    assert done
    return file.tobytes()


def _interlaced(pixels: Pixels) -> bytes:
    """Return an interlaced PNG of four channels of 16 bits (Adam7), all pixels alike."""
    height, width = pixels.shape
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    deflate, data = zlib.compressobj(1), list[bytes]()
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        data += [deflate.compress(bytes(1 + 8 * columns)) for _ in range(rows)]
    header = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 1)
    chunks = png_chunk(b"IHDR", header), png_chunk(b"IDAT", b"".join([*data, deflate.flush()])), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _turned(pixels: Pixels) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(Image.fromarray(pixels).convert("RGB"), "JPEG", exif=exif.tobytes())


def _tiled(pixels: Pixels) -> bytes:
    """Return a TIFF of tiles of 256 x 256 pixels in three colors."""
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(
        file, "TIFF", compression="tiff_adobe_deflate", tiffinfo={322: 256, 323: 256}
    )
    return file.getvalue()


def _frames(kind: str, count: int, **options: Any) -> Maker:
    return lambda pixels: animation(kind, [np.roll(pixels, number, 1) for number in range(count)], **options)


def _dicom(syntax: str, encoder: Callable[[Pixels], bytes], *, color: bool = False, deep: bool = False) -> Maker:
    def make(pixels: Pixels) -> bytes:
        frame = np.dstack([pixels, pixels, 255 - pixels]) if color else pixels
        frame = frame.astype(np.uint16) * 257 if deep else frame
        return dicoms.compressed([frame], syntax, encoder, "RGB" if color else "MONOCHROME2")

    return make


def _native(*, color: bool = False, deep: bool = False, **options: Any) -> Maker:
    def make(pixels: Pixels) -> bytes:
        frame = np.dstack([pixels] * 3) if color else pixels.astype(np.uint16) if deep else pixels
        return dicoms.native([frame], **options)

    return make


def _rle(pixels: Pixels) -> bytes:
    """Return RLE of a black frame; the encoder of pydicom takes minutes for a large one."""
    planes = (1 if pixels.ndim == 2 else 3) * pixels.dtype.itemsize
    plane: bytes = b"\x81\0" * -(-pixels.shape[0] * pixels.shape[1] // 128)
    starts = [64 + number * len(plane) for number in range(planes)]
    return struct.pack("<16I", planes, *starts, *[0] * (15 - planes)) + plane * planes


_PALETTE: dict[str, Any] = {
    f"{color}PaletteColorLookupTable{part}": value
    for color in ("Red", "Green", "Blue")
    for part, value in (("Descriptor", [256, 0, 16]), ("Data", bytes(512)))
}

MAKERS: dict[str, Maker] = {
    "PNG, gray": _picture("PNG"),
    "PNG, color": _picture("PNG", "RGB"),
    "PNG, 16 bits": _deep("PNG"),
    "PNG, alpha": _picture("PNG", "RGBA"),
    "PNG, alpha, 16 bits": _rgba_16,
    "PNG, alpha, 16 bits, interlaced": _interlaced,
    "PNG, palette": _picture("PNG", "P"),
    "PNG, animated": _frames("PNG", 3),
    "JPEG, gray": _picture("JPEG"),
    "JPEG, color": _picture("JPEG", "RGB"),
    "JPEG, color, turned by EXIF": _turned,
    "JPEG, gray, progressive": _picture("JPEG", progressive=True),
    "JPEG, color, progressive": _picture("JPEG", "RGB", progressive=True, quality=95, subsampling=0),
    "JPEG, CMYK": _picture("JPEG", "CMYK"),
    "JPEG, CMYK, progressive": _picture("JPEG", "CMYK", progressive=True),
    "TIFF, gray": _picture("TIFF"),
    "TIFF, 16 bits": _deep("TIFF"),
    "TIFF, color, LZW": _picture("TIFF", "RGB", compression="tiff_lzw"),
    "TIFF, color, tiles, Deflate": _tiled,
    "TIFF, color, JPEG": _picture("TIFF", "RGB", compression="jpeg"),
    "TIFF, CMYK, LZW": _picture("TIFF", "CMYK", compression="tiff_lzw"),
    "TIFF, CMYK": _picture("TIFF", "CMYK"),
    "TIFF, alpha": _picture("TIFF", "RGBA", compression="packbits"),
    "TIFF, 1 bit": _picture("TIFF", "1", compression="group4"),
    "TIFF, 3 pages": _frames("TIFF", 3, compression="tiff_lzw"),
    "WebP, lossy": _picture("WEBP", "RGB"),
    "WebP, lossless": _picture("WEBP", "RGB", lossless=True, quality=0, method=0),
    "WebP, alpha": _picture("WEBP", "RGBA", lossless=True, quality=0, method=0),
    "WebP, animated": _frames("WEBP", 3, lossless=True, quality=0, method=0),
    "BMP, gray": _picture("BMP"),
    "BMP, color": _picture("BMP", "RGB"),
    "DICOM, gray": _native(),
    "DICOM, 16 bits": _native(deep=True),
    "DICOM, color": _native(color=True),
    "DICOM, palette": _native(photometric="PALETTE COLOR", **_PALETTE),
    "DICOM, gray, deflated": _native(syntax=dicoms.DEFLATED),
    "DICOM, color, RLE": _dicom(dicoms.RLE, _rle, color=True),
    "DICOM, 16 bits, RLE": _dicom(dicoms.RLE, _rle, deep=True),
    "DICOM, color, JPEG": _dicom(dicoms.BASELINE, dicoms.jpeg, color=True),
    "DICOM, color, JPEG-LS": _dicom(dicoms.LS_LOSSLESS, dicoms.jpeg_ls_lossless, color=True),
    "DICOM, 16 bits, JPEG-LS": _dicom(dicoms.LS_LOSSLESS, dicoms.jpeg_ls_lossless, deep=True),
    "DICOM, gray, JPEG 2000": _dicom(dicoms.J2K_LOSSLESS, dicoms.jpeg_2000),
    "DICOM, color, JPEG 2000": _dicom(dicoms.J2K_LOSSLESS, dicoms.jpeg_2000, color=True),
    "DICOM, 16 bits, JPEG 2000": _dicom(dicoms.J2K_LOSSLESS, dicoms.jpeg_2000, deep=True),
}
