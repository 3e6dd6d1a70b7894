"""A recipe: everything that decides the result of a training run, in one small TOML file."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from model_build.models.classifier import Network
from service.schemas.manifest import Preprocessing


class Training(BaseModel, frozen=True, extra="forbid"):
    """How the network is trained."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2, description="Frames per optimizer step that train the plane head.")
    backbone_lr: float = Field(gt=0, description="Peak learning rate of the pretrained backbone.")
    head_lr: float = Field(gt=0, description="Peak learning rate of the freshly initialized heads.")
    weight_decay: float = Field(ge=0)
    warmup_fraction: float = Field(ge=0, lt=1, description="Fraction of all steps with a rising learning rate.")
    label_smoothing: float = Field(ge=0, lt=1)
    ema_decay: float = Field(ge=0, lt=1, description="Decay per step of the averaged weights, which are kept.")
    balance: float = Field(ge=0, le=1, description="Drawing weights n**-balance for n frames of a plane and scanner.")
    # The last blocks must stay trainable.
    frozen_blocks: int = Field(ge=0, le=14, description="The stem and this number of blocks keep ImageNet weights.")
    grad_accum_steps: int = Field(1, ge=1, description="Micro-batches of a process per step, to save memory.")


class SubPlanes(BaseModel, frozen=True, extra="forbid"):
    """How the sub-plane head is trained; data without sub-plane labels train no such head."""

    weight: float = Field(gt=0, description="Weight of the sub-plane loss; the plane loss has weight 1.")
    stretched: int = Field(ge=0, description="Stretched frames per optimizer step, in addition to `batch_size`.")


class Augmentation(BaseModel, frozen=True, extra="forbid"):
    """Magnitude of each kind of augmentation: 0 switches it off, 1 is the chosen strength."""

    geometry: float = Field(ge=0, le=2, description="Crop, aspect ratio, rotation, flip.")
    intensity: float = Field(ge=0, le=2, description="Gain, gamma, time-gain compensation, histogram matching.")
    texture: float = Field(ge=0, le=2, description="Speckle, blur, resolution, compression.")
    graphics: float = Field(ge=0, le=2, description="Text, rulers, calipers, shadows, erased patches.")


class Recipe(BaseModel, frozen=True, extra="forbid"):
    """Everything that decides the result of a training run."""

    network: Network
    preprocessing: Preprocessing
    training: Training
    augmentation: Augmentation
    strict_planes: tuple[str, ...] = Field(
        default=(), description="Ids of planes with a lower limit of the OOD score: other organs share their probe."
    )
    sub_planes: SubPlanes | None = Field(default=None, description="Null for a network without a sub-plane head.")
    seed: int = 0
    # The test side: the published one, a fifth of the patients, or a fifth of the frames.
    split: Literal["official", "patients", "frames"] = "official"
    validation_folds: int = Field(default=7, ge=2, description="One of this number of patient-wise folds validates.")


def load_recipe(name: str) -> Recipe:
    """Read a recipe that ships (`default`), or a user's TOML file (`path/to/mine.toml`).

    `extends = "default"` (or a path ending in .toml, relative to the file) takes every value that the file does not
    state from another recipe. `false` instead of a table, as in `sub_planes = false`, removes the table.

    Raises FileNotFoundError, or ValueError where a recipe extends itself or where a field is missing, unknown or out of
    range.
    """
    return Recipe.model_validate(_read_table(name, ()))


def _read_table(name: str, children: tuple[str, ...]) -> dict[str, object]:
    """Return the TOML of a recipe, merged over what it extends; `children` are the recipes that extend it."""
    if name in children:
        raise ValueError(f"recipe {name} extends itself: {' -> '.join((*children, name))}")
    shipped = resources.files("model_build") / "recipes" / f"{name}.toml"
    text = Path(name).read_text("utf-8") if name.endswith(".toml") else shipped.read_text("utf-8")
    table: dict[str, object] = tomllib.loads(text)
    parent = table.pop("extends", None)
    if not isinstance(parent, str):
        return table
    if parent.endswith(".toml"):
        parent = str(Path(name).parent / parent)
    return _merge(_read_table(parent, (*children, name)), table)


def _merge(parent: dict[str, object], child: dict[str, object]) -> dict[str, object]:
    """Return `parent` with the values of `child`, table by table."""
    merged = parent | child
    for key, inherited in parent.items():
        value = merged[key]
        if isinstance(inherited, dict) and value is False:
            del merged[key]
        elif isinstance(inherited, dict) and isinstance(value, dict):
            merged[key] = _merge(inherited, value)
    return merged
