"""The manifest of a model package, `model.json`: `model_build` writes it, the service checks it."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from service.schemas import Schema

Precision = Literal["float32", "int8"]
PrecisionChoice = Literal["auto", "float32", "int8"]

FORMAT = 2  # increase it when an older service could not read the new layout, or this one an older layout


class _Strict(Schema):
    model_config = ConfigDict(extra="forbid")


class Preprocessing(_Strict):
    """How a frame becomes the network's input; each model package brings its own."""

    size: int = Field(ge=32, le=1024, description="Side S of the square network input, in pixels.")
    crop: Literal["sector", "none"] = Field(description="Whether the frame is cropped to its insonated sector first.")
    zoom: float = Field(
        default=1.0,
        ge=1,
        le=2,
        description="Longer side of the crop divided by the side of the square; the overflow is cut at both ends.",
    )


class Plane(_Strict):
    """A class of the model."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Stable name used by the API, such as `fetal_brain`.")
    label: str = Field(min_length=1, description="Name shown to a person, such as `Fetal brain`.")


def _distinct(planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
    if len({plane.id for plane in planes}) != len(planes):
        raise ValueError("two planes have the same id")
    return planes


Planes = Annotated[tuple[Plane, ...], Field(min_length=2), AfterValidator(_distinct)]


class Abstention(_Strict):
    """Thresholds of abstention, all chosen without test frames: `service.analysis.abstention` applies them."""

    min_probability: float = Field(
        ge=0, le=1, description="Below this calibrated top-1 probability the answer is `uncertain`."
    )
    max_ood_score: tuple[float, ...] = Field(
        description="One limit per plane, in the order of `planes`. Above the limit of the most probable plane, the "
        "`ood_score` (an output of the graph, no unit) makes the frame `out-of-distribution`."
    )
    max_distance: float = Field(
        description="Above this `distance` (an output of the graph, no unit) the frame is `out-of-distribution`."
    )


class PredictionSets(_Strict):
    """What prediction sets are made of: `service.inference.prediction_set` applies it."""

    probabilities: tuple[tuple[Annotated[float, Field(ge=0, le=1)], ...], ...] = Field(
        description="For each plane, in the order of `planes`, one probability per validation patient with frames of "
        "it, ascending: the lowest calibrated probability of the plane among these frames, rounded down. Frames that "
        "are out of distribution do not count."
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(list(each) != sorted(each) for each in self.probabilities):
            raise ValueError("prediction_sets: the probabilities of each plane must ascend")
        return self


class Metric(_Strict):
    """One metric of the model, measured on one subset of one split."""

    metric: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of the metric: `top1`, `top2`, `macro_f1`, `calibration_error` (15 bins), `brier_score`, or "
        "`coverage`, the share of frames on which the model does not abstain.",
    )
    subset: str = Field(description="Planes of the frames: `main`, the main planes, or `all`.")
    split: str = Field(description="Side of the data split that the frames belong to, such as `test`.")
    n: int = Field(ge=0, description="Number of frames.")
    value: float
    baseline: float | None = Field(
        default=None,
        description="The same metric of answers that ignore the frame: always the frequencies of the planes on these "
        "frames, so the most frequent plane. Null where that says nothing.",
    )
    low: float | None = Field(default=None, description="Lower end of the 95 % interval; null without an interval.")
    high: float | None = Field(default=None, description="Upper end of the 95 % interval; null without an interval.")


class SubPlanes(_Strict):
    """The sub-planes of one plane and the graph that classifies them from the classifier's feature maps."""

    plane: str = Field(description="Id of the plane that the sub-planes belong to.")
    sub_planes: Planes = Field(description="In the order of the graph's M outputs.")
    file: str = Field(description="File of the graph. Its inputs are outputs of the classifier, by name.")
    temperature: float = Field(gt=0, description="Divisor of the logits; the graph already applies it.")
    metrics: tuple[Metric, ...] = Field(description="Headline metrics of the model card.")


class Int8(_Strict):
    """The classifier with 8-bit weights and activations: its graphs, and what was fitted to or measured on them.

    Each field has the meaning of the manifest's field of the same name.
    """

    file: str = Field(description="File of the quantized classifier; inputs and outputs are those of the classifier.")
    temperature: float = Field(gt=0)
    abstention: Abstention
    metrics: tuple[Metric, ...]
    sub_planes: SubPlanes | None = None
    prediction_sets: PredictionSets | None = None


class TrainingData(_Strict):
    """The training data and its license."""

    name: str
    license: str
    citation: str
    train_frames: int = Field(ge=0)
    train_patients: int | None = Field(ge=0, description="Null where patients are not known.")
    corrected_frames: int = Field(default=0, ge=0, description="Frames of a site that `improve` trained on as well.")


class Manifest(_Strict):
    """The contents of `model.json`."""

    format: int = Field(description=f"Version of this layout; this service reads version {FORMAT}.")
    name: str
    version: str
    planes: Planes = Field(description="In the order of the graph's K outputs.")
    preprocessing: Preprocessing
    temperature: float = Field(gt=0, description="Divisor of the logits; the graph already applies it.")
    abstention: Abstention
    files: dict[str, str] = Field(description="SHA-256 (hexadecimal) of every other file of the package, by file name.")
    opset: int
    training_data: TrainingData
    metrics: tuple[Metric, ...] = Field(description="Headline metrics of the model card.")
    code_version: str = Field(description="Version of fetal-planes that built the package.")
    sub_planes: SubPlanes | None = Field(default=None, description="Null when the package has no sub-planes.")
    prediction_sets: PredictionSets | None = Field(default=None, description="Null when the package states none.")
    weights_license: str | None = Field(default=None, description="License of the weights; null when none is stated.")
    warnings: tuple[str, ...] = Field(
        default=(), description="Reasons to doubt the metrics or the calibration, a sentence each."
    )
    int8: Int8 | None = Field(default=None, description="Null when the package has no quantized classifier.")

    def at(self, precision: Precision) -> "Manifest":
        """Return the manifest with the values of a precision in the fields that both have.

        Raises ValueError where the package does not have the precision.
        """
        if precision == "float32":
            return self
        if self.int8 is None:
            raise ValueError("the model package has no int8 classifier")
        return self.model_copy(update={name: value for name, value in self.int8 if name != "file"})

    @model_validator(mode="after")
    def _each_plane_has_its_values(self) -> Self:
        parts: list[Manifest | Int8] = [self, *([self.int8] if self.int8 else [])]
        for each in parts:
            if len(each.abstention.max_ood_score) != len(self.planes):
                raise ValueError(f"abstention: max_ood_score must have {len(self.planes)} values, one per plane")
            if each.prediction_sets is not None and len(each.prediction_sets.probabilities) != len(self.planes):
                raise ValueError(f"prediction_sets: there must be {len(self.planes)} lists, one per plane")
        return self

    @model_validator(mode="after")
    def _sub_planes_are_of_a_plane(self) -> Self:
        if self.sub_planes is not None and self.sub_planes.plane not in {plane.id for plane in self.planes}:
            raise ValueError(f"sub_planes: the model has no plane {self.sub_planes.plane!r}")
        return self

    @model_validator(mode="after")
    def _int8_has_the_same_sub_planes(self) -> Self:
        if self.int8 is not None:
            own, other = (each and (each.plane, each.sub_planes) for each in (self.sub_planes, self.int8.sub_planes))
            if own != other:
                raise ValueError("int8: its sub-planes must be those of the model")
        return self


class ServedManifest(Manifest):
    """The answer of `/model`: the manifest, with the values of the precision that the service computes with."""

    precision: Precision = Field(
        description="Precision of the network in use. `temperature`, `abstention`, `metrics`, `sub_planes` and "
        "`prediction_sets` are those of this precision."
    )
