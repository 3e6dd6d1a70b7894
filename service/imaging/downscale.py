"""A picture made small for people's eyes, or to be compared; never for the network, which has a way of its own."""

import cv2
import numpy as np
from numpy.typing import NDArray


def downscale(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """A picture uint8 [H, W] or [H, W, 3] at another, smaller size, by area averaging.

    It is halved as often as that goes, since OpenCV averages over whole factors many times as fast as over others. The
    last of an odd number of rows or columns is lost in a halving.
    """
    while picture.shape[0] >= 2 * height and picture.shape[1] >= 2 * width:
        half = picture.shape[1] // 2, picture.shape[0] // 2
        picture = cv2.resize(picture[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
