"""The tables and contact sheets of a package."""

import shutil
from pathlib import Path

import pytest
import torch

from model_build.evidence import collect, faithfulness
from model_build.evidence import gradient_shap as attribution
from model_build.evidence.collect import write_evidence
from model_build.evidence.doppler import KINDS
from model_build.evidence.ood_inputs import ood_inputs
from tests.support.tiny_run import BuiltModel


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "ood_inputs", lambda: ood_inputs(each=1))
    monkeypatch.setattr(attribution, "_SAMPLES", 2)
    monkeypatch.setattr(faithfulness, "_STEPS", 2)


def test_evidence_of_a_package(built: BuiltModel, tmp_path: Path) -> None:
    write_evidence(built.run, built.package, built.data, tmp_path, per_plane=1)
    tables = {path.name: path.read_text().splitlines() for path in tmp_path.glob("*.csv")}
    assert tables["out_of_distribution.csv"][1].startswith("validation frames,")
    assert [line.split(",")[0] for line in tables["color.csv"][1:]] == list(KINDS)
    assert [line.split(",")[0] for line in tables["faithfulness.csv"][1:3]] == ["Grad-CAM", "GradientSHAP"]
    assert len(tables["against_center.csv"]) == 1 + 3 * 4
    assert len(tables["randomization.csv"]) == 5
    assert {path.name for path in tmp_path.glob("*.jpg")} & {"heat-correct.jpg", "heat-wrong.jpg"}


def test_a_package_of_another_run_is_refused(built: BuiltModel, tmp_path: Path) -> None:
    run = shutil.copytree(built.run, tmp_path / "run")
    state = torch.load(run / "model.pt", weights_only=True)
    state["head.mlp.7.bias"][0] += 1
    torch.save(state, run / "model.pt")
    with pytest.raises(ValueError, match="was not built from this run"):
        write_evidence(run, built.package, built.data, tmp_path / "evidence", per_plane=1)
