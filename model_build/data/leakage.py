"""What must not stand on both sides of a split: a patient, or a frame that is the same picture as another.

Pictures are compared by a difference hash (256 bits: whether each of 16 x 16 areas is brighter than its left
neighbor). In the frames of FETAL_PLANES_DB that we have, the same picture under two names differs by at most 1 bit, a
JPEG of quality 60 by at most 8, one shrunk to 0.6 by at most 14, and pictures of different women by at least 29.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model_build.data.records import DataError, Record

SAME_PICTURE = 16  # bits of 256
_SIDE = 16
_CHUNK = 512
_NAMED = 5

Frames = Sequence[NDArray[np.uint8]]


def fingerprints(frames: Frames) -> NDArray[np.uint8]:
    """Difference hashes uint8 [N, 32] of gray frames uint8 [H, W]."""
    return np.stack([_fingerprint(frame) for frame in frames])


def _fingerprint(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    areas = cv2.resize(frame, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(areas[:, 1:] > areas[:, :-1])


def near_duplicates(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs of rows of two sets of fingerprints that are the same picture, or nearly."""
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(left), _CHUNK):
        differing = np.bitwise_count(left[start : start + _CHUNK, None] ^ right[None]).sum(2)
        pairs += [(start + int(row), int(column)) for row, column in np.argwhere(differing <= SAME_PICTURE)]
    return pairs


def shared_patients(left: Sequence[Record], right: Sequence[Record]) -> list[str]:
    """Patients with frames in both."""
    return sorted({record.patient for record in left} & {record.patient for record in right})


def check_patient_overlap(left: Sequence[Record], right: Sequence[Record], names: tuple[str, str]) -> None:
    """Raise DataError where a patient has frames on both sides."""
    shared = shared_patients(left, right)
    if shared:
        raise DataError(
            f"{len(shared)} patients have frames in both {names[0]} and {names[1]}: {_some(shared)}. "
            "A patient's frames belong on one side"
        )


def drop_near_duplicates(
    left: tuple[Frames, Sequence[Record]],
    right: tuple[Frames, Sequence[Record]],
    names: tuple[str, str],
    *,
    drop: bool = False,
) -> list[int]:
    """The rows of `left` that are no picture of `right`: all of them, or an error.

    Parameters
    ----------
    drop
        Leave the repeated frames out of `left` instead of refusing.

    Raises
    ------
    DataError
        A picture stands on both sides and `drop` was not asked for; the message names it.
    """
    pairs = near_duplicates(fingerprints(left[0]), fingerprints(right[0])) if left[0] and right[0] else []
    if pairs and not drop:
        twins = [f"{left[1][row].path} and {right[1][column].path}" for row, column in pairs]
        raise DataError(
            f"{len(pairs)} pairs of frames in {names[0]} and {names[1]} are the same picture: {_some(twins)}. "
            f"Remove one of each, or leave them out of {names[0]} with --drop-repeats"
        )
    repeated = {row for row, _ in pairs}
    return [row for row in range(len(left[1])) if row not in repeated]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
