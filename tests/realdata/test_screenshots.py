"""Screenshots of real frames are answered as the frames are; skipped where the data set is not installed."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from service.analysis.abstention import abstain_reason
from service.imaging.letterbox import crop_and_letterbox
from service.imaging.sector import size_within
from service.imaging.surround import find_picture
from service.inference.engine import Engine
from service.inference.package import load_package
from tests.support.paths import DATA, ROOT
from tests.support.screenshots import SCREENSHOTS

FRAMES = sorted((DATA / "fetal_planes_db" / "Images").glob("*.png"))
EVERY = 40  # every n-th frame

pytestmark = pytest.mark.skipif(not FRAMES, reason="FETAL_PLANES_DB is not next to the repository")


def load(number: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(FRAMES[number]), cv2.IMREAD_GRAYSCALE), np.uint8)


def test_no_ordinary_frame_has_a_surround() -> None:
    for number in range(len(FRAMES)):
        pixels = load(number)
        small = cv2.resize(pixels, size_within(256, *pixels.shape), interpolation=cv2.INTER_AREA)
        assert find_picture(np.asarray(small, np.uint8), 2) is None, FRAMES[number].name


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_package(ROOT / "service" / "models" / "default"))


def answered(engine: Engine, pixels: NDArray[np.uint8]) -> bool:
    prepared, _ = crop_and_letterbox(pixels, engine.manifest.preprocessing)
    return abstain_reason(engine.score(prepared), engine.manifest.abstention) is None


@pytest.mark.parametrize("kind", SCREENSHOTS)
def test_screenshots_are_answered(engine: Engine, kind: str) -> None:
    frames = [load(number) for number in range(0, len(FRAMES), EVERY)]
    frames = [pixels for pixels in frames if answered(engine, pixels)]
    assert len(frames) > 30
    assert np.mean([answered(engine, SCREENSHOTS[kind](pixels)) for pixels in frames]) >= 0.85
