"""Brain frames with their sub-planes, and what the backbone computes of them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from model_build.augmentation import augment
from model_build.classifier import PlaneClassifier
from model_build.data import PLANES, TABLE, DataError, Record, load_frames, read_records, read_rows
from model_build.recipe import Recipe
from model_build.subplanes.head import MAPS
from service.imaging.preprocess import choose_crop, prepare
from service.inference.manifest import Plane

Frame = NDArray[np.uint8]

PLANE = "fetal_brain"
SUB_PLANES = (
    Plane(id="trans_thalamic", label="Trans-thalamic"),
    Plane(id="trans_cerebellum", label="Trans-cerebellum"),
    Plane(id="trans_ventricular", label="Trans-ventricular"),
)
_OTHER = "Other"  # brain planes of no name: no sub-plane, so neither trained on nor scored


@dataclass(frozen=True)
class BrainFrame:
    """A brain frame; `sub_plane` is its number, or None where it is of no named one.

    `stretched` says that somebody gave every frame one shape, so that its aspect is not the scanner's.
    """

    record: Record
    sub_plane: int | None
    stretched: bool


def read_brain_frames(folder: Path, *, stretched: bool = False) -> list[BrainFrame]:
    """The brain frames of a data set in the layout of FETAL_PLANES_DB; raises DataError."""
    numbers: dict[str, int | None] = {plane.label: number for number, plane in enumerate(SUB_PLANES)}
    numbers[_OTHER] = None
    told = {row["Image_name"]: row["Brain_plane"] for row in read_rows(folder / TABLE, ("Brain_plane",), ";")}
    frames = []
    for record in read_records(folder):
        if PLANES[record.plane].id == PLANE:
            name = told[record.path.stem]
            if name not in numbers:
                raise DataError(f"{folder / TABLE}: the brain plane {name!r} is none of {', '.join(numbers)}")
            frames.append(BrainFrame(record, numbers[name], stretched))
    return frames


@dataclass(frozen=True, eq=False)
class Maps:
    """What the backbone computed of frames, in float16 on disk: an array [N, C, h, w] for each of `MAPS`."""

    arrays: tuple[NDArray[np.float16], ...]

    def of(self, rows: NDArray[np.int64]) -> list[torch.Tensor]:
        """The maps of some frames, float32."""
        return [torch.from_numpy(np.asarray(array[rows], np.float32)) for array in self.arrays]


def compute_maps(
    model: PlaneClassifier, recipe: Recipe, brain: Sequence[BrainFrame], views: int, folder: Path
) -> tuple[Maps, list[Maps]]:
    """The maps of every frame as served, and of `views` varied views of every training frame.

    They are kept in `folder`, and taken from there where the weights and the frames are the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _forget_others(folder, model, recipe, brain)
    pixels: list[Frame] = []

    def decoded() -> list[Frame]:
        if not pixels:
            pixels.extend(load_frames([frame.record for frame in brain]))
        return pixels

    served = _kept(folder, "served", model, lambda: (prepare(frame, recipe.preprocessing)[0] for frame in decoded()))
    varied = [
        _kept(folder, f"view{view}", model, partial(lambda number: _varied(decoded(), brain, recipe, number), view))
        for view in range(views)
    ]
    return served, varied


def training_rows(brain: Sequence[BrainFrame]) -> NDArray[np.int64]:
    """Row numbers of the official training frames, int64."""
    return np.flatnonzero([frame.record.split == "train" for frame in brain])


def _varied(pixels: Sequence[Frame], brain: Sequence[BrainFrame], recipe: Recipe, view: int) -> Iterator[Frame]:
    """Varied views of the training frames; every other view keeps close to how frames are served."""
    rows = training_rows(brain)
    preprocessing, strength = recipe.preprocessing, recipe.augmentation
    if view % 2:
        strength = strength.model_copy(update={"geometry": 0.4 * strength.geometry})
    else:
        preprocessing = preprocessing.model_copy(update={"zoom": 1.0})
    for row in rows:
        random = np.random.default_rng((7, view, int(row)))
        frame = _reshaped(pixels[row], random) if brain[row].stretched else pixels[row]
        crop = choose_crop(frame, preprocessing)
        donor = pixels[rows[int(random.integers(len(rows)))]]
        yield augment(frame, crop, donor, preprocessing.size, strength, random)


def _reshaped(pixels: Frame, random: Generator) -> Frame:
    """Undo a stretch as far as can be guessed: most scanners' frames are 0.6 to 0.75 times as high as wide."""
    height, width = pixels.shape
    if height == width:
        if random.random() >= 0.6:
            return pixels
        height = round(0.69 * width)
    if random.random() < 0.3:
        height = int(width * random.uniform(0.6, 0.75))
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _kept(folder: Path, name: str, model: PlaneClassifier, views: Callable[[], Iterator[Frame]]) -> Maps:
    paths = [folder / f"{name}_{each}.npy" for each in MAPS]
    if not all(path.exists() for path in paths):
        for path, array in zip(paths, _run(model, list(views())), strict=True):
            np.save(path.with_suffix(".new.npy"), array)
            path.with_suffix(".new.npy").replace(path)
    return Maps(tuple(np.load(path, mmap_mode="r") for path in paths))


@torch.inference_mode()
def _run(model: PlaneClassifier, views: Sequence[Frame], batch: int = 16) -> list[NDArray[np.float16]]:
    model.eval()
    parts = []
    for start in range(0, len(views), batch):
        frames = torch.from_numpy(np.stack(views[start : start + batch]))[:, None].float()
        parts.append([maps.half().numpy() for maps in model.backbone.maps(frames)[: len(MAPS)]])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _forget_others(folder: Path, model: PlaneClassifier, recipe: Recipe, brain: Sequence[BrainFrame]) -> None:
    """Empty a folder whose maps are of other weights, another recipe or other frames."""
    digest = hashlib.sha256(f"{recipe.preprocessing!r} {recipe.augmentation!r}".encode())
    for value in model.backbone.state_dict().values():
        digest.update(value.numpy().tobytes())
    for frame in brain:
        digest.update(f"{frame.record.path.name} {frame.record.split}\n".encode())
    key = folder / "of.txt"
    if not key.exists() or key.read_text("utf-8") != digest.hexdigest():
        for old in folder.glob("*.npy"):
            old.unlink()
        key.write_text(digest.hexdigest(), "utf-8")
