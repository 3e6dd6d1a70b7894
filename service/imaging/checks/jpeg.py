"""Check the segments of a JPEG before its first scan, and keep those that decide its pixels (ITU-T T.81)."""

import re
import struct

from service.errors import UnreadableFrame

_MAX_SEGMENTS = 2_000  # JPEG: EXIF, XMP and ICC profiles take some hundred at most
_MAX_FILL_BYTES = 65_536

# Markers of table B.1.
_APP0, _APP1, _APP14, _APP15, _COM, _SOS, _SOI, _EOI = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE, 0xDA, 0xD8, 0xD9
_FILL = re.compile(rb"\xff*")


def check_jpeg(data: bytes) -> bytes:
    """Return a JPEG without comments and application segments that no pixel depends on.

    Raises
    ------
    UnreadableFrame
        There are too many segments or fill bytes before the first scan, or a segment is longer than the file.
    """
    kept, at, fill, seen = [data[:2]], 2, 0, set[int]()
    for _ in range(_MAX_SEGMENTS):
        start = at
        if data[at : at + 1] != b"\xff":
            break  # not a marker; the decoder decides whether it can go on
        at = _end_of_fill(data, at)
        fill += at - start - 1
        marker = data[at] if at < len(data) else _EOI
        if fill > _MAX_FILL_BYTES:
            raise UnreadableFrame(f"The JPEG has more than {_MAX_FILL_BYTES} fill bytes before its first scan.")
        if marker in (_SOS, _EOI, _SOI) or marker < 0xC0:
            return b"".join([*kept, b"\xff", data[at:]])
        (length,) = struct.unpack_from(">H", data, at + 1) if at + 3 <= len(data) else (0,)
        end = at + 1 + length
        if length < 2 or end > len(data):
            raise UnreadableFrame("The JPEG is damaged or cut short: a segment is longer than the rest of the file.")
        if _decides_pixels(marker, data[at + 3 : at + 9], seen):
            kept += [b"\xff", data[at:end]]
        seen.add(marker)
        at = end
    else:
        raise UnreadableFrame(f"The JPEG has more than {_MAX_SEGMENTS} segments before its first scan.")
    return b"".join([*kept, data[at:]])


def _end_of_fill(data: bytes, at: int) -> int:
    """Return where the marker's code stands: after its 0xFF, and any more of these (B.1.1.2)."""
    match = _FILL.match(data, at)
    return match.end() if match else at


def _decides_pixels(marker: int, start: bytes, seen: set[int]) -> bool:
    """Whether a segment is a table, a frame header, EXIF, or the first that tells how colors are stored."""
    if marker == _APP1:
        return start.startswith(b"Exif") and marker not in seen
    if marker in (_APP0, _APP14):
        return marker not in seen
    return not (_APP0 <= marker <= _APP15 or marker == _COM)
