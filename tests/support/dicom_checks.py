"""DICOM objects of every compression, and checks of what decoding them gives."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from service.errors import Problem
from service.imaging.decode import decode_frame
from service.imaging.frame import Frame, Limits
from tests.support import dicom_objects as dicoms
from tests.support.images import speckle

GRAY = speckle(60, 84, seed=1)
COLOR = np.dstack([GRAY, 255 - GRAY, np.roll(GRAY, 9, 1)])
LUMA = cv2.cvtColor(COLOR, cv2.COLOR_RGB2GRAY)
CINE = [speckle(40, 50, seed=seed) for seed in range(5)]
DEEP = speckle(60, 84, seed=2).astype(np.uint16) * 257


def assert_same(frame: Frame, expected: np.ndarray[Any, Any], tolerance: int = 0) -> None:
    assert frame.format == "dicom"
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.flags.c_contiguous
    assert frame.pixels.shape == expected.shape
    assert np.abs(frame.pixels.astype(int) - expected.astype(int)).max() <= tolerance


def refusal(data: bytes, kind: type[Problem], limits: Limits | None = None, index: int = 0) -> str:
    with pytest.raises(Problem) as caught:
        decode_frame(data, index=index, limits=limits or Limits())
    assert type(caught.value) is kind
    return caught.value.detail


COMPRESSED: list[tuple[str, str, np.ndarray[Any, Any], Callable[..., bytes], str, int]] = [
    ("rle", dicoms.RLE, GRAY, dicoms.rle, "MONOCHROME2", 0),
    ("rle 16", dicoms.RLE, DEEP, dicoms.rle, "MONOCHROME2", 1),
    ("rle rgb", dicoms.RLE, COLOR, dicoms.rle, "RGB", 0),
    ("jpeg", dicoms.BASELINE, GRAY, dicoms.jpeg, "MONOCHROME2", 3),
    ("jpeg ybr", dicoms.BASELINE, COLOR, dicoms.jpeg, "YBR_FULL", 4),
    ("jpeg ybr 422", dicoms.BASELINE, COLOR, dicoms.jpeg, "YBR_FULL_422", 4),
    ("jpeg rgb declared", dicoms.BASELINE, COLOR, dicoms.jpeg, "RGB", 4),
    ("jpeg rgb unsaid", dicoms.BASELINE, COLOR, dicoms.jpeg_as_rgb, "RGB", 4),
    ("extended", dicoms.EXTENDED, GRAY, dicoms.jpeg, "MONOCHROME2", 3),
    ("lossless", dicoms.LOSSLESS, GRAY, dicoms.lossless_jpeg, "MONOCHROME2", 0),
    ("lossless first", dicoms.LOSSLESS_FIRST, GRAY, dicoms.lossless_jpeg, "MONOCHROME2", 0),
    ("lossless rgb", dicoms.LOSSLESS_FIRST, COLOR, dicoms.lossless_jpeg, "RGB", 0),
    ("jpeg-ls", dicoms.LS_LOSSLESS, GRAY, dicoms.jpeg_ls_lossless, "MONOCHROME2", 0),
    ("jpeg-ls 16", dicoms.LS_LOSSLESS, DEEP, dicoms.jpeg_ls_lossless, "MONOCHROME2", 1),
    ("jpeg-ls rgb", dicoms.LS_NEAR, COLOR, dicoms.jpeg_ls_lossless, "RGB", 0),
    ("jpeg 2000", dicoms.J2K_LOSSLESS, GRAY, dicoms.jpeg_2000, "MONOCHROME2", 0),
    ("jpeg 2000 16", dicoms.J2K_LOSSLESS, DEEP, dicoms.jpeg_2000, "MONOCHROME2", 1),
    ("jpeg 2000 rgb", dicoms.J2K_LOSSLESS, COLOR, dicoms.jpeg_2000, "RGB", 0),
    ("rct", dicoms.J2K_LOSSLESS, COLOR, lambda frame: dicoms.jpeg_2000(frame, mct=1), "YBR_RCT", 0),
    ("ict", dicoms.J2K, COLOR, lambda frame: dicoms.jpeg_2000(frame, mct=1, irreversible=True), "YBR_ICT", 3),
]
