"""From corrected frames to a better model; a worse one is not packaged."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_build.data.labels import PLANES
from model_build.data.records import Record
from model_build.evaluation.predictions import Predictions
from model_build.improvement.comparison import compare, reasons_against
from model_build.run_dir import SPLITS
from service.inference.engine import Engine
from service.inference.package import load_package
from tests.support.corrected_site import STRANGE, site_frame, write_corrections
from tests.support.tiny_run import BuiltModel, improve, read_table


@pytest.fixture(scope="module")
def improved(built: BuiltModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("improved")
    assert improve(built, write_corrections(folder / "corrections"), folder / "out") == 0
    return folder / "out"


def test_the_corrected_plane_is_named_right_on_patients_that_were_held_out(improved: Path) -> None:
    rows = {(row["set"], row["planes"]): row for row in read_table(improved / "comparison.csv")}
    strange = rows["corrections", PLANES[STRANGE].id]
    assert int(strange["frames"]) == int(strange["patients"]) == 2
    assert float(strange["top1_before"]) == 0
    assert float(strange["top1_after"]) == 1
    test = rows["test", "all"]
    assert float(test["top1_after"]) >= float(test["top1_before"])
    assert float(strange["top1_difference_low"]) == float(strange["top1_difference_high"]) == 1


def test_the_package_serves_and_tells_its_origin(improved: Path) -> None:
    package = load_package(improved / "package")
    assert (package.manifest.name, package.manifest.training_data.corrected_frames) == ("site", 16)
    assert "and on 16 frames of a site" in (improved / "package" / "MODEL_CARD.md").read_text()
    Engine(package).warm_up()
    sides = json.loads((improved / "run" / SPLITS).read_text())["corrected_frames"]
    assert [len(sides[side]) for side in ("train", "val", "test")] == [16, 0, 4]
    assert not {name.split("-")[0] for name in sides["train"]} & {name.split("-")[0] for name in sides["test"]}


def test_an_improved_model_can_be_improved_again(built: BuiltModel, improved: Path, tmp_path: Path) -> None:
    again = replace(built, package=improved / "package")
    assert improve(again, write_corrections(tmp_path / "corrections", 6), tmp_path / "out", "--version", "3") == 0
    assert load_package(tmp_path / "out" / "package").manifest.version == "3"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("Fetal femur", "Placenta"), "the package does not know placenta"),
        (lambda text: text.replace("patient", "person"), "does not state patients"),
        (lambda text: "\n".join(text.split("\n")[:5]), "too few patients"),
        (lambda text: text.replace("\n", ",test\n").replace("machine,test", "machine,split"), "no frame to train on"),
        (lambda text: text.replace("machine", "sub_plane"), "sub_plane is 'Sonic'; only trans_thalamic"),
    ],
)
def test_corrections_that_cannot_be_used_are_refused(
    built: BuiltModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: object, message: str
) -> None:
    table = write_corrections(tmp_path / "corrections") / "labels.csv"
    assert callable(change)
    table.write_text(change(table.read_text()))
    assert improve(built, table.parent, tmp_path / "out") == 1
    assert message in capsys.readouterr().err


def test_a_picture_of_the_test_side_does_not_train(
    built: BuiltModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corrections = write_corrections(tmp_path / "corrections")
    test = json.loads((built.run / SPLITS).read_text())["frames"]["test"][0]
    sides = json.loads((built.run / SPLITS).read_text())["frames"]
    assert test in sides["test"]
    shutil.copy(built.data / test, corrections / "0-3.png")
    shutil.copy(built.data / test, corrections / "1-3.png")
    assert improve(built, corrections, tmp_path / "out") == 1
    assert "show the same picture" in capsys.readouterr().err


def test_a_folder_that_is_in_use_and_a_name_that_is_taken_are_refused(
    built: BuiltModel, improved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corrections = write_corrections(tmp_path / "corrections")
    assert improve(built, corrections, improved) == 1
    assert "is not empty" in capsys.readouterr().err
    manifest = load_package(built.package).manifest
    assert improve(built, corrections, tmp_path / "out", "--name", manifest.name, "--version", manifest.version) == 1
    assert "give the new one another version" in capsys.readouterr().err
    assert improve(built, corrections, tmp_path / "other", "--name", "fetal-planes") == 1
    assert "give a model of your own data another --name" in capsys.readouterr().err


def _predictions(right: list[bool]) -> Predictions:
    """Frames of one patient each; some are named right."""
    labels = np.arange(len(right)) % 4
    records = [Record(Path(f"{row}.png"), f"p{row}", int(label), "", "test") for row, label in enumerate(labels)]
    named = np.where(right, labels, (labels + 1) % 4)
    probabilities = np.eye(6)[named] * 0.9 + 0.1 / 6
    return Predictions(records, probabilities, np.zeros(len(right), np.bool_), PLANES)


def test_a_model_that_is_worse_than_the_interval_is_refused() -> None:
    before = _predictions([True] * 90 + [False] * 10)
    assert not reasons_against(before, before)
    assert not reasons_against(before, _predictions([True] * 88 + [False] * 12))
    worse = reasons_against(before, _predictions([True] * 70 + [False] * 30))
    assert worse[0].startswith("top1 of all planes on the test frames falls from 0.9000 to 0.7000")
    # Without an error before, a single one does not refuse the model.
    assert not reasons_against(_predictions([True] * 100), _predictions([True] * 99 + [False]))


def test_frames_are_compared_one_by_one() -> None:
    before, after = _predictions([True, True, False, False] * 5), _predictions([True, False, True, False] * 5)
    rows = {str(row["planes"]): row for row in compare({"test": (before, after)})}
    assert (rows["all"]["better"], rows["all"]["worse"], rows["all"]["frames"]) == (5, 5, 20)
    assert rows["all"]["top1_before"] == rows["all"]["top1_after"] == 0.5
    assert rows["fetal_femur"]["better"] == 5
    assert set(rows) == {"all", "main", *(plane.id for plane in PLANES[:4])}


def test_the_site_draws_a_plane_otherwise() -> None:
    assert not np.array_equal(site_frame(STRANGE, 1), site_frame(3, 1))
