"""What the network sees of a set of frames: varied views in training, the served view in evaluation."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from model_build.data.augmentation import augment
from model_build.data.records import Record
from model_build.recipe import Recipe
from service.imaging.letterbox import crop_and_letterbox, find_crop
from service.schemas.manifest import Preprocessing

IGNORE_INDEX = -1  # in the place of a plane's or a sub-plane's number: nothing is to be learnt there


class AugmentedDataset(Dataset[tuple[Tensor, int, int]]):
    """Augmented views of training frames: uint8 [1, S, S] and the numbers of plane and sub-plane, or `UNTOLD`.

    The view of frame `i` in epoch `e` depends on the seed, `e` and `i` alone: not on the order in which frames are
    drawn, nor on how many workers draw them.
    """

    def __init__(self, frames: Sequence[NDArray[np.uint8]], records: Sequence[Record], recipe: Recipe) -> None:
        self.frames = frames
        self.planes = [IGNORE_INDEX if record.stretched else record.plane for record in records]
        self.sub_planes = [IGNORE_INDEX if record.sub_plane is None else record.sub_plane for record in records]
        # Without the zoom: random crops show things larger than they are, and the zoom makes up for it when serving
        # (Touvron et al., Fixing the train-test resolution discrepancy, 2019, arXiv 1906.06423).
        self._unzoomed = recipe.preprocessing.model_copy(update={"zoom": 1.0})
        self._crops = [
            None if record.stretched else find_crop(frame, self._unzoomed).box
            for frame, record in zip(frames, records, strict=True)
        ]
        self.recipe = recipe
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, row: int) -> tuple[Tensor, int, int]:
        random = np.random.default_rng((self.recipe.seed, self.epoch, row))
        frame, crop = self.frames[row], self._crops[row]
        if crop is None:
            frame = reshaped(frame, random)
            crop = find_crop(frame, self._unzoomed).box
        reference = self.frames[int(random.integers(len(self.frames)))]
        size, strength = self.recipe.preprocessing.size, self.recipe.augmentation
        view = augment(frame, crop, reference, size, strength, random)
        return torch.from_numpy(view)[None], self.planes[row], self.sub_planes[row]


def reshaped(pixels: NDArray[np.uint8], random: Generator) -> NDArray[np.uint8]:
    """Undo a stretch as far as can be guessed: most scanners' frames are 0.6 to 0.75 times as high as wide."""
    height, width = pixels.shape
    if height == width:
        if random.random() >= 0.6:
            return pixels
        height = round(0.69 * width)
    if random.random() < 0.3:
        height = int(width * random.uniform(0.6, 0.75))
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def eval_inputs(frames: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing) -> Tensor:
    """The views that serving would make: uint8 [N, 1, S, S]."""
    return torch.from_numpy(np.stack([crop_and_letterbox(frame, preprocessing).pixels for frame in frames]))[:, None]


def eval_and_augmented_inputs(
    frames: Sequence[NDArray[np.uint8]], records: Sequence[Record], recipe: Recipe, times: int
) -> Tensor:
    """Every frame as served, and after them `times` varied views of each: uint8 [(1 + times) * N, 1, S, S]."""
    views = [eval_inputs(frames, recipe.preprocessing)]
    if times:
        views.append(augmented_inputs(frames, records, recipe, times))
    return torch.cat(views)


def augmented_inputs(
    frames: Sequence[NDArray[np.uint8]], records: Sequence[Record], recipe: Recipe, times: int
) -> Tensor:
    """`times` varied views of every frame, none of which training has seen: uint8 [times * N, 1, S, S]."""
    views = AugmentedDataset(frames, records, recipe)
    made = []
    for epoch in range(times):
        views.epoch = recipe.training.epochs + epoch
        made += [views[row][0] for row in range(len(views))]
    return torch.stack(made)
