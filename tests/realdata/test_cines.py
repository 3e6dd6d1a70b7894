"""Loops made of real stills, classified by the shipped model; skipped where the data set is not installed."""

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from fetal_planes_client import BatchEnd, Client
from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames
from model_build.data.labels import MAIN_PLANES
from service.app import create_app
from service.settings import Settings
from tests.support.images import animation
from tests.support.paths import DATA

FRAMES = DATA / "fetal_planes_db"
SHOT = 8

pytestmark = pytest.mark.skipif(not FRAMES.is_dir(), reason="FETAL_PLANES_DB is not next to the repository")


def sweep(pixels: NDArray[np.uint8], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Return a short shot of a still that moves a little from frame to frame, with new speckle in each."""
    height, width = pixels.shape
    shot = []
    for step in range(SHOT):
        move = np.array([[1.0, 0, 0.002 * step * width], [0, 1, -0.001 * step * height]])
        moved = cv2.warpAffine(pixels, move, (width, height)) * rng.normal(1, 0.05, pixels.shape)
        shot.append(np.clip(moved, 0, 255).astype(np.uint8))
    return shot


def test_shots_of_real_stills_are_classified() -> None:
    """The loop has the first two test stills of each main plane; the plane changes with every shot."""
    records = [record for record in read_records(FRAMES) if record.split == "test"]
    stills = [
        [record for record in records if record.plane == plane][turn]
        for turn in (0, 1)
        for plane in range(len(MAIN_PLANES))
    ]
    rng = np.random.default_rng(0)
    frames = [cv2.resize(pixels, (400, 300)) for pixels in load_frames(stills)]
    loop = animation("TIFF", [frame for pixels in frames for frame in sweep(pixels.astype(np.uint8), rng)])
    with TestClient(create_app(Settings())) as served:
        client = Client("http://testserver", transport=served._transport)
        (*_, end) = client.classify_batch([loop])
        planes = client.model().planes
    assert isinstance(end, BatchEnd)
    (cine,) = end.summary.cines
    ids = [plane.id for plane in planes]
    assert cine.cuts == [SHOT * shot for shot in range(1, 8)]
    predicted = {segment.start // SHOT: segment.plane for segment in cine.segments}
    correct = [predicted[shot] == ids[int(still.plane)] for shot, still in enumerate(stills)]
    assert sum(correct) >= 7
