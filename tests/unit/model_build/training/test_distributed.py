"""Micro-batches and several processes give the weights of one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.servers import free_port
from model_build.cli import main
from model_build.training.distributed import Distributed, MicroBatchSampler


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    file.write_text(
        """
        extends = "default"
        validation_folds = 4
        preprocessing.size = 64
        training = { epochs = 1, batch_size = 8, ema_decay = 0.5, frozen_blocks = 2 }
        """
    )
    return file


def test_each_process_gets_its_micro_batches_of_the_same_batches() -> None:
    rows = torch.utils.data.SequentialSampler(range(11))
    whole = list(MicroBatchSampler(rows, 4, Distributed(), 1))
    assert whole == [[0, 1, 2, 3], [4, 5, 6, 7]]
    first, second = (list(MicroBatchSampler(rows, 4, Distributed(rank=rank, world_size=2), 1)) for rank in (0, 1))
    assert (first, second) == ([[0, 1], [4, 5]], [[2, 3], [6, 7]])
    assert list(MicroBatchSampler(rows, 4, Distributed(rank=1, world_size=2), 2)) == [[2], [3], [6], [7]]
    assert len(MicroBatchSampler(rows, 4, Distributed(rank=1, world_size=2), 2)) == 4
    with pytest.raises(ValueError, match="batch of 4 frames cannot be divided into 3 x 1 equal micro-batches"):
        MicroBatchSampler(rows, 4, Distributed(world_size=3), 1)


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
        _, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "model.pt", weights_only=True)
    return state


def test_two_processes_give_the_weights_of_one_with_two_micro_batches(
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


def test_a_missing_tensorboard_is_explained(
    phantoms: Path, tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    call = ["train", str(tmp_path), "--data", str(phantoms), "--recipe", str(tiny_file), "--tensorboard"]
    assert main([*call, "--device", "cpu"]) == 1
    assert "pip install tensorboard" in capsys.readouterr().err
