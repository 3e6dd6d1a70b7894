"""The colours of a decoded frame, where it has any, for `flow_share` to look at."""

import cv2
import numpy as np

from service.imaging.colour import Colours, reduce_colours
from service.imaging.dicom.codestreams import Samples, small_jpeg_colours
from service.imaging.dicom.grey import palette, stored_bits
from service.imaging.dicom.header import Header

_EVERY = 4  # of a palette's pixels each way: indices cannot be averaged


def to_colours(samples: Samples, data: bytes, header: Header) -> Colours | None:
    """A small copy in colour.

    Parameters
    ----------
    samples, data
        The frame as `decode_samples` gives it, and the bytes that it was decoded from.

    Returns
    -------
    uint8 [h, w, 3] in blue, green, red, no side longer than 192; None where the frame is grey.
    """
    if header.photometric == "PALETTE COLOR":
        few = stored_bits(samples[::_EVERY, ::_EVERY], header)
        return reduce_colours(np.ascontiguousarray(palette(header)[few][..., ::-1]))
    if header.samples == 1:
        return None
    if samples.ndim == 2:
        return reduce_colours(small_jpeg_colours(data))
    if header.photometric.startswith("YBR_FULL"):
        in_opencv_order = np.ascontiguousarray(samples[..., (0, 2, 1)])
        return reduce_colours(np.asarray(cv2.cvtColor(in_opencv_order, cv2.COLOR_YCrCb2BGR), np.uint8))
    return reduce_colours(np.ascontiguousarray(samples[..., ::-1], np.uint8))
