"""`FETAL_PLANES_PRECISION`: the service says which precision answered."""

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.inference import precision
from service.inference.package import PackageError
from service.schemas.manifest import PrecisionChoice
from service.settings import Settings
from tests.support.images import encode, speckle
from tests.support.phantom_package import Phantom

INT8 = Phantom(temperature=2.0)
PHANTOM = replace(Phantom(), int8=INT8)


@pytest.mark.parametrize(("choice", "phantom"), [("float32", PHANTOM), ("int8", INT8)])
def test_answers_and_descriptions_state_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: PrecisionChoice, phantom: Phantom
) -> None:
    monkeypatch.setattr(precision, "has_int8_instruction", lambda: True)
    frame = speckle(64, 64)
    with TestClient(create_app(Settings(model=PHANTOM.write(tmp_path), precision=choice))) as client:
        answer = client.post("/classify", files={"file": ("a.png", encode(frame))}).json()
        health, model, metrics = (client.get(path) for path in ("/health", "/model", "/metrics"))
    assert answer["model"] == health.json()["model"]
    assert answer["model"]["precision"] == model.json()["precision"] == choice
    assert answer["predictions"][0]["probability"] == pytest.approx(phantom.probabilities(frame).max(), abs=1e-5)
    assert model.json()["temperature"] == phantom.temperature
    assert f'precision="{choice}"' in metrics.text


def test_auto_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_int8_instruction", lambda: True)
    monkeypatch.setattr(precision, "measure_seconds", lambda _: (2e-3, 1e-3))
    assert Settings.model_fields["precision"].default == "auto"
    settings = Settings(model=PHANTOM.write(tmp_path), precision="auto")
    with TestClient(create_app(settings)) as client:
        assert client.get("/health").json()["model"]["precision"] == "int8"


def test_int8_without_its_graph_ends_the_start(tmp_path: Path) -> None:
    settings = Settings(model=Phantom().write(tmp_path), precision="int8")
    with pytest.raises(PackageError, match="no int8"), TestClient(create_app(settings)):
        pass
