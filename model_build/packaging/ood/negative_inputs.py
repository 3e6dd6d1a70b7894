"""Inputs that show no plane: what the outlier head is fitted against."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from model_build.data.datasets import augmented_inputs, eval_inputs
from model_build.data.negatives.anatomy import scan_convert, shuffle_blocks, texture_patch, warp
from model_build.data.negatives.color_flow import with_gray_flow
from model_build.data.records import Dataset, Frame, planes_of
from model_build.recipe import Recipe
from service.imaging.letterbox import crop_and_letterbox, find_crop

_AUGMENTED_PER_FRAME = 1  # of other organs
_PER_PLANE, _MOST_REPEATS = 120, 6  # frames of each plane that lose their anatomy; uses of one frame
_FLOW_FRAMES = 300
_OWN = ""  # the set of a negative that is made of frames of the planes

OTHER_ORGANS = "other organs"


@dataclass(frozen=True, eq=False)
class Negatives:
    """Inputs of one kind, with the set of other organs that each comes from."""

    kind: str
    inputs: Tensor  # uint8 [N, 1, S, S]
    sets: NDArray[np.str_]  # [N]; empty where no frame of another organ is in it
    served: int = 0  # the first inputs are frames of other organs as served, the others are augmented
    keeps_probe: bool = False  # whether the insonated area is that of a frame of the planes


def negative_inputs(own: Dataset, organs: Dataset, recipe: Recipe) -> list[Negatives]:
    """Return negatives made of frames of the planes and of other organs; without organs, the kinds that need none."""
    kinds = [*_without_anatomy(own, recipe)]
    return [*_other_organs(own, organs, recipe), *kinds] if organs.records else kinds


def _other_organs(own: Dataset, organs: Dataset, recipe: Recipe) -> Iterator[Negatives]:
    """Yield frames of other organs as served and augmented, then their texture in the area of frames of the planes."""
    sets = np.array([record.scanner for record in organs.records])
    served = eval_inputs(organs.frames, recipe.preprocessing)
    # Augmentation takes histograms of other frames: those of the planes too, so that brightness is not the cue.
    mixed = Dataset([*organs.frames, *own.frames], [*organs.records, *own.records])
    inputs = augmented_inputs(mixed, recipe, _AUGMENTED_PER_FRAME, rows=range(len(organs.frames)))
    yield Negatives(OTHER_ORGANS, torch.cat((served, inputs)), np.tile(sets, 1 + _AUGMENTED_PER_FRAME), len(served))
    random, used = np.random.default_rng(0), []

    def texture(frame: Frame, random: Generator) -> Frame:
        used.append(int(random.integers(len(organs.frames))))
        return scan_convert(texture_patch(organs.frames[used[-1]], random), frame)

    inputs = _inputs(_balanced(own, random), texture, recipe, random)
    yield Negatives("texture of other organs", inputs, sets[used], keeps_probe=True)


def _without_anatomy(own: Dataset, recipe: Recipe) -> Iterator[Negatives]:
    for kind, change in (("blocks shuffled", shuffle_blocks), ("warped", warp)):
        random = np.random.default_rng(0)
        inputs = _inputs(_balanced(own, random), change, recipe, random)
        yield Negatives(kind, inputs, np.full(len(inputs), _OWN), keeps_probe=True)
    random = np.random.default_rng(0)
    frames = [own.frames[row] for row in random.permutation(len(own.frames))[:_FLOW_FRAMES]]
    inputs = eval_inputs([with_gray_flow(frame, random) for frame in frames], recipe.preprocessing)
    yield Negatives("color flow, gray", inputs, np.full(len(inputs), _OWN))


def _balanced(own: Dataset, random: Generator) -> list[Frame]:
    """Return as many frames of each plane, drawn with replacement: a rare plane's probe must be in the negatives."""
    planes = planes_of(own.records)
    drawn: list[Frame] = []
    for plane in np.unique(planes):
        rows = np.flatnonzero(planes == plane)
        drawn += [own.frames[row] for row in random.choice(rows, min(_PER_PLANE, _MOST_REPEATS * len(rows)))]
    return drawn


def _inputs(
    frames: Sequence[Frame], change: Callable[[Frame, Generator], Frame], recipe: Recipe, random: Generator
) -> Tensor:
    """Return the inputs of the changed sectors of frames, uint8 [N, 1, S, S]."""
    unzoomed = recipe.preprocessing.model_copy(update={"zoom": 1.0})
    cropped = recipe.preprocessing.model_copy(update={"crop": "none"})
    sectors = [find_crop(frame, unzoomed).box.cut(frame) for frame in frames]
    changed = [crop_and_letterbox(change(sector, random), cropped).pixels for sector in sectors]
    return torch.from_numpy(np.stack(changed))[:, None]
