import base64
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from service.analysis.pipeline import Pipeline
from service.execution.pool import WorkerPool
from service.imaging.letterbox import PreparedFrame, crop_and_letterbox
from service.inference.engine import Engine
from service.schemas.manifest import Preprocessing
from tests.support.images import encode, speckle
from tests.support.phantom_package import PLANES, Phantom


def prepared(phantom: Phantom, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return crop_and_letterbox(pixels, Preprocessing(size=phantom.size, crop="none"))[0]


@pytest.mark.parametrize("plane", PLANES)
def test_the_heat_map_is_grad_cam(client: TestClient, phantom: Phantom, plane: str) -> None:
    pixels = speckle(seed=5)
    reply = client.post("/explain", params={"target": plane}, content=encode(pixels))
    assert reply.status_code == 200, reply.text
    explanation = reply.json()["explanation"]
    raw = phantom.heatmap(prepared(phantom, pixels), PLANES.index(plane))
    assert (explanation["method"], explanation["target"]) == ("grad-cam", plane)
    assert explanation["empty"] == (raw.max() == 0)
    assert explanation["raw_max"] == pytest.approx(raw.max(), rel=1e-4)
    scaled = raw / raw.max() if raw.max() > 0 else raw
    np.testing.assert_allclose(explanation["heatmap"], scaled, atol=1e-3)


def test_the_classification_comes_with_it(client: TestClient) -> None:
    data = encode(speckle())
    answer, plain = client.post("/explain", content=data).json(), client.post("/classify", content=data).json()
    for name in ("predictions", "abstain", "abstain_reason", "frame", "model"):
        assert answer[name] == plain[name]
    assert answer["explanation"]["target"] == plain["predictions"][0]["plane"]


def test_no_positive_evidence_is_empty(serve: Callable[..., TestClient]) -> None:
    phantom = Phantom()
    phantom.head[:, 2] = -1
    answer = serve(phantom).post("/explain?target=fetal_femur", content=encode(speckle())).json()
    explanation = answer["explanation"]
    assert explanation["empty"] is True
    assert explanation["raw_max"] == 0
    assert not np.any(explanation["heatmap"])
    picture = Image.open(io.BytesIO(base64.b64decode(explanation["overlay"]["data"])))
    red, green, blue = (np.asarray(band, int) for band in picture.split())
    assert np.abs(red - green).max() <= 2
    assert np.abs(red - blue).max() <= 2


def test_the_overlay_is_a_jpeg_at_the_frame_s_own_size(client: TestClient) -> None:
    overlay = client.post("/explain", content=encode(speckle(90, 130))).json()["explanation"]["overlay"]
    assert (overlay["media_type"], overlay["width"], overlay["height"]) == ("image/jpeg", 130, 90)
    picture = Image.open(io.BytesIO(base64.b64decode(overlay["data"], validate=True)))
    assert (picture.format, picture.size, picture.mode) == ("JPEG", (130, 90), "RGB")


def test_the_overlay_can_be_left_out(client: TestClient) -> None:
    explanation = client.post("/explain?overlay=false", content=encode(speckle())).json()["explanation"]
    assert explanation["overlay"] is None
    assert len(explanation["heatmap"]) == 8


@pytest.mark.parametrize(("media_type", "name"), [("image/jpeg", "JPEG"), ("image/png", "PNG")])
def test_accept_asks_for_the_picture_alone(client: TestClient, media_type: str, name: str) -> None:
    reply = client.post(
        "/explain?target=maternal_cervix", content=encode(speckle(90, 130)), headers={"Accept": media_type}
    )
    assert reply.headers["content-type"] == media_type
    assert reply.headers["x-plane"] == "maternal_cervix"
    assert reply.headers["vary"] == "Accept"
    picture = Image.open(io.BytesIO(reply.content))
    assert (picture.format, picture.size) == (name, (130, 90))


def test_a_refusal_is_a_problem_whatever_was_accepted(client: TestClient) -> None:
    reply = client.post("/explain", content=b"nonsense", headers={"Accept": "image/jpeg"})
    assert (reply.status_code, reply.headers["content-type"]) == (415, "application/problem+json")


@pytest.mark.parametrize("upload", [encode(speckle(300, 400)), encode(speckle(90, 130), "JPEG")])
def test_without_an_overlay_the_answer_is_the_same_and_the_frame_is_not_taken(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, upload: bytes
) -> None:
    taken: list[int] = []
    prepare = Pipeline.prepare

    def note(pipeline: Pipeline, *arguments: Any, **options: Any) -> PreparedFrame:
        frame = prepare(pipeline, *arguments, **options)
        taken.append(0 if frame.picture is None else frame.picture.size)
        return frame

    monkeypatch.setattr(Pipeline, "prepare", note)
    answers = [client.post(f"/explain?overlay={drawn}&top=6", content=upload).json() for drawn in ("true", "false")]
    for answer in answers:
        del answer["request_id"], answer["explanation"]["overlay"]
    assert answers[0] == answers[1]
    assert taken == [answers[0]["frame"]["width"] * answers[0]["frame"]["height"], 0]


def test_a_picture_without_overlay_makes_no_sense(client: TestClient) -> None:
    reply = client.post("/explain?overlay=false", content=encode(speckle()), headers={"Accept": "image/png"})
    assert (reply.status_code, reply.json()["code"]) == (400, "bad-parameter")


def test_the_backbone_runs_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    engine: Engine = client.app.state.runtime.model.pipeline.engine  # type: ignore[attr-defined]
    classifier = engine._classifier

    class Counting:
        def run(self, *arguments: Any) -> Any:
            runs.append(arguments)
            return classifier.run(*arguments)

    monkeypatch.setattr(engine, "_classifier", Counting())
    monkeypatch.setattr(engine, "_wide", Counting())
    assert client.post("/explain?target=other", content=encode(speckle())).status_code == 200
    assert len(runs) == 1


def test_a_large_picture_is_drawn_where_other_work_has_the_core(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside, step_aside = list[int](), WorkerPool.step_aside

    def counted(self: WorkerPool) -> AbstractContextManager[None]:
        aside.append(1)
        return step_aside(self)

    monkeypatch.setattr(WorkerPool, "step_aside", counted)
    monkeypatch.setattr("service.execution.decoders.process._SLOW_S", 60.0)  # decoding does not count here
    for side, expected in ((1900, 1), (2100, 2)):  # one for the memory of the decoder
        aside.clear()
        flat = np.zeros((side, side), np.uint8)
        reply = client.post("/explain", content=encode(flat), headers={"Accept": "image/jpeg"})
        assert (reply.status_code, len(aside)) == (200, expected)
