from pathlib import Path

from model_build.cli import main
from tests.support.tiny_dataset import write_tree
from tests.support.tiny_run import read_table


def test_every_frame_is_held_out_once(phantoms: Path, tiny_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = ["cross-validate", str(out), "--data", str(phantoms), "--recipe", str(tiny_file), "--folds", "2"]
    assert main([*call, "--device", "cpu"]) == 0
    rows = read_table(out / "planes.csv")
    assert [int(row["frames"]) for row in rows] == [12] * 6
    assert all(float(row["recall_low"]) <= float(row["recall"]) <= float(row["recall_high"]) for row in rows)


def test_a_folder_of_other_classes_is_cross_validated(tiny_file: Path, tmp_path: Path) -> None:
    data = write_tree(tmp_path / "data", ("heart", "other", "spine"))
    call = ["cross-validate", str(tmp_path / "out"), "--data", str(data), "--recipe", str(tiny_file)]
    assert main([*call, "--device", "cpu", "--folds", "2"]) == 0
    rows = read_table(tmp_path / "out" / "planes.csv")
    assert [(row["plane"], int(row["frames"])) for row in rows] == [("Heart", 6), ("Spine", 6), ("Other", 6)]
