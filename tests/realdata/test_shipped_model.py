"""The shipped model on real frames of the official test split; skipped where the data set is not installed."""

from pathlib import Path

import pytest

from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames
from model_build.evaluation.headline import headline_metrics
from model_build.evaluation.metrics import calibration_error, top_k
from model_build.evaluation.predictions import Predictions, classify_frames
from model_build.evaluation.tables import per_plane, per_scanner
from service.inference.engine import Engine
from service.inference.package import load_package
from tests.support.paths import DATA, ROOT

FRAMES = DATA / "fetal_planes_db"
NOISED = DATA / "fetal_planes_db_noised"

pytestmark = pytest.mark.skipif(not FRAMES.is_dir(), reason="FETAL_PLANES_DB is not next to the repository")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_package(ROOT / "service" / "models" / "default"))


def predict_test_split(engine: Engine, folder: Path) -> Predictions:
    records = [record for record in read_records(folder) if record.split == "test"]
    return classify_frames(engine, load_frames(records), records)


@pytest.fixture(scope="module")
def predictions(engine: Engine) -> Predictions:
    return predict_test_split(engine, FRAMES)


def test_top1_of_the_main_planes(predictions: Predictions) -> None:
    main = predictions.main
    assert main is not None
    assert len(main.records) == 725
    assert top_k(main.probabilities, main.labels, 1).mean() >= 0.99


def test_top2_of_all_planes(predictions: Predictions) -> None:
    assert top_k(predictions.probabilities, predictions.labels, 2).mean() >= 0.985


def test_probabilities_are_calibrated(predictions: Predictions) -> None:
    assert calibration_error(predictions.probabilities, predictions.labels) <= 0.02


def test_the_model_seldom_abstains_on_good_frames(predictions: Predictions) -> None:
    assert 1 - predictions.abstained.mean() >= 0.93


def test_added_speckle_costs_little_accuracy(engine: Engine) -> None:
    noised = predict_test_split(engine, NOISED)
    assert top_k(noised.probabilities, noised.labels, 1).mean() >= 0.93


def test_the_card_states_what_is_measured_here(predictions: Predictions) -> None:
    card = (ROOT / "service" / "models" / "default" / "MODEL_CARD.md").read_text("utf-8")
    for row in per_plane(predictions):
        assert f"| {row['plane']} | {row['frames']} ({row['patients']}) | {row['correct']} |" in card
    for row in per_scanner(predictions):
        assert f"| {row['scanner']} | {row['frames']} | {row['correct']} |" in card


def test_the_manifest_states_what_is_measured_here(engine: Engine, predictions: Predictions) -> None:
    stated = engine.manifest.metrics
    measured = headline_metrics(predictions, "test")
    assert [(metric.metric, metric.subset, metric.n) for metric in stated] == [
        (metric.metric, metric.subset, metric.n) for metric in measured
    ]
    assert [metric.value for metric in stated] == pytest.approx([metric.value for metric in measured], abs=1e-4)
