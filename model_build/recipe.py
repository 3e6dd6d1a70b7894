"""A recipe: everything that decides what a training run gives, in one small TOML file."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from model_build.models.attention import ATTENTIONS
from model_build.models.efficientnet import BACKBONES
from service.schemas.manifest import Preprocessing


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _backbone(name: str) -> str:
    return _known(name, BACKBONES)


def _attention(name: str) -> str:
    return _known(name, ATTENTIONS)


def _known(name: str, table: Mapping[str, object]) -> str:
    if name not in table:
        raise ValueError(f"{name!r} is none of {', '.join(table)}")
    return name


class Network(_Section):
    """Which network is built."""

    backbone: Annotated[str, AfterValidator(_backbone)]
    attention: Annotated[str, AfterValidator(_attention)]
    mlp_layers: int = Field(ge=1, le=3, description="Linear layers after pooling; the paper has 3.")
    dropout: float = Field(ge=0, lt=1, description="Before the first layer; half of it between the others.")


class Training(_Section):
    """How the network is trained."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2, description="Frames an optimizer step that teach planes.")
    backbone_lr: float = Field(gt=0, description="Peak learning rate of the pretrained part.")
    head_lr: float = Field(gt=0, description="Peak learning rate of the fresh part.")
    weight_decay: float = Field(ge=0)
    warmup_fraction: float = Field(ge=0, lt=1, description="Share of all steps in which the rate rises to its peak.")
    label_smoothing: float = Field(ge=0, lt=1)
    ema_decay: float = Field(ge=0, lt=1, description="Decay a step of the averaged weights that are kept.")
    balance: float = Field(
        ge=0, le=1, description="A frame is drawn with weight n**-balance, n the frames of its plane on its machine."
    )
    frozen_blocks: int = Field(ge=0, description="Stem and this many first blocks keep their ImageNet weights.")
    grad_accum_steps: int = Field(
        default=1, ge=1, description="Parts that each process computes its share of a batch in, to save memory."
    )


class SubPlanes(_Section):
    """How the sub-planes of one plane are trained with the planes; where data tell none, nothing is."""

    weight: float = Field(gt=0, description="Of the sub-planes' loss beside that of the planes.")
    stretched: int = Field(ge=0, description="Frames an optimizer step, beside `batch`, that teach sub-planes alone.")


class Augmentation(_Section):
    """How strongly frames are varied in training; 0 switches a kind off, 1 is the strength that was chosen."""

    geometry: float = Field(ge=0, le=2, description="Crop, aspect, rotation, flip.")
    intensity: float = Field(ge=0, le=2, description="Gain, gamma, time-gain compensation, another frame's histogram.")
    texture: float = Field(ge=0, le=2, description="Speckle, blur, resolution, compression.")
    graphics: float = Field(ge=0, le=2, description="Text, rulers, calipers, shadows, erased patches.")


class Recipe(_Section):
    """A training run."""

    network: Network
    preprocessing: Preprocessing
    training: Training
    augmentation: Augmentation
    sub_planes: SubPlanes | None = Field(default=None, description="Null for a network without a second head.")
    seed: int = 0
    split: Literal["official", "patients", "frames"] = Field(
        default="official",
        description="What tests: the split that the data state, a fifth of the patients, or a fifth of the frames.",
    )
    validation_folds: int = Field(default=7, ge=2, description="One of this many patient-wise folds validates.")

    @model_validator(mode="after")
    def _frozen_blocks_exist(self) -> Self:
        if self.training.frozen_blocks > 14:
            raise ValueError("frozen_blocks: the last blocks must stay trainable")
        return self


def load_recipe(name: str) -> Recipe:
    """Read a recipe that ships (`default`), or a TOML file of the user's own (`path/to/mine.toml`).

    Raises
    ------
    FileNotFoundError
        There is no such recipe.
    pydantic.ValidationError
        A field is missing, unknown or out of range.
    """
    shipped = resources.files("model_build") / "recipes" / f"{name}.toml"
    text = Path(name).read_text("utf-8") if name.endswith(".toml") else shipped.read_text("utf-8")
    return Recipe.model_validate(tomllib.loads(text))
