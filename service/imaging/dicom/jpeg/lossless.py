"""Decode lossless JPEG of one component and 2 to 16 bits (ITU-T T.81, annex H: Huffman codes, predictors 1 to 7).

No other decoder under a permissive license is both safe with damaged bytes and small; docs/adr/0002 lists those that
were tried. Python is fast enough because little is done per sample: NumPy looks up, for every bit at once, how far a
code would reach if it began there; a loop that only adds finds where codes do begin; NumPy reads their differences.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.errors import FrameTooLarge, UnreadableFrame
from service.imaging.dicom.jpeg.predictors import add_predictions
from service.imaging.dicom.jpeg.segments import DHT, DRI, SOS, segments

MAX_PIXELS = 2**23  # of a frame; a screen of 3840 x 2160 takes about two seconds of one core
_CHUNK = 1 << 15  # bytes per vectorized look-up; bounds the memory
# Shifts to the 16 bits that begin at each bit of a 32-bit window's first byte.
_SHIFTS = np.arange(16, 8, -1, dtype=np.uint32)
_PADDING = bytes(8)  # so that the last bytes have full windows
_LONGEST = 31  # bits: a code of 16 and a difference of 15
_NO_CODE = 255
_MAX_TABLES = 8  # a DHT segment defines at most four tables of each class
_DAMAGED = "The lossless JPEG is damaged or cut short."

_Table = tuple[bytes, bytes]  # the number of codes of each length, and their categories


@dataclass(frozen=True, slots=True, eq=False)
class _Codes:
    """A Huffman table, indexed by the next 16 bits."""

    length: NDArray[np.uint8]  # bits of the code
    category: NDArray[np.uint8]  # of the code: the number of bits of the difference that follows (H.1.2.2)
    reach: NDArray[np.uint8]  # bits of code and difference together: the distance to the next code


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """The parameters at the head of the codestream, and the bytes of each restart interval."""

    codes: _Codes
    predictor: int
    point_transform: int
    restart: int
    intervals: list[bytes]


def decode_lossless(data: bytes, rows: int, columns: int, precision: int) -> NDArray[np.uint16]:
    """Decode a codestream whose frame header states `rows`, `columns`, `precision` and one component.

    Raises FrameTooLarge above `MAX_PIXELS`, and UnreadableFrame where the codestream breaks a rule of T.81.
    """
    if rows * columns > MAX_PIXELS:
        raise FrameTooLarge(
            f"The frame is {columns} x {rows} pixels; in lossless JPEG of {precision} bits the limit is {MAX_PIXELS}."
        )
    scan = _read_scan(data, rows)
    restart_rows = scan.restart // columns if scan.restart else rows
    _require(2 <= precision <= 16 and 1 <= scan.predictor <= 7 and scan.point_transform < precision)
    _require(restart_rows >= 1 and scan.restart % columns == 0)  # H.1.1: a restart interval holds whole rows
    _require(len(scan.intervals) == -(-rows // restart_rows))
    # Each interval is decoded by itself: differences first, then the sums that turn them into samples.
    samples = np.empty((rows, columns), np.uint16)
    for first, coded in zip(range(0, rows, restart_rows), scan.intervals, strict=True):
        part = samples[first : first + restart_rows]
        part[:] = _differences(coded, scan.codes, part.size).reshape(part.shape)
        # The first sample of an interval is predicted by half the range (H.1.2.1).
        part[:1, :1] += np.uint16(1 << precision - scan.point_transform - 1)
        add_predictions(part, scan.predictor)
    return samples << np.uint16(scan.point_transform)


def _require(valid: bool) -> None:
    if not valid:
        raise UnreadableFrame(_DAMAGED)


def _read_scan(data: bytes, most_intervals: int) -> _Scan:
    tables: dict[int, _Table] = {}
    restart = 0
    for segment in segments(data):
        body = segment.body
        if segment.marker == DHT:
            tables |= _read_tables(body)
        elif segment.marker == DRI:
            restart = int.from_bytes(body[:2], "big")
        elif segment.marker == SOS:
            _require(len(body) == 6 and body[0] == 1 and body[2] >> 4 in tables)
            intervals = _intervals(data[segment.end :], most_intervals)
            return _Scan(_build(*tables[body[2] >> 4]), body[3], body[5] & 15, restart, intervals)
    raise UnreadableFrame(_DAMAGED)


def _intervals(coded: bytes, most: int) -> list[bytes]:
    """Return the bytes between restart markers up to the end of the scan, without the zero stuffed after each 255."""
    end = re.search(rb"\xff[\x01-\xcf\xd8-\xfe]", coded)
    parts = re.split(rb"\xff[\xd0-\xd7]", coded[: end.start()] if end else coded, maxsplit=most)
    return [part.replace(b"\xff\x00", b"\xff") for part in parts]


def _read_tables(body: bytes) -> dict[int, _Table]:
    """Return the tables of a DHT segment, by class and number (B.2.4.2)."""
    tables: dict[int, _Table] = {}
    for _ in range(_MAX_TABLES):
        counts = body[1:17]
        end = 17 + sum(counts)
        _require(len(counts) == 16 and len(body) >= end)
        tables[body[0]] = counts, body[17:end]
        body = body[end:]
        if not body:
            return tables
    raise UnreadableFrame(_DAMAGED)


def _build(counts: bytes, categories: bytes) -> _Codes:
    """Build a table (annex C): codes are consecutive, short ones first; each fills every entry that begins with it."""
    _require(max(categories, default=0) <= 16)
    lengths = np.repeat(np.arange(1, 17), list(counts))
    spans = 1 << 16 - lengths
    unused = (1 << 16) - int(spans.sum())
    _require(unused >= 0)
    length = np.repeat([*lengths, 0], [*spans, unused]).astype(np.uint8)
    category = np.repeat([*categories, _NO_CODE], [*spans, unused]).astype(np.uint8)
    reach = np.where(category <= 15, length + category, np.where(category == 16, length, _LONGEST))
    return _Codes(length, category, reach.astype(np.uint8))


def _differences(coded: bytes, codes: _Codes, count: int) -> NDArray[np.uint16]:
    """Return the first `count` differences of an interval, modulo 2 ** 16."""
    found: list[NDArray[np.uint16]] = []
    padded = np.frombuffer(coded + _PADDING, np.uint8)
    at = 0  # bit in the chunk where the next code begins
    for first in range(0, len(coded), _CHUNK):
        length = min(_CHUNK, len(coded) - first)
        windows = _windows(padded[first : first + length + len(_PADDING)])
        next_16_bits = ((windows[:length, None] >> _SHIFTS) & np.uint32(0xFFFF)).reshape(-1)
        # Vectorized: how far a code would reach if one began at each bit. A plain loop: where codes do begin.
        starts, at = _starts(codes.reach.take(next_16_bits).tobytes(), at)
        # Vectorized again: the differences behind those codes.
        begins = np.array(starts[:count], np.int64)
        keys = next_16_bits[begins]
        _require(not begins.size or int(begins[-1]) + int(codes.reach[keys[-1]]) <= 8 * (len(coded) - first))
        found.append(_values(windows, begins + codes.length[keys], codes.category[keys]))
        count -= begins.size
        if not count:
            return np.concatenate(found)
    raise UnreadableFrame(_DAMAGED)


def _windows(padded: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the 32 bits that begin at each byte."""
    wide = padded.astype(np.uint32)
    return np.asarray(wide[:-3] << 24 | wide[1:-2] << 16 | wide[2:-1] << 8 | wide[3:], np.uint32)


def _starts(reach: bytes, at: int) -> tuple[list[int], int]:
    """Return the bits where codes begin, from `at` on, and how far beyond the end the next code begins."""
    starts, end = [], len(reach)
    while at < end:
        starts.append(at)
        at += reach[at]
    return starts, at - end


def _values(windows: NDArray[np.uint32], at: NDArray[np.int64], category: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the differences whose bits begin at `at` (H.1.2.2); category 16 has one value and no bits."""
    _require(not (category == _NO_CODE).any())
    bits = (category & 15).astype(np.uint32)
    span = np.uint32(1) << bits
    value = windows[at >> 3] >> (32 - (at & 7).astype(np.uint32) - bits) & (span - 1)
    value = np.where(value < span >> 1, value + 1 - span, value)
    return np.where(category == 16, 1 << 15, value).astype(np.uint16)
