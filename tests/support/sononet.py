"""A file in the layout of SonoNet-16's published weights, with random ones."""

from pathlib import Path

import numpy as np

_FILTERS = (16, 16, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128, 128)


def write_sononet(file: Path) -> Path:
    """Write random weights, scaled so that the maps neither vanish nor grow, and return the file."""
    random, arrays, inputs = np.random.default_rng(0), [], 1
    for outputs in _FILTERS:
        weight = random.normal(0, np.sqrt(2 / (9 * inputs)), (outputs, inputs, 3, 3))
        arrays += [weight, random.normal(0, 0.1, outputs), random.uniform(0.8, 1.2, outputs)]
        arrays += [random.normal(0, 0.1, outputs), random.uniform(0.8, 1.2, outputs)]
        inputs = outputs
    np.savez(file, *(array.astype(np.float32) for array in arrays))
    return file
