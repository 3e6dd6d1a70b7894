"""Other classes: from a folder to a package and through the API without a change of code, as the tutorial says."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from torch import Tensor, nn

from model_build.cli import main
from model_build.evidence import collect, faithfulness
from model_build.evidence import gradient_shap as attribution
from model_build.evidence.ood_inputs import ood_inputs
from model_build.models.attention import ATTENTIONS
from model_build.models.classifier import Head, Network, create_classifier
from model_build.packaging.grad_cam import traced_explainer
from service.app import create_app
from service.inference.package import load_package
from service.settings import Settings
from tests.support.paths import ROOT
from tests.support.tiny_dataset import write_tree
from tests.support.tiny_run import TINY_RECIPE

TUTORIAL = ROOT / "docs" / "get-started" / "train.md"
NOT_RUN = {"fetch", "reproduce"}  # a download, and long trainings; tested elsewhere


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    recipe = TINY_RECIPE.replace("validation_folds = 4", "validation_folds = 2")
    file.write_text(recipe.replace("batch_size = 8", "batch_size = 4"))
    return file


def tutorial_commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_tutorial_gives_a_package_of_two_classes_that_is_served(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tree(tmp_path / "data", ("heart", "spine"), count=10)
    monkeypatch.chdir(tmp_path)
    ran = []
    for command in tutorial_commands():
        program, verb = command[0].removeprefix(".venv/bin/"), command[1]
        if program != "fetal-planes-build" or verb in NOT_RUN:
            continue
        words = [str(tiny) if word == "default" else word for word in command[1:]]
        if verb == "package":  # two steps of training are not enough
            assert main(["--threads", "1", *words]) == 1
            assert "NO BETTER THAN ALWAYS ANSWERING THE MOST FREQUENT PLANE" in capsys.readouterr().err
            assert not (tmp_path / "my-model").exists()
            words.append("--force")
        assert main(["--threads", "1", *words]) == 0, capsys.readouterr().err
        ran.append(verb)
    assert ran == ["check", "train", "package", "evaluate"]
    card = (tmp_path / "my-model" / "MODEL_CARD.md").read_text()
    assert "one of 2 planes: Heart, Spine" in card
    assert not re.search(r"fetal|official|voluson|\bnan\b", card, re.IGNORECASE)
    assert "random fifth of the patients, who are not in training" in card
    assert "data (**the folder: `name` in dataset.toml is missing**)" in card
    assert "not stated: `license` in dataset.toml is missing" in card
    assert "## Results on a fifth of the patients (4 frames of 2 patients)" in card
    again = ["package", "runs/mine", "my-model", "--data", "data", "--version", "2"]
    assert main([*again, "--name", "hearts"]) == 1
    assert "my-model holds a model package" in capsys.readouterr().err
    assert main([*again, "--name", "Fetal Planes", "--replace"]) == 1
    assert "'Fetal Planes' is the model that ships" in capsys.readouterr().err
    frame = next((tmp_path / "data" / "spine").rglob("*.png")).read_bytes()
    with TestClient(create_app(Settings(model=tmp_path / "my-model", workers=1))) as client:
        answer = client.post("/classify", content=frame).json()
        assert {each["plane"] for each in answer["predictions"]} == {"heart", "spine"}
        assert sum(each["probability"] for each in answer["predictions"]) == pytest.approx(1, abs=1e-5)
        assert client.post("/explain?target=heart", content=frame).json()["explanation"]["target"] == "heart"
        assert [each["id"] for each in client.get("/protocols").json()["protocols"]] == ["all-planes"]
        items = client.post("/exam", files={"files": ("a.png", frame)}).json()["items"]
        assert [item["label"] for item in items] == ["Heart", "Spine"]
    assert main(["evaluate", "my-model", "--data", str(tmp_path / "data"), "--split", "all", "--out", "all"]) == 0
    monkeypatch.setattr(collect, "ood_inputs", lambda: ood_inputs(each=1))
    monkeypatch.setattr(attribution, "_SAMPLES", 2)
    monkeypatch.setattr(faithfulness, "_STEPS", 2)
    assert main(["evidence", "runs/mine", "my-model", "--data", "data", "--out", "evidence"]) == 0
    assert (tmp_path / "evidence" / "faithfulness.csv").read_text().splitlines()[1].startswith("Grad-CAM,4,")
    write_tree(tmp_path / "others", ("heart", "kidney"))
    assert main(["evaluate", "my-model", "--data", "others", "--split", "all", "--out", "no"]) == 1
    assert "does not know kidney" in capsys.readouterr().err


def test_the_card_of_data_without_patients_says_so(tiny: Path, tmp_path: Path) -> None:
    data, run, package = write_tree(tmp_path / "data", patients=False, count=10), tmp_path / "run", tmp_path / "package"
    (data / "dataset.toml").write_text('name = "Our hearts"\nlicense = "CC0"\ncitation = "our archive"\n')
    shared = ["--data", str(data)]
    assert main(["--threads", "1", "train", str(run), *shared, "--recipe", str(tiny)]) == 0
    options = ["--name", "hearts", "--license", "CC BY 4.0", "--version", "1", "--force"]
    assert main(["--threads", "1", "package", str(run), str(package), *shared, *options]) == 0
    card, manifest = (package / "MODEL_CARD.md").read_text(), load_package(package).manifest
    assert "Our hearts. License: CC0. Source: our archive." in card
    assert "Weights: CC BY 4.0." in card
    assert not re.search(r"not stated|is missing|of \d+ patients", card)
    assert "random fifth of the files, and some of their patients may also be in training" in card
    assert manifest.warnings[0].startswith("PATIENTS ARE NOT KNOWN")
    assert (manifest.training_data.train_patients, manifest.weights_license) == (None, "CC BY 4.0")
    assert {metric.split for metric in manifest.metrics} == {"test-by-file"}


def test_a_new_attention_step_is_one_registry_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gain(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(channels))

        def forward(self, features: Tensor) -> Tensor:
            return features * self.gain[:, None, None]

    monkeypatch.setitem(ATTENTIONS, "gain", Gain)
    network = Network(backbone="lite0", attention="gain", mlp_layers=1, dropout=0)
    head = Head(3, network.attention, network.mlp_layers, network.dropout)
    explainer = traced_explainer(head, torch.rand(2, 1280, 4, 4), torch.eye(3)[:2])
    assert explainer(torch.rand(1, 1280, 4, 4), torch.eye(3)[:1]).shape == (1, 4, 4)
    with pytest.raises(ValueError, match="'lens' is none of"):
        create_classifier(Network(backbone="lite0", attention="lens", mlp_layers=1, dropout=0), 3)
