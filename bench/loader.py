"""Measure whether the data loader keeps up with training: `python -m bench.loader DATA`.

In alternation: the loader alone, training on tensors that are already in memory, and training with the loader. A ratio
near 1 between the last two means that training does not wait for data.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from bench.publish import conditions, make_parser, median_and_range, parse
from model_build.data.formats import read_data
from model_build.data.frames import open_frames
from model_build.data.records import Dataset
from model_build.data.splits import make_split
from model_build.recipe import load_recipe
from model_build.training.distributed import Distributed
from model_build.training.trainer import Batch, RunOptions, Trainer

Batches = Iterator[Batch]
LOADER, IN_MEMORY, TRAINING = "loader alone", "training on tensors in memory", "training with the loader"


class LoaderBenchmark:
    """One network, one loader and one set of batches in memory, on which the three rates are measured."""

    def __init__(self, options: argparse.Namespace) -> None:
        recipe, data_set = load_recipe(options.recipe), read_data(options.data)
        records = make_split(data_set, recipe).train
        train_data = Dataset(open_frames(data_set.records, options.cache)(records), records)
        run_options = RunOptions(Distributed(options.device), options.workers)
        self._trainer = Trainer(recipe, train_data, Dataset([], []), Path(), data_set.planes, run_options)
        self._trainer.network.train()
        self._loader: DataLoader[Any] = self._trainer.loader
        self._micro_batches = recipe.training.grad_accum_steps
        self._batch_size = recipe.training.batch_size
        self._steps = options.steps
        self._device = torch.device(options.device)
        # Steps that use up the batches which the workers prefetched before the clock started.
        self._prefetched = 4 * options.workers // self._micro_batches + 1
        batches = [next(iter(self._loader)) for _ in range(self._micro_batches)]
        self._in_memory = [_to(batch, options.device) for batch in batches]

    def measure(self) -> dict[str, float]:
        """Return frames per second by what was measured, once each."""
        rates = {IN_MEMORY: self._rate(self._train_in_memory, warm_up=1)}
        for name, step in ((TRAINING, self._train), (LOADER, self._load)):
            batches = _endless(self._loader)
            rates[name] = self._rate(lambda: step(batches), self._prefetched)  # noqa: B023
            batches.close()
        return rates

    def _train_in_memory(self) -> None:
        self._trainer.step(self._in_memory, 0, 0)

    def _train(self, batches: Batches) -> None:
        self._trainer.step([next(batches) for _ in range(self._micro_batches)], 0, 0)

    def _load(self, batches: Batches) -> None:
        for _ in range(self._micro_batches):
            next(batches)

    def _rate(self, step: Callable[[], None], warm_up: int) -> float:
        for _ in range(warm_up):
            step()
        started = time.perf_counter()
        for _ in range(self._steps):
            step()
        if self._device.type == "cuda":  # kernels run asynchronously
            torch.cuda.synchronize()
        return float(self._steps * self._batch_size / (time.perf_counter() - started))


def _to(batch: Batch, device: str) -> Batch:
    frames, planes, sub_planes = batch
    return frames.to(device), planes.to(device), sub_planes.to(device)


def _endless(loader: DataLoader[Any]) -> Generator[Any, None, None]:
    while True:
        yield from loader


def main() -> None:
    """Publish the rates and the ratio of training with the loader to training in memory."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="a data set, as `fetal-planes-build train` takes it")
    parser.add_argument("--recipe", default="default", help="name or TOML file (default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=2, help="processes of the loader (default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="folder of decoded frames")
    parser.add_argument("--steps", type=int, default=20, help="steps of each measurement (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5)
    options, section = parse(parser, "loader")
    benchmark = LoaderBenchmark(options)
    turns = [benchmark.measure() for _ in range(options.turns)]
    note = f" in {options.turns} turns of {options.steps} steps"
    ratios = [turn[TRAINING] / turn[IN_MEMORY] for turn in turns]
    lines = [f"{conditions(options.model)}; {options.device}, {options.workers} loader processes.\n\n"]
    for name in (LOADER, IN_MEMORY, TRAINING):
        rates = [turn[name] for turn in turns]
        lines.append(f"- {name}: {statistics.median(rates):.1f} frames/s\n")
    lines.append(f"- with the loader / in memory: {median_and_range(ratios, note=note)}\n")
    section.publish("".join(lines))


if __name__ == "__main__":
    main()
