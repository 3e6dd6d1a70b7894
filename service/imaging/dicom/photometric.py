"""Convert samples to gray levels: through one look-up table for all stored values, or to luma."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from service.errors import UnreadableFrame
from service.imaging.dicom.codecs import Samples
from service.imaging.dicom.header import Header

Gray = NDArray[np.uint8]
_Values = NDArray[np.float64]


def to_gray(samples: Samples, header: Header) -> Gray:
    """Convert decoded samples to gray levels, 0 is black.

    Monochrome goes through the VOI LUT or the window, if the object has one. Otherwise 8 bits stay as they are, and
    more bits are scaled linearly from the full range of the stored bits, never from the extremes of the frame. Color
    becomes ITU-R 601 luma. Returns uint8 [H, W], contiguous.
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
    attributes = header.attributes
    # PS3.3, C.11.2: a VOI LUT and a window are alternatives; both apply after the rescale.
    if attributes.get("VOILUTSequence"):
        shown = _voi_lut(_rescale(values, attributes), attributes.VOILUTSequence[0])
    elif _first(attributes, "WindowCenter") is not None and _first(attributes, "WindowWidth") is not None:
        shown = _window(_rescale(values, attributes), attributes)
    else:
        shown = (values - values.min()) / (values.max() - values.min()) if values.size > 1 else values
    if header.photometric == "MONOCHROME1":
        shown = 1 - shown
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)


def _rescale(values: _Values, attributes: Dataset) -> _Values:
    slope, intercept = _first(attributes, "RescaleSlope"), _first(attributes, "RescaleIntercept")
    return values * (1.0 if slope is None else slope) + (intercept or 0.0)


def _window(values: _Values, attributes: Dataset) -> _Values:
    """Apply the first window to `values` (PS3.3, C.11.2.1.2 and C.11.2.1.3); the result is in 0..1."""
    center, width = _first(attributes, "WindowCenter") or 0.0, _first(attributes, "WindowWidth") or 0.0
    function = str(attributes.get("VOILUTFunction") or "LINEAR")
    if width <= 0 or (function == "LINEAR" and width < 1) or not np.isfinite([center, width]).all():
        raise UnreadableFrame("The window of the DICOM object is not valid.")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (values - center) / width + 0.5
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return (values - (center - 0.5)) / (width - 1) + 0.5


def _voi_lut(values: _Values, item: Dataset) -> _Values:
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    data: Any = item.LUTData
    table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.asarray(data, np.uint16)
    if not 1 <= bits <= 16 or table.size < (count or 65536):
        raise UnreadableFrame("The VOI LUT of the DICOM object contradicts its descriptor.")
    indices = np.clip(values - first, 0, (count or 65536) - 1).astype(np.int64)
    return table[indices] / float((1 << bits) - 1)


def _first(attributes: Dataset, keyword: str) -> float | None:
    """Return a number, or the first of several: a scanner displays the first window."""
    value = attributes.get(keyword)
    if value is None or value == "":
        return None
    return float(next(iter(value)) if hasattr(value, "__iter__") else value)


def palette(header: Header) -> Gray:
    """Return the colors of all stored values, uint8 [2 ** stored, 3] in red, green, blue."""
    colors = apply_color_lut(_stored_values(header)[None], header.attributes)[0]
    # Some scanners write 8-bit values into 16-bit entries; the standard and pydicom expect them in the upper byte.
    if colors.dtype != np.uint8:
        colors = colors >> 8 if colors.max() > 255 else colors
    return np.ascontiguousarray(colors, np.uint8)
