"""The teacher of a distillation, and a training that starts from a run."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from model_build.cli import main
from model_build.data.datasets import IGNORE_INDEX, augmented_inputs
from model_build.data.formats.fetal_planes_db import read_records
from model_build.data.frames import load_frames
from model_build.data.records import Dataset
from model_build.models.batchnorm import fold_batchnorm
from model_build.recipe import Distillation, Recipe, load_recipe
from model_build.run_dir import RunError, read_model
from model_build.training import distillation
from model_build.training.distillation import PROBE, TeacherFiles, read_teacher
from model_build.training.losses import multi_task_loss
from model_build.training.trainer import RunOptions, Trainer
from tests.support.sononet import write_sononet
from tests.support.tiny_run import network_of, read_table, write_run

FRAMES = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(5)) * 255


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    training = tiny_recipe.training.model_copy(update={"fixed_norms": True, "epochs": 1})
    return tiny_recipe.model_copy(
        update={"training": training, "distillation": load_recipe("distill").distillation, "sub_planes": None}
    )


@pytest.fixture(scope="module")
def files(phantoms: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> TeacherFiles:
    """A finished run, as an import leaves it, and SonoNet-16 with random weights."""
    folder = tmp_path_factory.mktemp("teacher")
    network = network_of(tiny_recipe, 1)
    fold_batchnorm(network.classifier.backbone)
    run = write_run(folder / "run", tiny_recipe, network, phantoms)
    return TeacherFiles(run, write_sononet(folder / "sononet.npz"))


@pytest.fixture(scope="module")
def data(phantoms: Path) -> tuple[Dataset, Dataset]:
    records = read_records(phantoms)
    train, val = ([record for record in records if record.split == split] for split in ("train", "test"))
    return Dataset(load_frames(train), train), Dataset(load_frames(val), val)


def with_distillation(recipe: Recipe, **values: object) -> Recipe:
    assert recipe.distillation is not None
    return recipe.model_copy(update={"distillation": recipe.distillation.model_copy(update=values)})


def test_the_teacher_is_the_mean_of_network_mirrored_view_and_probe(
    recipe: Recipe, files: TeacherFiles, data: tuple[Dataset, Dataset]
) -> None:
    teacher, model = read_teacher(files, recipe, data[0]), read_model(files.run)
    assert teacher.probe is not None
    with torch.inference_mode():
        network = (model(FRAMES).softmax(1) + model(FRAMES.flip(3)).softmax(1)) / 2
        expected = (network + teacher.probe(FRAMES).softmax(1)) / 2
    assert torch.allclose(teacher(FRAMES).exp(), expected, atol=1e-5)
    alone = read_teacher(files, with_distillation(recipe, probe_weight=0.0, mirrored=False), data[0])
    assert torch.allclose(alone(FRAMES).exp(), model(FRAMES).softmax(1), atol=1e-5)


def test_the_probe_learns_its_training_frames(
    recipe: Recipe, files: TeacherFiles, data: tuple[Dataset, Dataset]
) -> None:
    probe = read_teacher(files, recipe, data[0]).probe
    assert probe is not None
    train = data[0]
    inputs = augmented_inputs(train, recipe, 1)
    labels = torch.tensor([record.plane for record in train.records])
    with torch.inference_mode():
        assert (probe(inputs.float()).argmax(1) == labels).float().mean() > 0.7


def test_a_probe_that_was_written_is_not_fitted_again(
    recipe: Recipe, files: TeacherFiles, data: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = read_teacher(files, recipe, data[0])
    teacher.write_probe(tmp_path / PROBE)
    monkeypatch.setattr(distillation, "augmented_inputs", None)
    again = read_teacher(files, recipe, data[0], tmp_path / PROBE)
    assert torch.equal(again(FRAMES), teacher(FRAMES))


def test_what_a_distillation_lacks_is_named(recipe: Recipe, files: TeacherFiles, data: tuple[Dataset, Dataset]) -> None:
    with pytest.raises(ValueError, match="name the teacher's run with --teacher"):
        read_teacher(None, recipe, data[0])
    with pytest.raises(ValueError, match="give its weights with --sononet"):
        read_teacher(TeacherFiles(files.run), recipe, data[0])


def test_the_loss_is_the_weighted_sum_of_labels_and_soft_targets(recipe: Recipe) -> None:
    random = torch.Generator().manual_seed(0)
    logits, soft = torch.randn(3, 6, generator=random), torch.randn(2, 6, generator=random).softmax(1)
    planes, none = torch.tensor([1, IGNORE_INDEX, 2]), torch.full((3,), IGNORE_INDEX)
    known = logits[[0, 2]]
    expected = 0.3 * functional.cross_entropy(known, planes[[0, 2]]) + functional.cross_entropy(known, soft)
    assert torch.allclose(multi_task_loss((logits, None), planes, none, recipe, soft), expected)
    nothing = multi_task_loss((logits, None), none, none, recipe, soft[:0])
    assert nothing.item() == 0  # and not NaN


def test_a_short_fine_tuning_stays_near_its_start_and_comes_closer_to_the_teacher(
    recipe: Recipe, files: TeacherFiles, data: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    training = recipe.training.model_copy(update={"epochs": 3, "backbone_lr": 1e-4, "head_lr": 1e-3})
    options = RunOptions(start=files.run, teacher=files)
    trainer = Trainer(recipe.model_copy(update={"training": training}), *data, tmp_path, options=options)
    start, teacher = read_model(files.run), trainer.teacher
    assert teacher is not None
    student = trainer.train().classifier
    changes = [(a - b).abs().max() for a, b in zip(student.parameters(), start.parameters(), strict=True)]
    assert 0 < max(changes) < 0.1
    inputs = augmented_inputs(data[0], recipe, 1).float()
    soft = teacher(inputs).exp()
    with torch.inference_mode():
        losses = [float(functional.cross_entropy(network(inputs), soft)) for network in (start, student)]
    assert losses[1] < losses[0]
    norm = student.backbone.get_submodule("_bn1")
    assert norm.get_buffer("running_mean").abs().max() == 0  # folded statistics stay
    assert (tmp_path / PROBE).is_file()


def test_a_run_without_norms_is_not_trained_with_new_ones(
    recipe: Recipe, files: TeacherFiles, data: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    training = recipe.training.model_copy(update={"fixed_norms": False})
    options = RunOptions(start=files.run, teacher=files)
    with pytest.raises(ValueError, match="needs fixed_norms = true"):
        Trainer(recipe.model_copy(update={"training": training}), *data, tmp_path, options=options)
    network = recipe.network.model_copy(update={"attention": "eca"})
    with pytest.raises(RunError, match="another network than the recipe"):
        Trainer(recipe.model_copy(update={"network": network}), *data, tmp_path, options=options)


def test_the_command_distills(
    phantoms: Path, recipe: Recipe, files: TeacherFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(recipe.distillation, Distillation)
    toml = tmp_path / "short.toml"
    toml.write_text(
        'extends = "distill"\nsub_planes = false\nvalidation_folds = 4\npreprocessing.size = 64\n'
        "training = { epochs = 1, batch_size = 8, frozen_blocks = 2 }\n"
    )
    command = ["train", str(tmp_path / "run"), "--data", str(phantoms), "--recipe", str(toml), "--device", "cpu"]
    assert main([*command, "--start", str(files.run)]) == 1
    assert "name the teacher's run with --teacher" in capsys.readouterr().err
    teacher = ["--start", str(files.run), "--teacher", str(files.run), "--sononet", str(files.sononet)]
    assert main([*command, *teacher, "--resume"]) == 0
    out = tmp_path / "table.csv"
    command = ["validate", str(files.run), str(tmp_path / "run"), "--data", str(phantoms), "--out", str(out)]
    assert main([*command, "--teacher", str(files.run), "--sononet", str(files.sononet)]) == 0
    rows = read_table(out)
    assert [row["run"] for row in rows] == [files.run.name, "run", "teacher"]
    assert rows[2]["loss_at_1"] != rows[0]["loss_at_1"]
    assert [row["main_abstained_at_1"] == "nan" for row in rows] == [False, False, True]
    command.remove(str(tmp_path / "run"))
    assert main([*command, "--teacher", str(files.run), "--sononet", str(files.sononet)]) == 1
    assert "none of the runs was distilled with a probe" in capsys.readouterr().err
