"""The live view with a camera that plays real stills, moved and with new speckle; skipped without the data set."""

import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames
from model_build.data.labels import PLANES
from service.settings import SHIPPED_MODEL
from tests.support.paths import DATA
from tests.support.server_thread import serving
from tests.system.browser.browser import chromium, why_not
from tests.system.browser.live_video import Gray, camera, kind_of, watch, write_y4m
from tests.system.browser.page_states import until

FRAMES = DATA / "fetal_planes_db"
STILLS, SHOT, REPEATS = 4, 6, 4  # of each plane; frames of a still; repeats of each

pytestmark = [
    pytest.mark.skipif(not FRAMES.is_dir(), reason="FETAL_PLANES_DB is not next to the repository"),
    pytest.mark.skipif(why_not() is not None, reason="no browser"),
]


def shot(pixels: Gray, rng: np.random.Generator) -> list[Gray]:
    """Return frames of a still that moves and grows a little, with new speckle in each."""
    height, width = pixels.shape
    frames = []
    for step in range(SHOT):
        zoom = 1 + 0.01 * step
        move = np.array([[zoom, 0, 0.002 * step * width], [0, zoom, -0.001 * step * height]])
        moved = cv2.warpAffine(pixels, move, (width, height)) * rng.normal(1, 0.05, pixels.shape)
        frames.append(np.clip(moved, 0, 255).astype(np.uint8))
    return frames


def test_items_are_found_in_real_frames_and_none_by_a_wrong_plane(tmp_path: Path) -> None:
    records = [record for record in read_records(FRAMES) if record.split == "test"]
    rng, drawn = np.random.default_rng(0), dict[str, list[Gray]]()
    wanted = [plane.id for plane in PLANES if plane.id != "other"]
    for plane, label in enumerate(wanted):
        stills = [record for record in records if record.plane == plane][:STILLS]
        sizes = [cv2.resize(pixels, (400, 300)) for pixels in load_frames(stills)]
        drawn[label] = [frame for pixels in sizes for frame in shot(pixels.astype(np.uint8), rng)]
    frames = (frame for shots in drawn.values() for frame in shots for _ in range(REPEATS))
    video = write_y4m(frames, tmp_path / "real.y4m")
    with serving(SHIPPED_MODEL) as address, chromium() as browser, camera(browser, video) as started:
        page = started.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        watch(page)
        until(page, "document.querySelectorAll('#live-items li[data-state=fulfilled]').length === 5", 600)
        with page.expect_download() as download:
            page.click("#live-zip")
        archive = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes()))
    kept = {
        label: frame["file"]
        for frame in json.loads(archive.read("manifest.json"))["frames"]
        for label in frame["kept_for"]
    }
    assert len(kept) == len(wanted)
    for (label, name), plane_id in zip(sorted(kept.items()), sorted(wanted), strict=True):
        picture = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        assert kind_of(np.asarray(picture, np.uint8), drawn) == plane_id, label
