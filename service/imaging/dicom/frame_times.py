"""The times at which a multi-frame object shows its frames: Cine and Multi-frame modules (PS3.3, C.7.6.5, C.7.6.6)."""

import math
import struct
from array import array
from itertools import accumulate

from pydicom.tag import Tag

from service.imaging.dicom.dataset.values import Values

TIMING = (
    "FrameIncrementPointer", "FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate",
)  # fmt: skip
"""The attributes that state times."""

_MIN_MS, _MAX_MS = 1, 100_000  # between two frames; rates of 1,000 to 0.01 frames per second, as of a video
_MAX_LENGTH = 18  # bytes of a value with its separator: a decimal string has at most 16
_FRAME_TIME, _VECTOR = (int(Tag(keyword)) for keyword in ("FrameTime", "FrameTimeVector"))


def frame_times(values: Values, count: int) -> "array[int] | None":
    """Return when each of `count` frames is shown, in whole milliseconds from the first; None where nothing says.

    What the Frame Increment Pointer names comes first, then the Frame Time Vector, the Frame Time, and a rate. A value
    that cannot be right, such as a vector of another length, counts as missing.
    """
    if count < 2:
        return None
    stated = {_VECTOR: _by_vector(values, count), _FRAME_TIME: _by_period(values.first("FrameTime"), count)}
    named = stated.get(_pointer(values))
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = values.first(keyword)
        stated[int(Tag(keyword))] = _by_period(1000 / rate if rate else None, count)
    return named or next((times for times in stated.values() if times), None)


def _pointer(values: Values) -> int:
    """Return the first tag that the Frame Increment Pointer names; 0 where it names none."""
    raw = values.raw("FrameIncrementPointer") or b""
    if len(raw) < 4:
        return 0
    group, number = struct.unpack_from("<HH" if values.walk.little else ">HH", raw)
    return int(group) << 16 | int(number)


def _by_vector(values: Values, count: int) -> "array[int] | None":
    if len(values.raw("FrameTimeVector") or b"") > _MAX_LENGTH * count:  # no need to read what is too long
        return None
    steps = values.numbers("FrameTimeVector")
    # The first one is 0 by definition; zeros between others are rounded.
    if len(steps) != count or not all(0 <= step <= _MAX_MS for step in steps) or not any(steps[1:]):
        return None
    return _whole(list(accumulate([0.0, *steps[1:]])))


def _by_period(period_ms: float | None, count: int) -> "array[int] | None":
    if period_ms is None or not _MIN_MS <= period_ms <= _MAX_MS:
        return None
    return _whole([number * period_ms for number in range(count)])


def _whole(times_ms: list[float]) -> "array[int] | None":
    return array("i", map(round, times_ms)) if math.isfinite(times_ms[-1]) and times_ms[-1] < 2**31 - 1 else None
