"""The colors of a decoded frame, where it has any, for `flow_share` to look at."""

import cv2
import numpy as np

from service.imaging.color import Colors, reduce_colors
from service.imaging.dicom.codecs import Samples, small_jpeg_colors
from service.imaging.dicom.header import Header
from service.imaging.dicom.photometric import palette, stored_bits

_EVERY = 4  # of a palette's pixels each way: indices cannot be averaged


def to_colors(samples: Samples, data: bytes, header: Header) -> Colors | None:
    """A small copy in color.

    Parameters
    ----------
    samples, data
        The frame as `decode_samples` gives it, and the bytes that it was decoded from.

    Returns
    -------
    uint8 [h, w, 3] in blue, green, red, no side longer than 192; None where the frame is gray.
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
