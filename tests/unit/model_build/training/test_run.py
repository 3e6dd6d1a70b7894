"""A training run: its split is written once, before training."""

from pathlib import Path

import pytest

from model_build.data.formats import read_data
from model_build.data.labels import PLANES
from model_build.data.records import Dataset
from model_build.data.splits import make_split
from model_build.recipe import Recipe
from model_build.run_dir import CHECKPOINT, LOG, MODEL, RunError, read_split, start_run, write_splits
from model_build.training import run as training_run
from model_build.training.trainer import RunOptions


class StartedError(Exception):
    """Training starts: the arguments are a training and a validation data set."""


class FakeTrainer:
    def __init__(self, recipe: Recipe, train_data: Dataset, val_data: Dataset, *_: object) -> None:
        self.sides = train_data, val_data

    def train(self) -> None:
        raise StartedError(*self.sides)


@pytest.fixture(autouse=True)
def fake_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "Trainer", FakeTrainer)


def test_the_split_is_written_before_training(phantoms: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(StartedError) as started:
        training_run.train_run(tiny_recipe, phantoms, tmp_path / "run")
    train_data, val_data = started.value.args
    split = read_split(tmp_path / "run", read_data(phantoms))
    assert (train_data.records, val_data.records) == (split.train, split.val)
    assert split == make_split(read_data(phantoms), tiny_recipe)


def test_a_resumed_run_keeps_its_split(phantoms: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    data = read_data(phantoms)
    split = make_split(data, tiny_recipe)
    del split.train[::2]
    write_splits(tmp_path, {"frames": (split, data.folder)})
    with pytest.raises(StartedError) as started:
        training_run.train_run(tiny_recipe, phantoms, tmp_path, RunOptions(resume=True))
    assert started.value.args[0].records == split.train
    assert read_split(tmp_path, data) == split


def test_an_unknown_backbone_is_refused_before_the_data_are_read(tiny_recipe: Recipe, tmp_path: Path) -> None:
    network = tiny_recipe.network.model_copy(update={"backbone": "b9"})
    with pytest.raises(ValueError, match="'b9' is none of lite0"):
        training_run.train_run(tiny_recipe.model_copy(update={"network": network}), tmp_path / "no data", tmp_path)


def test_a_run_is_not_overwritten(phantoms: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(StartedError):
        training_run.train_run(tiny_recipe, phantoms, tmp_path)
    with pytest.raises(RunError, match=r"unfinished run \(no epoch is complete\): continue it with --resume, or name"):
        training_run.train_run(tiny_recipe, phantoms, tmp_path)
    start_run(tmp_path, tiny_recipe, PLANES)
    (tmp_path / CHECKPOINT).write_bytes(b"")
    (tmp_path / LOG).write_text("epoch,loss\n1,0.5\n")
    with pytest.raises(RunError, match=r"unfinished run \(1 of 2 epochs are complete\)"):
        training_run.train_run(tiny_recipe, phantoms, tmp_path)
    (tmp_path / MODEL).write_bytes(b"")
    with pytest.raises(RunError, match="holds a finished run: name another folder"):
        training_run.train_run(tiny_recipe, phantoms, tmp_path)


def test_a_finished_run_is_not_resumed(
    phantoms: Path, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start_run(tmp_path, tiny_recipe, PLANES)
    (tmp_path / MODEL).write_bytes(b"averaged weights, which have no checkpoint")
    training_run.train_run(tiny_recipe, phantoms, tmp_path, RunOptions(resume=True))
    assert "is a finished run: nothing is left to train" in capsys.readouterr().err


def test_a_run_of_another_recipe_is_not_resumed(phantoms: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    start_run(tmp_path, tiny_recipe, PLANES)
    training = tiny_recipe.training.model_copy(update={"epochs": 3, "grad_accum_steps": 4})
    other = tiny_recipe.model_copy(update={"training": training, "sub_planes": None})
    with pytest.raises(RunError, match=r"another recipe \(sub_planes.* was .*, training.epochs was 2, is 3\)"):
        training_run.train_run(other, phantoms, tmp_path, RunOptions(resume=True))
    same = tiny_recipe.training.model_copy(update={"grad_accum_steps": 4})
    smaller = tiny_recipe.model_copy(update={"training": same})  # on a machine with less memory
    with pytest.raises(StartedError):
        training_run.train_run(smaller, phantoms, tmp_path, RunOptions(resume=True))
