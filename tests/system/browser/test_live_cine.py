"""The page reads a live loop as the service reads a file: same cuts, same segments, same best frames."""

from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.analysis.batch import File
from service.analysis.cine import CineReader, shot_signature
from service.analysis.results import FrameResult, ModelIdentity
from service.imaging.frame import FrameMetadata
from service.imaging.letterbox import Crop, find_crop
from service.imaging.sector import Box
from service.inference.engine import Scores
from service.sample.frames import draw_frame
from service.schemas.batch import CineSummary
from service.schemas.manifest import Plane, Preprocessing
from tests.support.drawn_model import UNSURE
from tests.support.images import animation, speckle
from tests.support.phantom_package import PLANES
from tests.system.browser.visit import Visit

Visits = Callable[..., Visit]

READ = """async (loops) => {
  const { readCine, shotSignature } = await import("/page/cine_reader.js");
  return loops.map((loop) => {
    const frames = loop.map(({ probabilities, votes, signature, gray, width, height }) =>
      ({ probabilities, votes, signature: signature ?? shotSignature(gray, width, height) }));
    const { cuts, segments, best } = readCine(frames);
    return { cuts, segments, best: [...best].sort(([a], [b]) => a - b) };
  });
}"""
NAMED = [Plane(id=name, label=name) for name in PLANES[:3]]


def random_loop(rng: np.random.Generator) -> tuple[list[dict[str, Any]], CineSummary]:
    """Return a random loop for the page, and what the service reads in it."""
    count = int(rng.integers(1, 70))
    reader, frames = CineReader(File(0, None, bytes), count, NAMED), []
    favorite, scene, abstaining = 0, 0, 0.0
    for index in range(count):
        if rng.random() < 0.08:
            favorite, abstaining = int(rng.integers(3)), float(rng.choice([0, 0.2, 0.6, 0.9]))
        scene = int(rng.integers(4)) if rng.random() < 0.04 else scene
        weights = rng.random(3) + 2 * (np.arange(3) == favorite) * (rng.random() < 0.85)
        probabilities = (weights / weights.sum()).astype(np.float32)
        votes = bool(rng.random() >= abstaining)
        signature = shot_signature(speckle(seed=scene)) if scene < 3 else np.zeros(64, np.float32)
        result = FrameResult(
            frame=FrameMetadata("dicom", 80, 60, index, count), crop=Crop(Box(0, 0, 80, 60), "none"),
            scores=Scores(probabilities, 0.0, 0.0), ranked=(), abstain_reason=None if votes else "uncertain",
            sub_plane=None, sub_planes=None, model=ModelIdentity("phantom", "1", "0"),
        )  # fmt: skip
        reader.add(result, signature)
        frames.append({"probabilities": probabilities.tolist(), "votes": votes, "signature": signature.tolist()})
    return frames, reader.finish()


def assert_same(own: dict[str, Any], theirs: dict[str, Any], planes: list[str]) -> None:
    assert own["cuts"] == theirs["cuts"]
    assert [(each["start"], each["end"], each["frames"], each["abstained"]) for each in own["segments"]] == [
        (each["start"], each["end"], each["frames"], each["abstained"]) for each in theirs["segments"]
    ]
    for mine, other in zip(own["segments"], theirs["segments"], strict=True):
        assert (planes[mine["plane"]] if mine["plane"] >= 0 else None) == other["plane"]
        assert mine["confidence"] == pytest.approx(other["confidence"], abs=1e-5)
    assert {planes[plane]: frame for plane, frame in own["best"]} == {
        each["plane"]: each["frame"] for each in theirs["best"]
    }


def test_random_loops_have_the_segments_of_the_service(visit: Visits) -> None:
    loops = [random_loop(np.random.default_rng(seed)) for seed in range(60)]
    found = visit().page.evaluate(READ, [frames for frames, _ in loops])
    kinds = set()
    for own, (_, summary) in zip(found, loops, strict=True):
        assert_same(own, summary.model_dump(), [plane.id for plane in NAMED])
        kinds |= {segment.plane for segment in summary.segments}
    assert kinds == {None, *(plane.id for plane in NAMED)}
    assert sum(len(summary.cuts) for _, summary in loops) > 20


def test_a_drawn_loop_has_the_segments_of_the_service(visit: Visits, address: str) -> None:
    shown: list[NDArray[np.uint8]] = [
        draw_frame(kind, height=120, width=160, seed=seed, step=step)
        for kind, seed in (("brain", 1), ("abdomen", 1), UNSURE)
        for step in range(6)
    ]
    shown += [np.zeros_like(shown[0])] * 3
    files = {"files": ("loop.tiff", animation("TIFF", shown))}
    batch = httpx.post(f"{address}/classify/batch?top=1000", files=files, headers={"accept": "application/json"}).json()
    (cine,) = batch["summary"]["cines"]
    frames = []
    for pixels, record in zip(shown, batch["records"], strict=True):
        scores = {each["plane"]: each["probability"] for each in record["predictions"]}
        frames.append(
            {
                "probabilities": [scores[name] for name in PLANES], "votes": not record["abstain"],
                "gray": pixels.ravel().tolist(), "width": 160, "height": 120,
            }
        )  # fmt: skip
    (own,) = visit().page.evaluate(READ, [frames])
    assert cine["cuts"] == [18]
    assert len(cine["segments"]) >= 2
    assert_same(own, cine, list(PLANES))


def test_the_model_sees_the_crop_of_the_page(visit: Visits) -> None:
    """The service shows the model the middle of what it receives; the page sends as much more."""
    page = visit().page
    for zoom in (1.0, 1.15, 1.5):
        preprocessing = Preprocessing(size=64, crop="sector", zoom=zoom)
        for region in (Box(100, 50, 700, 500), Box(200, 20, 500, 580), Box(150, 100, 650, 600), Box(0, 0, 800, 600)):
            seen = find_crop(np.zeros((600, 800), np.uint8), preprocessing, region).box
            words = "async (given) => (await import('/page/live_loop.js')).widen(...given)"
            part = [seen.left, seen.top, seen.width, seen.height]
            left, top, width, height = (round(each) for each in page.evaluate(words, [part, zoom, 800, 600]))
            sent = Box(left, top, left + width, top + height)
            again = find_crop(np.zeros((600, 800), np.uint8), preprocessing, sent).box
            assert np.abs(np.subtract(again, seen)).max() <= 1


def test_signatures_are_those_of_the_service(visit: Visits) -> None:
    frames = [speckle(31, 45, seed=1), draw_frame("brain", height=64, width=64), np.full((16, 16), 90, np.uint8)]
    given = [{"gray": each.ravel().tolist(), "height": each.shape[0], "width": each.shape[1]} for each in frames]
    words = """async (frames) => {
      const { shotSignature } = await import("/page/cine_reader.js");
      return frames.map(({ gray, width, height }) => shotSignature(gray, width, height));
    }"""
    for own, pixels in zip(visit().page.evaluate(words, given), frames, strict=True):
        assert np.abs(np.array(own) - shot_signature(pixels)).max() < 0.02
