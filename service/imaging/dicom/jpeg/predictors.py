"""Turn differences into samples: the predictors of lossless JPEG (ITU-T T.81, H.1.2.1), modulo 2 ** 16."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Samples16 = NDArray[np.uint16]


def add_predictions(samples: Samples16, predictor: int) -> None:
    """Turn differences [H, W] into samples, in place; the prediction of the first sample is already added.

    Every predictor predicts the first row from the left and the first column from above. With a on the left, b above,
    and c above on the left, predictors 1 to 7 are: a, b, c, a + b - c, a + (b - c) / 2, b + (a - c) / 2, (a + b) / 2,
    the halves rounded down.
    """
    # a and a + b - c are sums along the rows, the latter also along the columns.
    if predictor in (1, 4):
        _sum(samples if predictor == 4 else samples[:, :1], 0)
        _sum(samples, 1)
        return
    _sum(samples[:1], 1)
    if predictor == 2:
        _sum(samples, 0)
        return
    # The other predictors need the finished row above.
    for above, row in pairwise(samples):
        row[:1] += above[:1]
        if predictor == 3:
            row[1:] += above[:-1]
        elif predictor == 5:
            row[1:] += (np.diff(above.astype(np.int32)) >> 1).astype(np.uint16)
            _sum(row, 0)
        else:
            row[1:] = _one_by_one(row.tolist(), above.tolist(), predictor)


def _sum(samples: Samples16, axis: int) -> None:
    np.cumsum(samples, axis=axis, dtype=np.uint16, out=samples)


def _one_by_one(row: list[int], above: list[int], predictor: int) -> list[int]:
    """Decode a row sample by sample: these predictors halve the previous sample, which no sum over the row gives."""
    a, done = row[0], []
    if predictor == 6:
        for difference, (c, b) in zip(row[1:], pairwise(above), strict=True):
            a = difference + b + (a - c >> 1) & 0xFFFF
            done.append(a)
    else:
        for difference, b in zip(row[1:], above[1:], strict=True):
            a = difference + (a + b >> 1) & 0xFFFF
            done.append(a)
    return done
