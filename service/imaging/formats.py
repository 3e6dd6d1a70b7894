"""Detect the format of an upload from its first bytes. File names and content types are not to be trusted."""

import struct

from service.errors import EmptyUpload, UnsupportedFormat
from service.imaging.dicom.scan import Data, is_dicom
from service.imaging.other_formats import describe
from service.schemas.answers import Format

_HEAD = 64  # bytes that identify every format except DICOM
_START = 4096  # bytes that identify the formats which are not supported
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)  # "BM" alone also starts plain text


def detect_format(upload: Data) -> Format:
    """Return the format of an upload.

    Raises
    ------
    EmptyUpload
        The upload is empty.
    UnsupportedFormat
        The bytes start like none of the supported formats.
    """
    if not len(upload):
        raise EmptyUpload("The upload is empty.")
    if is_dicom(upload):  # first, because its preamble may look like a TIFF
        return "dicom"
    data = upload[:_HEAD]
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(_TIFF_STARTS):
        return "tiff"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    raise UnsupportedFormat(f"{describe(bytes(upload[:_START]))} Supported are PNG, JPEG, BMP, TIFF, WebP and DICOM.")


def webp_header(data: bytes) -> tuple[int, int, bool]:
    """Return width and height of a WebP, and whether it is a still picture without alpha and without EXIF.

    Raises ValueError where the header is not a WebP header, and struct.error where it is cut short.
    """
    kind = data[12:16]
    if kind == b"VP8X":
        flags, width, width_high, height, height_high = struct.unpack_from("<B3xHBHB", data, 20)
        animated_alpha_or_exif = flags & 0b0001_1010
        return (width | width_high << 16) + 1, (height | height_high << 16) + 1, not animated_alpha_or_exif
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, not bits >> 28 & 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF, True
    raise ValueError("not a WebP header")
