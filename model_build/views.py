"""What the network sees of a set of frames: varied views in training, the served view in evaluation."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from model_build.augmentation import augment
from model_build.data import Record
from model_build.recipe import Recipe
from service.imaging.preprocess import Preprocessing, choose_crop, prepare


class TrainingViews(Dataset[tuple[Tensor, int]]):
    """Augmented views of training frames: uint8 [1, S, S] and the plane's number.

    The view of frame `i` in epoch `e` depends on the seed, `e` and `i` alone: not on the order in which frames are
    drawn, nor on how many workers draw them.
    """

    def __init__(self, frames: Sequence[NDArray[np.uint8]], records: Sequence[Record], recipe: Recipe) -> None:
        self.frames = frames
        self.planes = [record.plane for record in records]
        # Without the zoom: random crops show things larger than they are, and the zoom makes up for it when serving
        # (Touvron et al., Fixing the train-test resolution discrepancy, 2019, arXiv 1906.06423).
        unzoomed = recipe.preprocessing.model_copy(update={"zoom": 1.0})
        self.crops = [choose_crop(frame, unzoomed) for frame in frames]
        self.recipe = recipe
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        random = np.random.default_rng((self.recipe.seed, self.epoch, row))
        donor = self.frames[int(random.integers(len(self.frames)))]
        size, strength = self.recipe.preprocessing.size, self.recipe.augmentation
        view = augment(self.frames[row], self.crops[row], donor, size, strength, random)
        return torch.from_numpy(view)[None], self.planes[row]


def balance_weights(records: Sequence[Record], balance: float) -> Tensor:
    """How often each frame is drawn: n**-balance, n the frames of its plane on its machine. float64 [N], sum 1."""
    cells = [(record.plane, record.machine) for record in records]
    counts = Counter(cells)
    weights = torch.tensor([counts[cell] ** -balance for cell in cells], dtype=torch.float64)
    return weights / weights.sum()


def served_views(frames: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing) -> Tensor:
    """The views that serving would make: uint8 [N, 1, S, S]."""
    return torch.from_numpy(np.stack([prepare(frame, preprocessing)[0] for frame in frames]))[:, None]


def varied_views(frames: Sequence[NDArray[np.uint8]], records: Sequence[Record], recipe: Recipe, times: int) -> Tensor:
    """`times` varied views of every frame, none of which training has seen: uint8 [times * N, 1, S, S]."""
    views = TrainingViews(frames, records, recipe)
    made = []
    for epoch in range(times):
        views.epoch = recipe.training.epochs + epoch
        made += [views[row][0] for row in range(len(views))]
    return torch.stack(made)
