"""Shrink pictures for people or for comparison. The network's input is resized by `letterbox` only."""

import cv2
import numpy as np
from numpy.typing import NDArray


def downscale(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Shrink a picture uint8 [H, W] or [H, W, 3] to `width` x `height` by area averaging.

    The picture is halved as often as possible first, because OpenCV averages over whole factors many times faster than
    over others. A halving drops the last row or column of an odd number.
    """
    while picture.shape[0] >= 2 * height and picture.shape[1] >= 2 * width:
        half = picture.shape[1] // 2, picture.shape[0] // 2
        picture = cv2.resize(picture[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
