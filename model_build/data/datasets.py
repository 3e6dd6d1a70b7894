"""Network inputs made of frames: augmented in training, as the service makes them in evaluation."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from model_build.data.augmentation import augment
from model_build.data.records import Dataset, Frame, Frames
from model_build.recipe import Recipe
from service.imaging.letterbox import crop_and_letterbox, find_crop
from service.schemas.manifest import Preprocessing

IGNORE_INDEX = -1  # the label of a frame that does not train a head

# Typical height / width of scanners' frames: the most frequent ratio, and the range around it.
_TYPICAL_ASPECT, _ASPECT_RANGE = 0.69, (0.6, 0.75)


class AugmentedDataset(TorchDataset[tuple[Tensor, int, int]]):
    """Augmented training inputs: uint8 [1, S, S], plane and sub-plane; `IGNORE_INDEX` for a label that is not known.

    The input of frame `i` in epoch `e` depends on the recipe's seed, `e` and `i` only. Neither the order of drawing nor
    the number of loader processes changes it.
    """

    def __init__(self, data: Dataset, recipe: Recipe) -> None:
        self.frames, self.recipe, self.epoch = data.frames, recipe, 0
        self.planes = [IGNORE_INDEX if record.stretched else record.plane for record in data.records]
        self.sub_planes = [IGNORE_INDEX if record.sub_plane is None else record.sub_plane for record in data.records]
        # Training crops without the zoom: random crops enlarge objects, and the zoom at test time compensates for it
        # (Touvron et al., Fixing the train-test resolution discrepancy, 2019, arXiv 1906.06423).
        self._unzoomed = recipe.preprocessing.model_copy(update={"zoom": 1.0})
        # Finding the sector is slow, so it is done once per frame; the box of a stretched frame is random.
        self._crops = [
            None if record.stretched else find_crop(frame, self._unzoomed).box
            for frame, record in zip(data.frames, data.records, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, row: int) -> tuple[Tensor, int, int]:
        random = np.random.default_rng((self.recipe.seed, self.epoch, row))
        frame, crop = self.frames[row], self._crops[row]
        if crop is None:
            frame = unstretch(frame, random)
            crop = find_crop(frame, self._unzoomed).box
        reference = self.frames[int(random.integers(len(self.frames)))]
        size = self.recipe.preprocessing.size
        picture = augment(frame, crop, reference, size, self.recipe.augmentation, random)
        return torch.from_numpy(picture)[None], self.planes[row], self.sub_planes[row]


def unstretch(pixels: Frame, random: Generator) -> Frame:
    """Resize a stretched frame to a random aspect ratio that scanners have."""
    height, width = pixels.shape
    if height == width:
        if random.random() >= 0.6:
            return pixels
        height = round(_TYPICAL_ASPECT * width)
    if random.random() < 0.3:
        height = int(width * random.uniform(*_ASPECT_RANGE))
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def eval_inputs(frames: Frames, preprocessing: Preprocessing) -> Tensor:
    """Return the inputs that the service makes of gray frames: uint8 [N, 1, S, S]."""
    return torch.from_numpy(np.stack([crop_and_letterbox(frame, preprocessing).pixels for frame in frames]))[:, None]


def augmented_inputs(data: Dataset, recipe: Recipe, repeats: int, rows: Sequence[int] | None = None) -> Tensor:
    """Return `repeats` augmented inputs of every frame, other ones than in training: uint8 [repeats * N, 1, S, S].

    `rows` selects frames; the others are still references for histogram matching.
    """
    augmented = AugmentedDataset(data, recipe)
    inputs = []
    for repeat in range(repeats):
        augmented.epoch = recipe.training.epochs + repeat  # training ends one epoch earlier
        inputs += [augmented[row][0] for row in (range(len(augmented)) if rows is None else rows)]
    return torch.stack(inputs)


def eval_and_augmented_inputs(data: Dataset, recipe: Recipe, repeats: int) -> Tensor:
    """Return the evaluation input of every frame, then `repeats` augmented ones: uint8 [(1 + repeats) * N, 1, S, S]."""
    inputs = eval_inputs(data.frames, recipe.preprocessing)
    return torch.cat((inputs, augmented_inputs(data, recipe, repeats))) if repeats else inputs
