"""The model that ships, on real frames of the official test split; skipped where the data set is not at hand."""

from pathlib import Path

import pytest

from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames
from model_build.data.labels import MAIN_PLANES
from model_build.evaluation.metrics import calibration_error, top_k
from model_build.evaluation.predictions import Outcome, per_plane, run_engine
from service.inference.engine import Engine
from service.inference.package import load_package
from tests.support.paths import DATA, ROOT

FRAMES = DATA / "fetal_planes_db"
NOISED = DATA / "fetal_planes_db_noised"

pytestmark = pytest.mark.skipif(not FRAMES.is_dir(), reason="FETAL_PLANES_DB is not beside the repository")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_package(ROOT / "service" / "models" / "default"))


def outcome_of(engine: Engine, folder: Path) -> Outcome:
    records = [record for record in read_records(folder) if record.split == "test"]
    return run_engine(engine, load_frames(records), records)


@pytest.fixture(scope="module")
def outcome(engine: Engine) -> Outcome:
    return outcome_of(engine, FRAMES)


def test_the_four_main_planes_are_told_apart(outcome: Outcome) -> None:
    main = outcome.only(outcome.planes < len(MAIN_PLANES))
    assert len(main.records) == 725
    assert top_k(main.probabilities, main.planes, 1).mean() >= 0.99


def test_the_true_plane_is_among_the_first_two(outcome: Outcome) -> None:
    assert top_k(outcome.probabilities, outcome.planes, 2).mean() >= 0.985


def test_probabilities_are_calibrated(outcome: Outcome) -> None:
    assert calibration_error(outcome.probabilities, outcome.planes) <= 0.02


def test_most_good_frames_are_answered(outcome: Outcome) -> None:
    assert 1 - outcome.abstained.mean() >= 0.93


def test_speckle_added_later_costs_little(engine: Engine) -> None:
    noised = outcome_of(engine, NOISED)
    assert top_k(noised.probabilities, noised.planes, 1).mean() >= 0.93


def test_the_card_tells_what_is_measured_here(outcome: Outcome) -> None:
    card = (ROOT / "service" / "models" / "default" / "MODEL_CARD.md").read_text("utf-8")
    for row in per_plane(outcome):
        assert f"| {row['plane']} | {row['frames']} ({row['patients']}) | {row['right']} |" in card
