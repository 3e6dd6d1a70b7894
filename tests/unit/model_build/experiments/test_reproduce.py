"""A reproduction next to the published results. As in the published data, one picture belongs to two patients."""

import shutil
from pathlib import Path

import pytest

from model_build.cli import main
from model_build.data.formats import read_data
from model_build.data.splits import make_split
from model_build.experiments.reproduce import PUBLISHED
from model_build.recipe import load_recipe
from tests.support.tiny_run import read_table


@pytest.mark.training
def test_a_recipe_is_reproduced_by_frame_and_by_patient(phantoms: Path, tiny_file: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "paper.toml"
    recipe.write_text(f'extends = "{tiny_file}"\nsplit = "frames"\n')
    data, out = shutil.copytree(phantoms, tmp_path / "data"), tmp_path / "out"
    sides = make_split(read_data(data), load_recipe(str(recipe)).model_copy(update={"split": "patients"}))
    shutil.copy(sides.test[0].path, sides.train[0].path)
    call = ["--threads", "1", "reproduce", str(recipe), str(out), "--data", str(data), "--device", "cpu"]
    assert main(call) == 0
    published, *rows = read_table(out / "table.csv")
    assert (published["run"], published["top1"]) == (PUBLISHED["run"], "0.9625")
    names = ["80:20 by frame", "80:20 by frame: patients in training", "80:20 by patient"]
    assert [row["run"] for row in rows] == names
    report = (out / "report.md").read_text()
    assert "not comparable" in report
    assert all(f"| {name} |" in report for name in names)
    assert "THE SPLIT IS BY FRAME" in (out / "package-frames" / "MODEL_CARD.md").read_text()
    before = (out / "run-frames" / "model.pt").stat().st_mtime_ns
    assert main(call) == 0
    assert (out / "run-frames" / "model.pt").stat().st_mtime_ns == before
