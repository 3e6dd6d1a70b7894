"""Whether the loader keeps up: frames a second of training as it is, and on batches that are there already."""

import statistics
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from model_build.data.formats import read_data
from model_build.data.frames import open_frames
from model_build.data.records import Dataset
from model_build.data.splits import make_split
from model_build.recipe import Recipe
from model_build.training.distributed import Distributed
from model_build.training.trainer import RunOptions, Trainer


def measure_loader(
    recipe: Recipe, data: Path, *, device: str, workers: int, cache: Path | None, steps: int, turns: int
) -> dict[str, float]:
    """Measure in turns, so that what else the machine does hits all alike; medians of `turns` times `steps` steps.

    Returns
    -------
    Frames a second of the loader alone, of training on cached tensors and of training with the loader; and `ratio`, the
    median over the turns of the last two's ratio.
    """
    data_set = read_data(data)
    records = make_split(data_set, recipe).train
    train_data = Dataset(open_frames(data_set.records, cache)(records), records)
    options = RunOptions(Distributed(device), workers)
    run = Trainer(recipe, train_data, Dataset([], []), Path(), data_set.planes, options)
    run.network.train()
    loader = run.loader
    each = recipe.training.grad_accum_steps
    cached = [next(iter(loader)) for _ in range(each)]
    cached = [[each_of.to(device) for each_of in batch] for batch in cached]

    def train(parts: Iterator[Any] | None) -> None:
        run.step([next(parts) for _ in range(each)] if parts else cached, 0, 0)

    def load(parts: Iterator[Any]) -> None:
        for _ in range(each):
            next(parts)

    ahead = 4 * workers // each + 1  # steps that eat what the workers made before the clock ran
    rates: dict[str, list[float]] = {"loader": [], "cached tensors": [], "training": []}
    for _ in range(turns):
        rates["cached tensors"].append(_rate(lambda: train(None), 1, steps, recipe.training.batch_size, device))
        for name, work in (("training", train), ("loader", load)):
            parts = _endless(loader)
            rates[name].append(_rate(lambda: work(parts), ahead, steps, recipe.training.batch_size, device))  # noqa: B023
            parts.close()
    ratios = [own / best for own, best in zip(rates["training"], rates["cached tensors"], strict=True)]
    return {name: statistics.median(values) for name, values in rates.items()} | {"ratio": statistics.median(ratios)}


def _rate(work: Callable[[], None], ahead: int, steps: int, batch: int, device: str) -> float:
    for _ in range(ahead):
        work()
    start = time.perf_counter()
    for _ in range(steps):
        work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return steps * batch / (time.perf_counter() - start)


def _endless(loader: DataLoader[Any]) -> Generator[Any, None, None]:
    while True:
        yield from loader
