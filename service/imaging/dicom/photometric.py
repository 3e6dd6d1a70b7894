"""Convert samples to gray levels: through one look-up table for all stored values, or to luma; keep small colors."""

import cv2
import numpy as np
from numpy.typing import NDArray

from service.imaging.color import Colors, reduce_colors
from service.imaging.dicom.codecs import Samples, small_jpeg_colors
from service.imaging.dicom.dataset.values import Values
from service.imaging.dicom.header import Header
from service.imaging.dicom.palette import palette_colors

Gray = NDArray[np.uint8]
_Values = NDArray[np.float64]
_EVERY = 4  # every n-th pixel of a palette frame in each direction, because indices cannot be averaged


def to_gray(samples: Samples, header: Header) -> Gray:
    """Convert decoded samples to gray levels, 0 is black.

    Monochrome goes through the VOI LUT or the window, if the object has one that makes sense. Otherwise 8 bits
    stay as they are, and more bits are scaled linearly from the full range of the stored bits, never from the extremes
    of the frame. Color becomes ITU-R 601 luma. Returns uint8 [H, W], contiguous.
    """
    if samples.ndim == 3 and header.photometric.startswith("YBR_FULL"):
        return np.ascontiguousarray(samples[..., 0], np.uint8)
    if samples.ndim == 3:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(samples), cv2.COLOR_RGB2GRAY), np.uint8)
    if header.samples == 3:
        return np.ascontiguousarray(samples, np.uint8)
    if header.photometric == "PALETTE COLOR":
        table = np.asarray(cv2.cvtColor(palette(header)[None], cv2.COLOR_RGB2GRAY)[0], np.uint8)
    else:
        table = _monochrome(header)
    if samples.dtype == np.uint8 and header.stored == 8:
        return np.asarray(cv2.LUT(samples, table), np.uint8)
    return np.ascontiguousarray(table[stored_bits(samples, header)])


def to_colors(samples: Samples, data: bytes, header: Header) -> Colors | None:
    """Return a small color copy of a frame, as `reduce_colors` makes it; None where the frame is gray.

    `samples` is the frame as `decode_samples` returns it, `data` the bytes that it was decoded from.
    """
    if header.photometric == "PALETTE COLOR":
        few = stored_bits(samples[::_EVERY, ::_EVERY], header)
        return reduce_colors(np.ascontiguousarray(palette(header)[few][..., ::-1]))
    if header.samples == 1:
        return None
    if samples.ndim == 2:
        return reduce_colors(small_jpeg_colors(data))
    if header.photometric.startswith("YBR_FULL"):
        in_opencv_order = np.ascontiguousarray(samples[..., (0, 2, 1)])
        return reduce_colors(np.asarray(cv2.cvtColor(in_opencv_order, cv2.COLOR_YCrCb2BGR), np.uint8))
    return reduce_colors(np.ascontiguousarray(samples[..., ::-1], np.uint8))


def stored_bits(samples: Samples, header: Header) -> Samples:
    """Return the stored bits of each sample, as an index into a table of all stored values."""
    unused_below = header.high + 1 - header.stored
    return np.asarray(samples >> unused_below & (1 << header.stored) - 1, samples.dtype)


def _stored_values(header: Header) -> NDArray[np.int32]:
    """Return the value of each pattern of stored bits, int32 [2 ** stored]."""
    values = np.arange(1 << header.stored, dtype=np.int32)
    half = 1 << header.stored - 1
    return np.where(values >= half, values - 2 * half, values) if header.signed else values


def _monochrome(header: Header) -> Gray:
    values = _stored_values(header).astype(np.float64)
    # PS3.3, C.11.2: a VOI LUT and a window are alternatives; both apply after the rescale.
    rescaled = _rescale(values, header.values)
    shown = _voi_lut(rescaled, header.values)
    if shown is None:
        shown = _window(rescaled, header.values)
    if shown is None:
        shown = (values - values.min()) / (values.max() - values.min()) if values.size > 1 else values
    if header.photometric == "MONOCHROME1":
        shown = 1 - shown
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)


def _rescale(values: _Values, attributes: Values) -> _Values:
    slope, intercept = attributes.first("RescaleSlope"), attributes.first("RescaleIntercept")
    return values * (slope or 1.0) + (intercept or 0.0)


def _window(values: _Values, attributes: Values) -> _Values | None:
    """Apply the first window to `values` (PS3.3, C.11.2.1.2 and C.11.2.1.3); None where it makes no sense.

    The result is in 0..1.
    """
    center, width = attributes.first("WindowCenter"), attributes.first("WindowWidth")
    function = attributes.text("VOILUTFunction").upper()
    linear = function not in ("SIGMOID", "LINEAR_EXACT")
    if center is None or width is None or width <= 0 or (linear and width < 1):
        return None
    if function == "SIGMOID":
        shown = 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    elif function == "LINEAR_EXACT":
        shown = (values - center) / width + 0.5
    elif width == 1:
        shown = (values > center - 0.5).astype(np.float64)
    else:
        shown = (values - (center - 0.5)) / (width - 1) + 0.5
    return _unless_blank(shown)


def _voi_lut(values: _Values, attributes: Values) -> _Values | None:
    """Apply the first VOI LUT to `values`; None where there is none, or it contradicts its descriptor."""
    for item in attributes.items("VOILUTSequence")[:1]:
        descriptor, table = item.integers("LUTDescriptor"), item.words("LUTData")
        if len(descriptor) < 3 or not 1 <= descriptor[2] <= 16:
            return None
        count = descriptor[0] % 65536 or 65536
        if table.size >= count:
            indices = np.clip(values - descriptor[1], 0, count - 1).astype(np.int64)
            return _unless_blank(table[indices] / float((1 << descriptor[2]) - 1))
    return None


def _unless_blank(shown: _Values) -> _Values | None:
    """Return `shown`, or None where all values look the same, so that no picture is left of the frame."""
    return shown if np.ptp(np.clip(shown, 0, 1)) else None


def palette(header: Header) -> Gray:
    """Return the colors of all stored values, uint8 [2 ** stored, 3] in red, green, blue."""
    return palette_colors(header.values, _stored_values(header))
