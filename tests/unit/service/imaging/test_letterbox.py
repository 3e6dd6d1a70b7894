"""The crop knows its source, and the letterbox keeps the aspect ratio."""

import numpy as np
import pytest

from service.imaging.letterbox import crop_and_letterbox, find_crop
from service.imaging.sector import Box
from service.schemas.answers import CropSource
from service.schemas.manifest import Preprocessing
from tests.support.images import speckle

PIXELS = np.zeros((100, 160), np.uint8)
PIXELS[20:80, 40:120] = speckle(60, 80, 1) // 2 + 100


@pytest.mark.parametrize(
    ("crop", "region", "source"),
    [
        ("sector", None, "sector"),
        ("sector", Box(10, 10, 150, 90), "region"),
        ("sector", Box(0, 0, 160, 100), "none"),  # a region that fills the frame crops nothing
        ("none", Box(10, 10, 150, 90), "none"),
    ],
)
def test_the_crop_names_its_source(crop: str, region: Box | None, source: CropSource) -> None:
    preprocessing = Preprocessing(size=64, crop=crop)  # type: ignore[arg-type]
    found = find_crop(PIXELS, preprocessing, region)
    assert found.source == source
    pixels, same = crop_and_letterbox(PIXELS, preprocessing, region)
    assert same == found
    assert pixels.shape == (64, 64)


def test_a_frame_without_a_sector_is_not_cropped() -> None:
    black = np.zeros((100, 160), np.uint8)
    assert find_crop(black, Preprocessing(size=64, crop="sector")) == (Box(0, 0, 160, 100), "none")
