import csv
from pathlib import Path

import pytest

from model_build.cli import main
from model_build.experiments import studies as experiments
from model_build.models.classifier import create_classifier
from model_build.recipe import Network, Recipe
from model_build.training.trainer import train
from tests.support.tiny_dataset import draw, write_tree
from tests.support.tiny_run import TINY_RECIPE


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    return tmp_path / "tiny.toml"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_machine_left_out_is_not_trained_on_and_a_second_call_trains_nothing(
    phantoms: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []

    def watched(recipe: Recipe, train_set: object, held_set: object, *rest: object, **options: object) -> object:
        seen.append({record.scanner for record in train_set[1]})  # type: ignore[index]
        assert {record.scanner for record in held_set[1]} == {"Aloka"}  # type: ignore[index]
        return train(recipe, train_set, held_set, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(experiments, "train", watched)
    call = ["transfer", str(tmp_path / "out"), "--data", str(phantoms), "--recipe", str(tiny), "--scanner", "Aloka"]
    assert main([*call, "--device", "cpu"]) == 0
    first = (tmp_path / "out" / "scanners.csv").read_text()
    assert main([*call, "--device", "cpu"]) == 0
    assert seen == [{"Voluson E6"}]
    assert (tmp_path / "out" / "scanners.csv").read_text() == first
    (row,) = table(tmp_path / "out" / "scanners.csv")
    assert row["scanner"] == "Aloka"
    assert int(row["frames"]) == 4 * 4  # four of the eight training women were on the Aloka, four main planes each


def test_cross_validation_holds_out_every_frame_once(phantoms: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = ["crossvalidate", str(out), "--data", str(phantoms), "--recipe", str(tiny), "--folds", "2"]
    assert main([*call, "--device", "cpu"]) == 0
    rows = table(out / "planes.csv")
    assert [int(row["frames"]) for row in rows] == [12] * 6
    assert all(float(row["recall_low"]) <= float(row["recall"]) <= float(row["recall_high"]) for row in rows)


def test_the_ablation_counts_what_it_compares(phantoms: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = ["ablate", str(out), "--data", str(phantoms), "--recipe", str(tiny), "--backbones", "lite0"]
    call += ["--attentions", "none", "eca", "--depths", "1", "--seeds", "1", "--device", "cpu"]
    assert main(call) == 0
    none, eca = table(out / "ablation.csv")
    assert int(eca["parameters"]) == int(none["parameters"]) + 6  # a kernel of five and a bias
    assert float(none["milliseconds_one_thread"]) > 0


def test_multiply_adds_are_the_published_ones() -> None:
    model = create_classifier(
        Network(backbone="lite0", attention="none", mlp_layers=1, dropout=0), 1000, pretrained=True
    )
    published = 407e6  # of Lite0 at 224, with three input channels
    stem = 2 * 9 * 32 * 112 * 112  # what one gray channel saves
    assert experiments.multiply_adds(model, 224) == pytest.approx(published - stem, rel=0.06)


def test_a_folder_of_ones_own_classes_is_cross_validated(tiny: Path, tmp_path: Path) -> None:
    data = write_tree(tmp_path / "data", ("heart", "other", "spine"))
    call = [str(tmp_path / "out"), "--data", str(data), "--recipe", str(tiny), "--device", "cpu"]
    assert main(["crossvalidate", *call, "--folds", "2"]) == 0
    rows = table(tmp_path / "out" / "planes.csv")
    assert [(row["plane"], int(row["frames"])) for row in rows] == [("Heart", 6), ("Spine", 6), ("Other", 6)]


def test_an_ablation_has_as_many_outputs_as_the_data_have_classes(tiny: Path, tmp_path: Path) -> None:
    data = write_tree(tmp_path / "data", ("heart", "spine"), women=10)
    call = [str(tmp_path / "out"), "--data", str(data), "--recipe", str(tiny), "--backbones", "lite0"]
    assert main(["ablate", *call, "--attentions", "none", "--depths", "1", "--seeds", "1", "--device", "cpu"]) == 0
    (row,) = table(tmp_path / "out" / "ablation.csv")
    two = create_classifier(Network(backbone="lite0", attention="none", mlp_layers=1, dropout=0), 2)
    assert int(row["parameters"]) == sum(each.numel() for each in two.parameters())


def test_transfer_reads_machines_out_of_a_table(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["path,label,patient,machine,split"]
    for woman in range(10):
        for plane, label in enumerate(("Heart", "Spine")):
            draw(tmp_path / "data" / f"{woman}-{plane}.png", plane, woman * 2 + plane)
            lines.append(f"{woman}-{plane}.png,{label},w{woman},{'AB'[woman % 2]},train")
    (tmp_path / "data" / "labels.csv").write_text("\n".join(lines) + "\n")
    call = ["transfer", str(tmp_path / "out"), "--data", str(tmp_path / "data"), "--recipe", str(tiny)]
    assert main([*call, "--device", "cpu", "--scanner", "A"]) == 0
    (row,) = table(tmp_path / "out" / "scanners.csv")
    assert (row["scanner"], row["trained_on"], row["frames"]) == ("A", "10", "10")
    assert main([*call, "--device", "cpu", "--scanner", "A", "C"]) == 1
    assert "of machine C; the data have: A, B" in capsys.readouterr().err
