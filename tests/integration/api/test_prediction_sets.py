"""Prediction sets in the answers of the API and of the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fetal_planes_client import Client, FrameAnswer
from service.cli import main
from tests.support.images import encode, speckle
from tests.support.phantom_package import PLANES, Phantom

STILL = encode(speckle(64, 64))
SCORES = ((0.0,) * 40, (1.0,) * 40, (0.0,) * 40, (1.0,) * 40, (0.5,) * 4, ())


@pytest.fixture
def sets(serve: Callable[..., TestClient]) -> TestClient:
    return serve(Phantom(set_scores=SCORES))


@pytest.mark.parametrize("path", ["/classify", "/explain"])
def test_an_answer_holds_the_set(sets: TestClient, path: str) -> None:
    answer = sets.post(f"{path}?set=0.95&top=6", content=STILL).json()
    ranked = [each["plane"] for each in answer["predictions"]]
    found = answer["prediction_set"]
    assert found["level"] == 0.95
    assert found["unsupported"] == ["maternal_cervix", "other"]
    assert found["empty"] is False
    # Planes 0 and 2 always reach their limit of 0, planes 1 and 3 never reach theirs of 1.
    assert {PLANES[0], PLANES[2]} <= set(found["planes"]) <= {PLANES[0], PLANES[2], *PLANES[4:]}
    assert found["planes"] == [plane for plane in ranked if plane in found["planes"]]


def test_an_empty_set_is_marked_and_holds_the_first_prediction(serve: Callable[..., TestClient]) -> None:
    answer = serve(Phantom(set_scores=((1.0,) * 40,) * 6)).post("/classify?set=0.9", content=STILL).json()
    assert answer["prediction_set"]["empty"] is True
    assert answer["prediction_set"]["planes"] == [answer["predictions"][0]["plane"]]


def test_a_batch_holds_the_sets(sets: TestClient) -> None:
    reply = sets.post("/classify/batch?set=0.95", files=[("files", ("a.png", STILL)), ("files", ("b.png", STILL))])
    *lines, _ = map(json.loads, reply.text.splitlines())
    single = sets.post("/classify?set=0.95", content=STILL).json()["prediction_set"]
    assert [line["prediction_set"] for line in lines] == [single] * 2


def test_without_the_parameter_there_is_none(sets: TestClient) -> None:
    assert sets.post("/classify", content=STILL).json()["prediction_set"] is None


def test_there_is_none_for_a_frame_out_of_distribution(serve: Callable[..., TestClient]) -> None:
    far = serve(Phantom(set_scores=SCORES, max_distance=0.0)).post("/classify?set=0.9", content=STILL).json()
    assert (far["abstain_reason"], far["prediction_set"]) == ("out-of-distribution", None)
    unsure = serve(Phantom(set_scores=SCORES, min_probability=1.0)).post("/classify?set=0.9", content=STILL).json()
    assert unsure["abstain_reason"] == "uncertain"
    assert unsure["prediction_set"]["planes"]


@pytest.mark.parametrize("level", ["0", "1", "0.49", "nan", "inf", "-1", "x", "95"])
def test_a_level_outside_of_its_range_is_refused(sets: TestClient, level: str) -> None:
    reply = sets.post(f"/classify?set={level}", content=STILL)
    assert (reply.status_code, reply.json()["code"]) == (400, "bad-parameter")
    assert "`set`" in reply.json()["detail"]


@pytest.mark.parametrize("path", ["/classify", "/explain", "/classify/batch"])
def test_a_level_that_the_counts_do_not_support_is_refused(sets: TestClient, client: TestClient, path: str) -> None:
    body: dict[str, Any] = {"files": [("files", ("a.png", STILL))]} if "batch" in path else {"content": STILL}
    reply = sets.post(f"{path}?set=0.99", **body)
    assert (reply.status_code, reply.json()["detail"]) == (
        400,
        "`set` must be at most 0.976, the highest level of this model.",
    )
    assert client.post(f"{path}?set=0.9", **body).json()["code"] == "bad-parameter"  # a package without sets


def test_a_reply_that_cannot_hold_a_set_is_refused(sets: TestClient) -> None:
    for path, accept in (("/classify", "application/dicom"), ("/explain", "image/jpeg")):
        reply = sets.post(f"{path}?set=0.9", content=STILL, headers={"Accept": accept})
        assert (reply.status_code, reply.json()["code"]) == (400, "bad-parameter")


def test_an_unknown_parameter_names_it_as_it_is_written(sets: TestClient) -> None:
    detail = sets.post("/classify?sets=0.9", content=STILL).json()["detail"]
    assert "`set`" in detail
    assert "set_level" not in detail


def test_the_client_and_the_command_line_give_it(
    sets: TestClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client("http://testserver", transport=sets._transport)
    expected = client.classify(STILL, set_level=0.95).prediction_set
    assert expected is not None
    assert client.explain(STILL, set_level=0.95).prediction_set == expected
    first, _ = client.classify_batch([STILL], set_level=0.95)
    assert isinstance(first, FrameAnswer)
    assert first.prediction_set == expected
    (tmp_path / "still.png").write_bytes(STILL)
    package = Phantom(set_scores=SCORES).write(tmp_path / "package")
    options = ["--model", str(package), str(tmp_path / "still.png")]
    assert main(["classify", *options, "--set", "0.95"]) == 0
    assert json.loads(capsys.readouterr().out)["prediction_set"] == expected.model_dump()
    assert main(["classify", *options, "--set", "0.99"]) == 2
    assert "--set must be at most 0.976" in capsys.readouterr().err
