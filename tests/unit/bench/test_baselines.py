"""The plain FastAPI service that the benchmark compares with, in both precisions."""

import pytest
from fastapi.testclient import TestClient

from bench.baselines.plain import create_app
from service.analysis.pipeline import Pipeline
from service.inference.engine import Engine
from service.inference.package import load_package
from service.schemas.manifest import Precision
from service.settings import Settings
from tests.support.images import encode, speckle

UPLOAD = encode(speckle(300, 400))


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_it_answers_as_the_service_does_in_this_precision(precision: Precision) -> None:
    settings = Settings()
    ours = Pipeline(Engine(load_package(settings.model).at(precision)), settings.limits).classify(UPLOAD).ranked[:2]
    reply = TestClient(create_app(precision)).post("/classify", content=UPLOAD)
    assert [each["plane"] for each in reply.json()["predictions"]] == [score.plane for score in ours]
    found = [each["probability"] for each in reply.json()["predictions"]]
    assert found == pytest.approx([score.probability for score in ours], abs=1e-5)


def test_the_precisions_differ() -> None:
    replies = [TestClient(create_app(each)).post("/classify", content=UPLOAD).json() for each in ("float32", "int8")]
    assert replies[0] != replies[1]
