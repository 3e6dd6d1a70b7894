"""Parts of a batch, several processes, and what they promise of the weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.servers import free_port
from model_build.cli import main
from model_build.data.frames import open_frames
from model_build.data.records import load_frames, read_records
from model_build.recipe import Recipe
from model_build.training import trainer as training
from model_build.training.distributed import Distributed, MicroBatches


def varied(recipe: Recipe, **update: object) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=update)})


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Recipe) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    sections = varied(tiny_recipe, epochs=1, batch=16).model_dump()
    lines = [f"{name} = {value!r}" for name, value in sections.items() if not isinstance(value, dict)]
    for name, section in sections.items():
        if isinstance(section, dict):
            lines += [f"[{name}]", *(f"{field} = {value!r}" for field, value in section.items())]
    file.write_text("\n".join(lines).replace("'", '"') + "\n")
    return file


def test_each_process_gets_its_parts_of_the_same_batches() -> None:
    order = torch.utils.data.SequentialSampler(range(11))
    whole = list(MicroBatches(order, 11, 4, Distributed(), 1))
    assert whole == [[0, 1, 2, 3], [4, 5, 6, 7]]
    first, second = (list(MicroBatches(order, 11, 4, Distributed(rank=rank, size=2), 1)) for rank in (0, 1))
    assert (first, second) == ([[0, 1], [4, 5]], [[2, 3], [6, 7]])
    assert list(MicroBatches(order, 11, 4, Distributed(rank=1, size=2), 2)) == [[2], [3], [6], [7]]
    assert len(MicroBatches(order, 11, 4, Distributed(rank=1, size=2), 2)) == 4
    with pytest.raises(ValueError, match="batch of 4 cannot be computed in 3 x 1 equal parts"):
        MicroBatches(order, 11, 4, Distributed(size=3), 1)


def run_torchrun(processes: int, arguments: list[str]) -> None:
    program = (
        "import sys, torch; torch.set_num_threads(1); from model_build.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": "1",
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    for process in running:
        _, said = process.communicate(timeout=500)
        assert process.returncode == 0, said


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "model.pt", weights_only=True)
    return state


def test_two_processes_give_the_weights_of_one_that_computes_in_parts(
    phantoms: Path, tiny_file: Path, tmp_path: Path
) -> None:
    call = ["--threads", "1", "train", "--data", str(phantoms), "--recipe", str(tiny_file), "--device", "cpu"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert main([*call, str(one), "--grad-accum-steps", "2"]) == 0
    run_torchrun(2, [*call, str(two), "--cache", str(tmp_path / "cache")])
    expected, found = weights(one), weights(two)
    for name, value in expected.items():
        assert torch.allclose(value, found[name], rtol=1e-3, atol=2e-5), name
    assert (two / "log.csv").read_text().splitlines()[-1].startswith("1,")
    assert len(list((tmp_path / "cache").glob("*.frames"))) == 1


def test_a_run_in_parts_that_was_killed_gives_the_same_weights(
    phantoms: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = read_records(phantoms)
    train_set, held_set = ((load_frames(part), part) for part in (records[:40], records[40:52]))
    recipe = varied(tiny_recipe, batch=16, grad_accum_steps=2)
    whole = training.train(recipe, train_set, held_set, tmp_path / "whole").state_dict()
    save = training.Trainer.save

    def save_and_die(run: training.Trainer, path: Path, epoch: int) -> None:
        save(run, path, epoch)
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "save", save_and_die)
        with pytest.raises(InterruptedError):
            training.train(recipe, train_set, held_set, tmp_path / "broken")
    resumed = training.train(recipe, train_set, held_set, tmp_path / "broken", resume=True).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_cached_frames_are_the_decoded_ones_and_are_decoded_once(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    from model_build.data import frames as frame_cache

    records = read_records(phantoms)
    some = records[3:30:4]
    first = open_frames(records, tmp_path)(some)
    expected = load_frames(some)
    assert all((frame == other).all() for frame, other in zip(first, expected, strict=True))
    monkeypatch.setattr(frame_cache, "decode_record", None)
    again = pickle.loads(pickle.dumps(open_frames(records, tmp_path)(some)))
    assert all((frame == other).all() for frame, other in zip(again, expected, strict=True))
    os.utime(records[0].path, ns=(1, 1))
    with pytest.raises(TypeError):
        open_frames(records, tmp_path)


def test_tensorboard_is_optional_and_asked_for_by_name(
    phantoms: Path, tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    call = ["train", str(tmp_path), "--data", str(phantoms), "--recipe", str(tiny_file), "--tensorboard"]
    assert main([*call, "--device", "cpu"]) == 1
    assert "pip install tensorboard" in capsys.readouterr().err
