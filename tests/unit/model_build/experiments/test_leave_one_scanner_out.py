"""Training without a scanner, and scoring its frames."""

from pathlib import Path

import pytest

from model_build.cli import main
from model_build.experiments import holdout
from model_build.training.trainer import Trainer
from tests.support.tiny_dataset import draw
from tests.support.tiny_run import read_table


def test_the_scanner_is_not_trained_on_and_a_second_call_trains_nothing(
    phantoms: Path, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanners: list[tuple[set[str], set[str]]] = []

    class WatchedTrainer(Trainer):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            train_data, val_data = arguments[1:3]
            scanners.append(
                tuple({record.scanner for record in data.records} for data in (train_data, val_data))  # type: ignore
            )

    monkeypatch.setattr(holdout, "Trainer", WatchedTrainer)
    out = tmp_path / "out"
    call = ["leave-one-scanner-out", str(out), "--data", str(phantoms), "--recipe", str(tiny_file), "--device", "cpu"]
    assert main([*call, "--scanner", "Aloka"]) == 0
    first = (out / "scanners.csv").read_text()
    assert main([*call, "--scanner", "Aloka"]) == 0
    assert scanners == [({"Voluson E6"}, {"Aloka"})]
    assert (out / "scanners.csv").read_text() == first
    (row,) = read_table(out / "scanners.csv")
    # Four of the eight training patients were examined with the Aloka; each has a frame of the four main planes.
    assert (row["scanner"], row["frames"]) == ("Aloka", "16")
    assert float(row["accuracy_at_0.85"]) >= float(row["top1"]) == float(row["accuracy_at_1"])
    assert 0 <= float(row["aurc"]) <= 1
    assert 0 <= float(row["calibration_error"]) <= 1


def test_scanners_are_read_from_a_table(tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["path,label,patient,scanner,split"]
    for patient in range(10):
        for plane, label in enumerate(("Heart", "Spine")):
            draw(tmp_path / "data" / f"{patient}-{plane}.png", plane, patient * 2 + plane)
            lines.append(f"{patient}-{plane}.png,{label},p{patient},{'AB'[patient % 2]},train")
    (tmp_path / "data" / "labels.csv").write_text("\n".join(lines) + "\n")
    call = ["leave-one-scanner-out", str(tmp_path / "out"), "--data", str(tmp_path / "data"), "--device", "cpu"]
    call += ["--recipe", str(tiny_file), "--scanner"]
    assert main([*call, "A"]) == 0
    (row,) = read_table(tmp_path / "out" / "scanners.csv")
    assert (row["scanner"], row["train_frames"], row["frames"]) == ("A", "10", "10")
    assert main([*call, "A", "C"]) == 1
    assert "from scanner C; the data set has: A, B" in capsys.readouterr().err
