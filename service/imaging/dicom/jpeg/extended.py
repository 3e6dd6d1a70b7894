"""Decode extended JPEG of 12 bits (ITU-T T.81, process 4).

libjpeg-turbo supports it; OpenCV does not call it for 12 bits, but Pillow's libtiff does. So the codestream is wrapped
as the only strip of a TIFF (TIFF 6.0; Technical Note 2 for compression 7).
"""

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

_SHORT, _LONG = 3, 4
_JPEG, _BLACK_IS_ZERO = 7, 1
_ENTRIES = 8
_STRIP_AT = 8 + 2 + 12 * _ENTRIES + 4


def decode_extended(data: bytes, rows: int, columns: int) -> NDArray[np.uint16]:
    """Decode a codestream of `rows` x `columns`, 12 bits and one component; raises OSError where it is damaged."""
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(_tiff(data, rows, columns)))
    image.load()
    return np.asarray(image, np.uint16)


def _tiff(strip: bytes, rows: int, columns: int) -> bytes:
    # Entries are sorted by tag; every value fits into its entry.
    entries = [
        (256, _LONG, columns),
        (257, _LONG, rows),
        (258, _SHORT, 12),  # bits per sample
        (259, _SHORT, _JPEG),
        (262, _SHORT, _BLACK_IS_ZERO),
        (273, _LONG, _STRIP_AT),
        (278, _LONG, rows),  # rows per strip
        (279, _LONG, len(strip)),
    ]
    assert len(entries) == _ENTRIES
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, _ENTRIES) + directory + bytes(4) + strip
