"""The sub-plane wherever a frame is answered."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient

from service.cli import main
from tests.support import dicom_objects as dicoms
from tests.support.images import animation, encode, speckle
from tests.support.phantom_sub_planes import BEST, NAMES, sub_plane_phantom

FRAME = speckle(64, 64)
STILL = encode(FRAME)


@pytest.fixture
def truth() -> dict[str, Any]:
    reported = sub_plane_phantom().sub_plane_probabilities(FRAME)
    name = NAMES[int(reported.argmax())]
    label = name.replace("_", " ").capitalize()
    return {"plane": name, "label": label, "probability": pytest.approx(float(reported.max()), abs=1e-5)}


@pytest.fixture
def finer(serve: Callable[..., TestClient]) -> TestClient:
    return serve(sub_plane_phantom())


@pytest.mark.parametrize("path", ["/classify", "/explain"])
def test_an_answer_tells_it(finer: TestClient, truth: dict[str, Any], path: str) -> None:
    answer = finer.post(path, content=STILL).json()
    assert answer["predictions"][0]["plane"] == BEST
    assert answer["sub_plane"] == truth


def test_it_is_null_where_the_package_has_no_head(client: TestClient) -> None:
    assert client.post("/classify", content=STILL).json()["sub_plane"] is None
    assert "sub_planes" not in client.get("/model").json()  # no more than model.json says


def test_it_is_null_where_the_model_abstains(serve: Callable[..., TestClient]) -> None:
    answer = serve(sub_plane_phantom(min_probability=1.0)).post("/classify", content=STILL).json()
    assert (answer["abstain"], answer["sub_plane"]) == (True, None)


def test_the_model_s_manifest_lists_them(finer: TestClient) -> None:
    described = finer.get("/model").json()["sub_planes"]
    assert (described["plane"], [each["id"] for each in described["sub_planes"]]) == (BEST, list(NAMES))


def test_a_batch_and_its_cines_tell_it(finer: TestClient, truth: dict[str, Any]) -> None:
    files = [("files", ("still.png", STILL)), ("files", ("loop.png", animation("PNG", [FRAME] * 3)))]
    *answers, end = map(json.loads, finer.post("/classify/batch", files=files).text.splitlines())
    assert [answer["sub_plane"] for answer in answers] == [truth] * 4
    (cine,) = end["summary"]["cines"]
    assert [best["sub_plane"] for best in cine["best"]] == [truth]


def test_an_exam_and_its_page_tell_it(finer: TestClient, truth: dict[str, Any]) -> None:
    files = [("files", ("still.png", STILL)), ("files", ("loop.png", animation("PNG", [FRAME] * 3)))]
    report = finer.post("/exam", files=files).json()
    (shown,) = [plane for plane in report["planes"] if plane["frames"]]
    assert [frame["sub_plane"] for frame in shown["frames"]] == [truth] * 2
    page = finer.post("/exam", files=files, headers={"accept": "text/html"}).text
    assert f"{truth['label']} {100 * sub_plane_phantom().sub_plane_probabilities(FRAME).max():.1f} %" in page


def test_a_structured_report_holds_it(finer: TestClient, truth: dict[str, Any]) -> None:
    upload = dicoms.native([FRAME])
    answer = finer.post("/classify", content=upload).json()
    reply = finer.post("/classify", content=upload, headers={"accept": "application/dicom"})
    assert reply.status_code == 200, reply.text
    report = pydicom.dcmread(io.BytesIO(reply.content))
    found = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item
        for element in report.iterall()
        if element.keyword == "ContentSequence"
        for item in element.value
        if "ConceptNameCodeSequence" in item
    }
    said = found["Standard plane within the image view"].ConceptCodeSequence[0]
    assert said.CodeMeaning == answer["sub_plane"]["label"]
    labels = [f"Probability of {name.replace('_', ' ').capitalize()}" for name in NAMES]
    reported = [float(found[label].MeasuredValueSequence[0].NumericValue) for label in labels]
    assert max(reported) == pytest.approx(100 * answer["sub_plane"]["probability"], abs=0.001)
    assert sum(reported) == pytest.approx(100, abs=0.01)


def test_process_writes_it_down(tmp_path: Path, truth: dict[str, Any]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "still.png").write_bytes(STILL)
    (tmp_path / "in" / "dark.png").write_bytes(encode(np.zeros((64, 64), np.uint8)))
    model = sub_plane_phantom().write(tmp_path / "model")
    assert main(["process", "--model", str(model), str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "frames.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    still = rows["still.png"]
    assert still["sub_plane"] == truth["plane"]
    assert float(still["sub_plane_probability"]) == truth["probability"]
