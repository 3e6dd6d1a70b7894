"""Variations of a training frame that other machines, hands and hospitals would have made.

Geometry starts from the frame and ends in the network's input [S, S]; the other kinds take and give that.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model_build.data.augmentation import geometry, graphics, intensity, texture
from model_build.recipe import Augmentation
from service.imaging.sector import Box

Picture = NDArray[np.uint8]


def augment(
    pixels: Picture, sector: Box, reference: Picture, size: int, strength: Augmentation, random: Generator
) -> Picture:
    """Vary one frame.

    Parameters
    ----------
    pixels
        The frame, uint8 [H, W].
    sector
        What serving would cut it to.
    donor
        Another training frame, of any size, whose gray levels may be borrowed.
    size
        The side S of the network's input.
    strength
        How strong each kind of variation is.
    random
        The only source of chance: the same state gives the same picture.

    Returns
    -------
    uint8 [S, S]
    """
    picture = geometry.augment(pixels, sector, size, strength.geometry, random)
    vary: list[tuple[Callable[[Picture, float, Generator], Picture], float]] = [
        (lambda p, s, r: intensity.augment(p, reference, s, r), strength.intensity),
        (texture.augment, strength.texture),
        (graphics.augment, strength.graphics),
    ]
    for function, magnitude in vary:
        if magnitude > 0:
            picture = function(picture, magnitude, random)
    return picture
