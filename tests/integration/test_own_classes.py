"""Classes of one's own: from a folder to a package, and through the API, with no change of code; and the tutorial."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from torch import Tensor, nn

from model_build.cli import main
from model_build.data.formats import read_data
from model_build.data.splits import make_split
from model_build.evidence import collect as evidence
from model_build.evidence import faithfulness
from model_build.evidence import gradient_shap as attribution
from model_build.evidence.ood_inputs import ood_inputs
from model_build.experiments.reproduce import PAPER
from model_build.experiments.studies import multiply_adds
from model_build.models.attention import ATTENTIONS
from model_build.models.classifier import Head, create_classifier
from model_build.packaging.grad_cam import traced_explainer
from model_build.recipe import Network, load_recipe
from service.analysis.exam import choose_expected
from service.app import create_app
from service.schemas.manifest import Plane
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
    write_tree(tmp_path / "data", ("heart", "spine"), women=10)
    monkeypatch.chdir(tmp_path)
    ran = []
    for command in tutorial_commands():
        program, verb = command[0].removeprefix(".venv/bin/"), command[1]
        if program != "fetal-planes-build" or verb in NOT_RUN:
            continue
        words = [str(tiny) if word == "default" else word for word in command[1:]]
        assert main(["--threads", "1", *words]) == 0, capsys.readouterr().err
        ran.append(verb)
    assert ran == ["check", "train", "package", "evaluate"]
    card = (tmp_path / "my-model" / "MODEL_CARD.md").read_text()
    assert "one of 2 planes: Heart, Spine" in card
    assert "Voluson" not in card
    frame = next((tmp_path / "data" / "spine").rglob("*.png")).read_bytes()
    with TestClient(create_app(Settings(model=tmp_path / "my-model", workers=1))) as client:
        answer = client.post("/classify", content=frame).json()
        assert {each["plane"] for each in answer["predictions"]} == {"heart", "spine"}
        assert sum(each["probability"] for each in answer["predictions"]) == pytest.approx(1, abs=1e-5)
        assert client.post("/explain?target=heart", content=frame).json()["explanation"]["target"] == "heart"
        assert client.get("/health").json()["expected_planes"] == ["heart", "spine"]
        assert client.post("/exam", files={"files": ("a.png", frame)}).json()["expected"] == ["heart", "spine"]
    assert main(["evaluate", "my-model", "--data", str(tmp_path / "data"), "--split", "all", "--out", "all"]) == 0
    monkeypatch.setattr(evidence, "ood_inputs", lambda: ood_inputs(each=1))
    monkeypatch.setattr(attribution, "_SAMPLES", 2)
    monkeypatch.setattr(faithfulness, "_STEPS", 2)
    assert main(["evidence", "runs/mine", "my-model", "--data", "data", "--out", "evidence"]) == 0
    assert (tmp_path / "evidence" / "faithfulness.csv").read_text().splitlines()[1].startswith("Grad-CAM,4,")
    write_tree(tmp_path / "others", ("heart", "kidney"))
    assert main(["evaluate", "my-model", "--data", "others", "--split", "all", "--out", "no"]) == 1
    assert "does not know kidney" in capsys.readouterr().err


def test_an_exam_expects_all_but_other_unless_it_is_told() -> None:
    planes = [Plane(id=name, label=name) for name in ("heart", "other", "spine")]
    assert choose_expected(None, None, planes) == ["heart", "spine"]
    assert choose_expected(None, "other", planes) == ["other"]


def test_an_attention_step_of_ones_own_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_small_recipe_costs_about_half() -> None:
    def cost(name: str) -> int:
        recipe = load_recipe(name)
        return multiply_adds(create_classifier(recipe.network, 6), recipe.preprocessing.size)

    assert 0.4 < cost("edge") / cost("default") < 0.65


def test_the_paper_is_reproduced_beside_what_was_published(phantoms: Path, tiny: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "paper.toml"
    recipe.write_text('split = "frames"\n' + tiny.read_text())
    data = shutil.copytree(phantoms, tmp_path / "data")
    sides = make_split(read_data(data), load_recipe(str(recipe)).model_copy(update={"split": "patients"}))
    shutil.copy(sides.test[0].path, sides.train[0].path)  # a picture of two women, as the public data have some
    call = ["reproduce", str(recipe), str(tmp_path / "out"), "--data", str(data), "--device", "cpu"]
    assert main(["--threads", "1", *call]) == 0
    lines = (tmp_path / "out" / "table.csv").read_text().splitlines()
    assert lines[1].startswith(f"{PAPER['run']},")
    assert "0.9625" in lines[1]
    assert [line.split(",")[0] for line in lines[2:]] == [
        "80:20 by frame",
        "80:20 by frame: women in training",
        "80:20 by patient",
    ]
    report = (tmp_path / "out" / "report.md").read_text()
    assert "another thing" in report
    assert "THE SPLIT IS BY FRAME" in (tmp_path / "out" / "package-frames" / "MODEL_CARD.md").read_text()
    before = (tmp_path / "out" / "run-frames" / "model.pt").stat().st_mtime_ns
    assert main(["--threads", "1", *call]) == 0
    assert (tmp_path / "out" / "run-frames" / "model.pt").stat().st_mtime_ns == before
