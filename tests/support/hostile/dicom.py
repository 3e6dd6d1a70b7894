"""Hostile DICOM objects: what surrounds the frames."""

import struct
import zlib
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.support import dicom_objects as dicoms
from tests.support.hostile.make import HEIGHT, WIDTH, Makers
from tests.support.images import speckle

GRAY = speckle(64, 64)
_ITEM, _ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0"
_UNDEFINED = b"\xff\xff\xff\xff"
_PIXELS = b"\xe0\x7f\x10\x00"
_COLORS = ("Red", "Green", "Blue")


def _before_pixels(elements: bytes, data: bytes | None = None) -> bytes:
    """Put elements into an object before its pixel data."""
    data = data or dicoms.native([GRAY])
    at = data.rindex(_PIXELS)
    return data[:at] + elements + data[at:]


def _sequence(content: bytes, vr: bytes = b"SQ") -> bytes:
    return b"\x09\x00\x10\x10" + vr + b"\0\0" + _UNDEFINED + content


def _nested(depth: int, vr: bytes = b"SQ") -> bytes:
    return _before_pixels(_sequence(_ITEM + _UNDEFINED, vr) * depth)


def _deflated(count: int) -> bytes:
    """Return a deflated object that inflates to `count` zeros."""
    head = dicoms.native([GRAY], dicoms.DEFLATED)
    length = struct.unpack_from("<I", head, 140)[0]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = b"".join(deflate.compress(bytes(2**20)) for _ in range(count // 2**20))
    return head[: 144 + length] + zeros + deflate.flush()


def _palette(entries: int, bits: int, length: int) -> bytes:
    tables: dict[str, Any] = {}
    for color in _COLORS:
        tables[f"{color}PaletteColorLookupTableDescriptor"] = [entries, 0, bits]
        tables[f"{color}PaletteColorLookupTableData"] = bytes(length)
    return dicoms.native([GRAY], photometric="PALETTE COLOR", **tables)


def _regions(count: int) -> bytes:
    """Return an object with `count` regions."""
    items = Sequence([dicoms.region(0, 0, 63, 63) for _ in range(count)])
    return dicoms.native([GRAY], SequenceOfUltrasoundRegions=items)


def _text(keyword: str, value: Any) -> bytes:
    return dicoms.native([GRAY], **{keyword: value})


def _segmented(count: int) -> bytes:
    """Return a palette whose segments repeat others."""
    segments = struct.pack("<6H", 0, 1, 0, 1, 65_535, 65_535) + struct.pack("<4H", 2, 2, 0, 0) * count
    tables: dict[str, Any] = {}
    for color in _COLORS:
        tables[f"{color}PaletteColorLookupTableDescriptor"] = [0, 0, 16]
        tables[f"Segmented{color}PaletteColorLookupTableData"] = segments
    return dicoms.native([GRAY], photometric="PALETTE COLOR", **tables)


def _other() -> Dataset:
    other = Dataset()
    other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = dicoms.US, "1.2.3"
    return other


_TINY = b"\x09\x00\x11\x10UN\0\0\0\0\0\0"

FILES: Makers = {
    "dicom-sequences-10000-deep": lambda: _nested(10_000),
    "dicom-unknown-10000-deep": lambda: _before_pixels(
        _sequence((_ITEM + _UNDEFINED + b"\x09\x00\x10\x10" + _UNDEFINED) * 10_000, b"UN")
    ),
    "dicom-elements-million": lambda: _before_pixels(_TINY * 1_000_000),
    "dicom-items-million": lambda: _before_pixels(_sequence((_ITEM + bytes(4)) * 1_000_000)),
    "dicom-item-ends-million": lambda: _before_pixels(_sequence((_ITEM + _UNDEFINED + _ITEM_END + bytes(4)) * 500_000)),
    "dicom-element-of-4gib": lambda: _before_pixels(b"\x09\x00\x10\x10OB\0\0\xf0\xff\xff\xff"),
    "dicom-deflate-bomb": lambda: _deflated(2**28),
    "dicom-deflate-at-the-limit": lambda: _deflated(30 * 2**20),
    "dicom-frames-2-billion": lambda: _text("NumberOfFrames", 2**31 - 1),
    "dicom-frames-text": lambda: _text("NumberOfFrames", "9" * 12),
    "dicom-pixels-missing": lambda: dicoms.native([GRAY], Rows=HEIGHT, Columns=WIDTH),
    "dicom-palette-lies": lambda: _palette(65_535, 16, 512),
    "dicom-palette-of-8-million": lambda: _palette(256, 16, 8_000_000),
    "dicom-palette-segments": lambda: _segmented(10_000),
    "dicom-regions": lambda: _regions(3_000),
    "dicom-charsets": lambda: _text("SpecificCharacterSet", ["", *["ISO 2022 IR 87"] * 2_000]),
    "dicom-references": lambda: _text("ReferencedImageSequence", Sequence([_other() for _ in range(9_000)])),
    "dicom-rows-0": lambda: _text("Rows", 0),
    "dicom-bits-contradict": lambda: _text("BitsStored", 60_000),
    "dicom-window-0": lambda: dicoms.native([GRAY.astype(np.uint16)], WindowCenter=0, WindowWidth=0),
    "dicom-window-nan": lambda: dicoms.native([GRAY.astype(np.uint16)], WindowCenter="1e308", WindowWidth="1e-308"),
}
