"""Frames that the phantom model classifies with confidence: each is tiled with a texture that its kernels match."""

import numpy as np
from numpy.typing import NDArray

from tests.support.phantom_package import STRIDE, Phantom

# For each plane that can be reached: the weight of each kernel in the texture.
_TEXTURES = {
    "fetal_thorax": (0, 2, 0, 0, 1),
    "maternal_cervix": (0, 0, 2, 0, 1),
    "fetal_femur": (2, 0, -1, 0, 0),
    "fetal_brain": (1, 0, 0, 1, -1),
}
KNOWN = tuple(_TEXTURES)


def still(phantom: Phantom, plane: str, scene: int = 0) -> NDArray[np.uint8]:
    """Return a frame uint8 [S, S]. Frames of one scene are bright in the same places, like those of a shot."""
    direction = np.tensordot(np.array(_TEXTURES[plane], np.float32), phantom.kernels[:, 0], 1)
    light = np.random.default_rng(scene).uniform(0.3, 1, (phantom.cells, phantom.cells))
    tile = np.where(direction > 0, 255, 0)
    lit = np.kron(light, np.ones((STRIDE, STRIDE))) * np.tile(tile, light.shape)
    return np.asarray(lit, np.uint8)
