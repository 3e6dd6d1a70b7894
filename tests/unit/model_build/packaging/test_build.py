"""From a run to a model package that the service opens."""

import json
import re

import pytest

from model_build.cli import main
from model_build.data.labels import PLANES
from service.inference.engine import Engine
from service.inference.package import load_package
from tests.support.paths import ROOT
from tests.support.tiny_run import BuiltModel, read_table

REPORT = (
    *("planes.csv", "scanners.csv", "confusion.csv", "selective.csv", "class_calibration.csv"),
    *("confusion.png", "reliability.png", "risk_coverage.png"),
)


def test_the_service_opens_the_package(built: BuiltModel) -> None:
    engine = Engine(load_package(built.package))
    engine.warm_up()
    manifest = engine.manifest
    assert (manifest.version, manifest.training_data.train_patients) == ("9.9", 6)
    assert set(manifest.files) == {"MODEL_CARD.md", "classifier.onnx", "explainer.onnx", "sub_planes.onnx"}


def test_metrics_are_records(built: BuiltModel) -> None:
    metrics = load_package(built.package).manifest.metrics
    assert [(metric.metric, metric.subset) for metric in metrics] == [
        ("top1", "main"),
        ("top1", "all"),
        ("top2", "all"),
        ("macro_f1", "main"),
        ("macro_f1", "all"),
        ("calibration_error", "all"),
        ("brier_score", "all"),
        ("coverage", "main"),
        ("coverage", "all"),
    ]
    assert {metric.split for metric in metrics} == {"test"}
    for metric in metrics[:-2]:
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= metric.value <= metric.high


def test_card_and_report_state_the_metrics_of_the_manifest(built: BuiltModel) -> None:
    metrics = load_package(built.package).manifest.metrics
    card = (built.package / "MODEL_CARD.md").read_text()
    assert f"| top-1, four main planes | {metrics[0].value:.4f} |" in card
    assert f"| {metrics[0].baseline:.4f} | 28 |" in card
    assert "| Maternal cervix | 4 (4) |" in card
    report = built.run / "report"
    assert set(REPORT) <= {path.name for path in report.iterdir()}
    summary = json.loads((report / "summary.json").read_text())
    assert summary["metrics"] == [metric.model_dump() for metric in metrics]
    assert (built.run / "curves.png").stat().st_size > 5000


def test_the_card_has_no_empty_or_unrendered_part(built: BuiltModel) -> None:
    card = (built.package / "MODEL_CARD.md").read_text()
    assert "{" not in card
    assert not re.search(r"\b(nan|None|official)\b", card)
    assert "\n\n\n" not in card
    for line in card.splitlines():
        if line.startswith("|"):  # a blank line inside a table would end it
            assert line.endswith("|")
    assert len(re.findall(r"^\| --- ", card, re.MULTILINE)) == 5


def test_the_card_and_the_report_state_what_was_left_out(built: BuiltModel) -> None:
    card = (built.package / "MODEL_CARD.md").read_text()
    rows = read_table(built.run / "report" / "acceptance.csv")
    names = ["liver", "muscle", "texture of other organs", "blocks shuffled", "warped"]
    own = [f"augmented validation inputs: {plane.label}" for plane in PLANES]
    assert [row["input"] for row in rows] == ["augmented validation inputs", *own, *names]
    for row in rows[7:]:
        assert f"| {row['input']} | {row['frames']} | {row['accepted']} |" in card
    expected = 100 - 100 * int(rows[0]["accepted"]) / int(rows[0]["frames"])
    assert f"about {expected:.0f} % of good frames of the main planes" in card


def test_the_report_states_what_inputs_are_named_as(built: BuiltModel) -> None:
    accepted = read_table(built.run / "report" / "acceptance.csv")[1:]
    named = read_table(built.run / "report" / "named.csv")
    for row in accepted:
        own = [each for each in named if each["input"] == row["input"]]
        assert sum(int(each["frames"]) for each in own) == int(row["frames"])
        assert sum(int(each["answered"]) for each in own) == int(row["accepted"])


def test_the_manifest_holds_a_probability_of_each_validation_patient(built: BuiltModel) -> None:
    sets = load_package(built.package).manifest.prediction_sets
    assert sets is not None
    assert len(sets.probabilities) == len(PLANES)
    assert all(len(own) <= 2 for own in sets.probabilities)  # two validation patients


def test_each_plane_has_a_limit_and_the_strict_one_is_not_higher(built: BuiltModel) -> None:
    manifest = load_package(built.package).manifest
    limits = dict(zip([plane.id for plane in manifest.planes], manifest.abstention.max_ood_score, strict=True))
    assert limits.pop("maternal_cervix") <= min(limits.values()) == max(limits.values())


def test_doubts_are_in_the_card_and_the_manifest(built: BuiltModel) -> None:
    card, manifest = (built.package / "MODEL_CARD.md").read_text(), load_package(built.package).manifest
    assert any(warning.startswith("TOO FEW FRAMES TO CALIBRATE") for warning in manifest.warnings)
    assert all(f"**{warning}**" in card for warning in manifest.warnings)
    coverage = next(each for each in manifest.metrics if (each.metric, each.subset) == ("coverage", "all"))
    assert f"turned away {round(36 * (1 - coverage.value))} " in card
    assert "Weights: **not stated" in card


def test_graphs_hold_no_local_path(built: BuiltModel) -> None:
    for path in built.package.glob("*.onnx"):
        graph = path.read_bytes()
        for trace in (str(ROOT).encode(), b"site-packages", b"stack_trace", b"model_build", b'.py"'):
            assert trace not in graph, path.name


def test_evaluate_gives_the_report_of_the_package(built: BuiltModel, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("again")
    assert main(["evaluate", str(built.package), "--data", str(built.data), "--out", str(out)]) == 0
    for name in REPORT[:5]:
        assert (out / "report" / name).read_text() == (built.run / "report" / name).read_text()
