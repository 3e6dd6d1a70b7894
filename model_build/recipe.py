"""A recipe: everything that decides the result of a training run, in one small TOML file."""

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from model_build.models.classifier import Network, check_architecture
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
    fixed_norms: bool = Field(
        default=False, description="The backbone's BatchNorms keep their statistics: for fine-tuning."
    )


class Distillation(BaseModel, frozen=True, extra="forbid"):
    """How the plane head learns from a teacher: a trained network, and a logistic probe on SonoNet-16."""

    label_weight: float = Field(ge=0, description="Weight of the loss against the labels.")
    soft_weight: float = Field(gt=0, description="Weight of the loss against the teacher's probabilities.")
    probe_weight: float = Field(ge=0, le=1, description="Weight of the probe in the teacher's mean; 0: network only.")
    mirrored: bool = Field(description="Whether the network's part is the mean over each view and its mirror image.")


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
    wide_field: float = Field(
        default=0, ge=0, le=2, description="A small fetus in a wide field, two bodies in one frame."
    )
    low_signal: float = Field(default=0, ge=0, le=2, description="Dark gain, raised noise floor.")


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
    distillation: Distillation | None = Field(default=None, description="Null to train by the labels alone.")
    seed: int = 0
    # The test side: the published one, a fifth of the patients, or a fifth of the frames.
    split: Literal["official", "patients", "frames"] = "official"
    validation_folds: int = Field(default=7, ge=2, description="One of this number of patient-wise folds validates.")


class RecipeError(ValueError):
    """A recipe cannot be used; the message names the file, the line where there is one, and the choices."""


def load_recipe(name: str) -> Recipe:
    """Read a recipe that ships (`default`), or a user's TOML file (`path/to/mine.toml`).

    `extends = "default"` (or a path ending in .toml, relative to the file) takes every value that the file does not
    state from another recipe. `false` instead of a table, as in `sub_planes = false`, removes the table.

    Raises FileNotFoundError, or RecipeError where a file is not TOML, a recipe extends itself, or a field is missing,
    unknown or out of range.
    """
    try:
        recipe = Recipe.model_validate(_read_table(name, ()))
        check_architecture(recipe.network)
    except ValidationError as error:
        reasons = [_reason(name, each) for each in error.errors()]
        raise RecipeError(
            reasons[0] if len(reasons) == 1 else "\n  ".join(("the recipe is wrong:", *reasons))
        ) from error
    except RecipeError:
        raise
    except ValueError as error:  # an unknown backbone or attention
        key = str(error).partition(":")[0]
        raise RecipeError(f"{name}{_line_of(name, key)}: network.{error}") from error
    return recipe


def _reason(name: str, error: ErrorDetails) -> str:
    """Return a line about one field that names the recipe, the line of the field, and the choices."""
    keys = [str(key) for key in error["loc"]]
    field, place = ".".join(keys), name + _line_of(name, keys[-1])
    if error["type"] == "missing":
        return f"{place}: {field} is missing"
    if error["type"] == "extra_forbidden":
        where = f"{'.'.join(keys[:-1])} has" if keys[:-1] else "the fields are"
        return f"{place}: {field} is not a field; {where} {', '.join(_fields(keys[:-1]))}"
    return f"{place}: {field} is {error['input']!r}; {error['msg'][:1].lower()}{error['msg'][1:]}"


def _line_of(name: str, key: str) -> str:
    return line_of(_toml_text(name), key) if name.endswith(".toml") else ""


def line_of(toml: str, key: str) -> str:
    """Return `, line 3` for a key that is on one line of a TOML text, else nothing."""
    assigned = re.compile(rf"^([^#]*[\s.{{,\[])?[\"']?{re.escape(key)}[\"']?\s*[=\]]")  # also in a table or its heading
    lines = [number for number, line in enumerate(toml.splitlines(), start=1) if assigned.match(line)]
    return f", line {lines[0]}" if len(lines) == 1 else ""


def _fields(keys: list[str]) -> list[str]:
    """Return the names of the fields of a table of the recipe."""
    model: type[BaseModel] = Recipe
    for key in keys:
        annotation = model.model_fields[key].annotation
        candidates = [annotation, *get_args(annotation)]  # `SubPlanes | None` holds its model
        model = next(each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel))
    return list(model.model_fields)


def _read_table(name: str, children: tuple[str, ...]) -> dict[str, object]:
    """Return the TOML of a recipe, merged over what it extends; `children` are the recipes that extend it."""
    if name in children:
        raise RecipeError(f"recipe {name} extends itself: {' -> '.join((*children, name))}")
    try:
        table: dict[str, object] = tomllib.loads(_toml_text(name))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name} is not valid TOML: {error}") from error
    parent = table.pop("extends", None)
    if parent is None:
        return table
    choices, place = f"{', '.join(_shipped())}, or the path of a .toml file", f"{name}{_line_of(name, 'extends')}"
    if not isinstance(parent, str):
        raise RecipeError(f"{place}: extends is {parent!r}; it must be {choices}")
    if parent.endswith(".toml"):
        parent = str(Path(name).parent / parent)
    try:
        inherited = _read_table(parent, (*children, name))
    except FileNotFoundError as error:
        raise RecipeError(f"{place}: extends {parent!r}, which does not exist; it must be {choices}") from error
    return _merge(inherited, table)


def _toml_text(name: str) -> str:
    """Return the text of a recipe; raises FileNotFoundError, which lists the choices, and RecipeError."""
    file = Path(name) if name.endswith(".toml") else resources.files("model_build") / "recipes" / f"{name}.toml"
    try:
        return file.read_bytes().decode("utf-8-sig")  # Windows programs write a byte order mark
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"no recipe {name}: the choices are {', '.join(_shipped())}, or the path of a file that ends in .toml"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"{name}, line {line}: the bytes are not UTF-8; save the file as UTF-8") from error


def _shipped() -> list[str]:
    names = (file.name for file in (resources.files("model_build") / "recipes").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


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
