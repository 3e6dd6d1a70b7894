"""The colors of a decoded frame, for `service.imaging.color.flow_share`."""

import cv2
import numpy as np

from service.imaging.color import Colors, reduce_colors
from service.imaging.dicom.codecs import Samples, small_jpeg_colors
from service.imaging.dicom.header import Header
from service.imaging.dicom.photometric import palette, stored_bits

_EVERY = 4  # every n-th pixel of a palette frame in each direction, because indices cannot be averaged


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
