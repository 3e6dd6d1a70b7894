"""Find leaks between the sides of a split: a shared patient, or nearly the same picture.

Pictures are compared by a difference hash (dHash) of 256 bits: whether each of 16 x 16 areas is brighter than its left
neighbor. Measured on FETAL_PLANES_DB: the same picture under two names differs by at most 1 bit, a JPEG of quality 60
by at most 8, a copy downscaled to 0.6 by at most 14; pictures of different patients differ by at least 29 bits.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model_build.data.records import DataError, Dataset, Frames, Record

MAX_DIFFERENT_BITS = 16  # of 256: between the 14 of a downscaled copy and the 29 of another patient
_SIDE = 16
_CHUNK = 512  # rows compared at a time, to bound the memory
_NAMED = 5  # examples in an error message


def dhash(frames: Frames) -> NDArray[np.uint8]:
    """Return difference hashes uint8 [N, 32] of gray frames uint8 [H, W]."""
    areas = np.stack([cv2.resize(frame, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA) for frame in frames])
    return np.packbits((areas[:, :, 1:] > areas[:, :, :-1]).reshape(len(areas), -1), 1)


def near_duplicates(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the pairs of rows of two sets of hashes that belong to nearly the same picture."""
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(left), _CHUNK):
        distance = np.bitwise_count(left[start : start + _CHUNK, None] ^ right[None]).sum(2)
        pairs += [(start + int(row), int(column)) for row, column in np.argwhere(distance <= MAX_DIFFERENT_BITS)]
    return pairs


def check_patient_overlap(left: Sequence[Record], right: Sequence[Record], names: tuple[str, str]) -> None:
    """Raise DataError where a patient has frames on both sides."""
    shared = sorted({record.patient for record in left} & {record.patient for record in right})
    if shared:
        raise DataError(
            f"{len(shared)} patients have frames in both {names[0]} and {names[1]}: {_examples(shared)}. "
            "Put all frames of a patient on one side"
        )


def drop_near_duplicates(left: Dataset, right: Dataset, names: tuple[str, str], *, drop: bool = False) -> Dataset:
    """Return `left` without the pictures that are also in `right`; without `drop`, such a picture raises DataError.

    `names` are the two sides, for the message.
    """
    pairs = near_duplicates(dhash(left.frames), dhash(right.frames)) if left.records and right.records else []
    if pairs and not drop:
        files = [f"{left.records[row].name} and {right.records[column].name}" for row, column in pairs]
        raise DataError(
            f"{len(pairs)} pairs of frames in {names[0]} and {names[1]} show the same picture: {_examples(files)}. "
            f"Remove one of each, or leave them out of {names[0]} with --drop-near-duplicates"
        )
    repeated = {row for row, _ in pairs}
    kept = [row for row in range(len(left.records)) if row not in repeated]
    return Dataset([left.frames[row] for row in kept], [left.records[row] for row in kept])


def _examples(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
