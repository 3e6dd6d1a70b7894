"""Decode the bytes of a frame into samples, with one function per compression.

A codestream states its own size, and a decoder allocates that size. It is compared with the header's size, which has
been checked against the limits, before anything is decoded.
"""

import io
import struct
from itertools import pairwise

import cv2
import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from PIL import Image, Jpeg2KImagePlugin

from service.errors import UnreadableFrame, UnsupportedFormat
from service.imaging.checks.jpeg_2000 import Grid, check_partition
from service.imaging.dicom.header import JPEG, JPEG_2000, JPEG_LS, NATIVE, RLE, Header
from service.imaging.dicom.jpeg.extended import decode_extended
from service.imaging.dicom.jpeg.lossless import decode_lossless
from service.imaging.dicom.jpeg.segments import EXTENDED, JPEG_LS_SOF, LOSSLESS, SOI, segments

Samples = NDArray[np.uint8 | np.uint16]

# An APP14 marker with color transform 0: the three components are RGB, not YCbCr.
_ADOBE_NO_TRANSFORM = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
_SOS = b"\xff\xda"  # start of scan
_MAX_SCANS = 100  # each scan costs a pass over the frame; encoders write about 10
_MAX_TILES = 4096


def frame_bytes(header: Header, available: int) -> int:
    """Return the number of bytes of a frame, of `available` bytes of uncompressed pixel data."""
    pixels = header.rows * header.columns
    if header.photometric != "YBR_FULL_422":
        return pixels * header.samples * header.allocated // 8
    # Two pixels share one Cb and one Cr (PS3.3, C.7.6.3.1.2). Where rows have an odd number of pixels, some writers
    # complete the last pair of each row; others let a pair cross into the next row, and complete the last of the frame.
    for length in (header.rows * (header.columns + 1 & ~1) * 2, (pixels + 1 & ~1) * 2):
        if length * max(1, header.frames) <= available:
            return length
    return pixels * 2


def decode_samples(data: bytes, header: Header) -> Samples:
    """Decode one frame; raises what `DicomImage.frame` raises.

    Returns
    -------
    uint8 or uint16 [H, W], or uint8 [H, W, 3]
        The stored values. Color is RGB, or YCbCr where the photometric interpretation is YBR_FULL. A color JPEG in
        YCbCr yields its luma only, [H, W], because the decoder can skip the colors.
    """
    return _DECODERS[header.transfer_syntax](data, header)


def small_jpeg_colors(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG frame at a quarter of its size: uint8 [h, w, 3] in blue, green, red; the decoder skips the rest."""
    return _imdecode(data, cv2.IMREAD_REDUCED_COLOR_4)


def _native(data: bytes, header: Header) -> Samples:
    rows, columns = header.rows, header.columns
    if header.photometric == "YBR_FULL_422":  # bytes Y Y Cb Cr for each pair of pixels
        pairs = np.frombuffer(data.ljust(-(-len(data) // 4) * 4, b"\x80"), np.uint8).reshape(-1, 4)
        chroma = np.repeat(pairs[:, 2:], 2, axis=0)
        pixels = np.concatenate([pairs[:, :2].reshape(-1, 1), chroma], axis=1)
        row = len(pixels) // rows if len(pixels) >= rows * (columns + 1 & ~1) else columns
        return pixels[: rows * row].reshape(rows, row, 3)[:, :columns]
    stored: Samples = np.frombuffer(data, np.uint8 if header.allocated == 8 else np.uint16)
    return _as_picture(stored, header, planar=header.planar)


def _as_picture(samples: Samples, header: Header, *, planar: bool) -> Samples:
    """Return a sequence of samples, plane by plane or pixel by pixel, as [H, W] or [H, W, 3]."""
    shape = (header.rows, header.columns)
    if header.samples == 1:
        return samples.reshape(shape)
    return samples.reshape(3, *shape).transpose(1, 2, 0) if planar else samples.reshape(*shape, 3)


def _rle(data: bytes, header: Header) -> Samples:
    """Decode RLE (PS3.5, annex G): up to 15 segments, each a plane of bytes in PackBits, the high byte first."""
    count, *offsets = struct.unpack_from("<16I", data)
    width = header.allocated // 8
    if count != header.samples * width:
        raise UnreadableFrame("The number of segments of the RLE frame contradicts the header.")
    pixels = header.rows * header.columns
    # The offsets must rise and stay behind the 64 bytes of the RLE header; each segment ends where the next begins.
    bounds = [*offsets[:count], len(data)]
    if bounds[0] < 64 or any(a >= b for a, b in pairwise(bounds)):
        raise UnreadableFrame("A segment of the RLE frame is outside the frame.")
    # TIFF's PackBits are the same bytes, but its runs end with the row. A run in DICOM may cross rows, so Pillow gets
    # the whole plane as one row.
    rows = [Image.frombytes("L", (pixels, 1), data[a:b], "packbits", "L") for a, b in pairwise(bounds)]
    planes = [np.asarray(row).reshape(-1) for row in rows]
    if width == 2:
        return np.dstack([planes[1], planes[0]]).view(np.uint16).reshape(header.rows, header.columns)
    return _as_picture(np.concatenate(planes), header, planar=True)


def _jpeg(data: bytes, header: Header) -> Samples:
    kind, precision, components = _jpeg_frame(data, header)
    if data.count(_SOS) > _MAX_SCANS:
        raise UnreadableFrame(f"The JPEG has more than {_MAX_SCANS} scans.")
    if (precision, header.allocated) != (8, 8):
        return _jpeg_of_other_depth(data, header, kind, precision)
    # Decide whether the three components are already RGB.
    head = data[: data.find(_SOS)]
    declares_colors = b"JFIF\0" in head or b"Adobe" in head
    if components == 3 and (kind == LOSSLESS or (header.photometric == "RGB" and not declares_colors)):
        # A decoder takes three undeclared components for YCbCr, and converts none of a lossless frame. The marker
        # makes both cases RGB.
        bgr = _imdecode(SOI + _ADOBE_NO_TRANSFORM + data[2:], cv2.IMREAD_COLOR)
        return bgr[..., ::-1]
    return _imdecode(data, cv2.IMREAD_GRAYSCALE)


def _jpeg_of_other_depth(data: bytes, header: Header, kind: int, precision: int) -> Samples:
    if precision > header.allocated:
        raise UnreadableFrame("The JPEG has more bits per sample than the header.")
    if kind == LOSSLESS and header.samples == 1:
        samples = decode_lossless(data, header.rows, header.columns, precision)
        return samples if header.allocated == 16 else samples.astype(np.uint8)
    if kind == EXTENDED and precision == 12:
        return decode_extended(data, header.rows, header.columns)
    raise UnsupportedFormat(
        f"JPEG of {precision} bits per sample for {header.allocated}-bit pixels is supported if it is lossless and "
        "gray, or extended with 12 bits. This frame is neither."
    )


def _imdecode(data: bytes, flags: int) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise UnreadableFrame("The JPEG frame is damaged, cut short, or of a kind that is not supported.")
    return pixels.astype(np.uint8, copy=False)


def _jpeg_frame(data: bytes, header: Header) -> tuple[int, int, int]:
    """Return the SOF marker, precision and components of a JPEG or JPEG-LS; check its size against the header."""
    for segment in segments(data):
        if segment.is_frame:
            precision, height, width, components = struct.unpack_from(">BHHB", segment.body)
            _check_same(header, width, height, components)
            return segment.marker, precision, components
    raise UnreadableFrame("The frame is damaged, or not the JPEG of the transfer syntax.")


def _check_same(header: Header, width: int, height: int, components: int) -> None:
    if (width, height) != (header.columns, header.rows):
        raise UnreadableFrame(
            f"The frame has {width} x {height} pixels; the header says {header.columns} x {header.rows}."
        )
    if components != header.samples:
        raise UnreadableFrame(f"The frame has {components} components; the header says {header.samples}.")


def _jpeg_ls(data: bytes, header: Header) -> Samples:
    kind, precision, _ = _jpeg_frame(data, header)
    if kind != JPEG_LS_SOF or precision > header.allocated:
        raise UnreadableFrame("The frame is not a JPEG-LS with the bits of the header.")
    raw, found = jpeg_ls.decode_buffer(data)  # little-endian words above 8 bits
    samples: Samples = np.frombuffer(raw, np.uint8 if precision <= 8 else np.uint16)
    return _as_picture(samples, header, planar=found["interleave_mode"] == 0)


def _jpeg_2000(data: bytes, header: Header) -> Samples:
    precision, signed = _jpeg_2000_size(data, header)
    image = Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(data))
    image.load()
    samples = np.asarray(image)
    if header.samples == 3:
        return samples[..., :3].astype(np.uint8, copy=False)
    # Pillow scales samples up to 8 or 16 bits and shifts signed values to start at 0. Undo both.
    width = 8 if samples.dtype == np.uint8 else 16
    stored = samples.astype(np.int32) >> (width - precision)
    return (stored - (1 << precision - 1) if signed else stored).astype(np.uint16)


def _jpeg_2000_size(data: bytes, header: Header) -> tuple[int, bool]:
    """Return precision and signedness of a JPEG 2000 from its SIZ segment, bare or in a JP2 box; check its size."""
    at = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if at < 0:
        raise UnreadableFrame("The frame is damaged, or not the JPEG 2000 of the transfer syntax.")
    x1, y1, x0, y0, tile_x, tile_y, tile_x0, tile_y0, components, depth = struct.unpack_from(">8IHB", data, at + 8)
    _check_same(header, x1 - x0, y1 - y0, components)
    # A decoder allocates per tile, so a codestream of tiny tiles costs memory far beyond its pixels.
    if not tile_x or not tile_y or -(-(x1 - tile_x0) // tile_x) * -(-(y1 - tile_y0) // tile_y) > _MAX_TILES:
        raise UnreadableFrame(f"The JPEG 2000 has more than {_MAX_TILES} tiles.")
    check_partition(data, at + 2, Grid(x1 - x0, y1 - y0, tile_x, tile_y, components))
    precision = (depth & 0x7F) + 1
    if precision > header.allocated:
        raise UnreadableFrame("The JPEG 2000 has more bits per sample than the header.")
    return precision, bool(depth & 0x80)


_DECODERS = {
    **dict.fromkeys(NATIVE, _native),
    RLE: _rle,
    **dict.fromkeys(JPEG, _jpeg),
    **dict.fromkeys(JPEG_LS, _jpeg_ls),
    **dict.fromkeys(JPEG_2000, _jpeg_2000),
}
