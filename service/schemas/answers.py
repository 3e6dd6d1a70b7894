"""What the service answers, as JSON: every shape that `/openapi.json` documents."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.errors import Problem

_ProblemClass = type[Problem]  # named here, since two models below have a field called `type`

Format = Literal["png", "jpeg", "bmp", "tiff", "webp", "dicom"]
CropSource = Literal["region", "sector", "none"]
AbstainReason = Literal["color-flow", "out-of-distribution", "uncertain"]
PictureType = Literal["image/jpeg", "image/png"]

DEFAULT_TOP_K = 2  # predictions in an answer: where the first is wrong, the second is nearly always right


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Prediction(_Answer):
    """One plane, and how probable it is."""

    plane: str = Field(examples=["fetal_brain"])
    label: str = Field(examples=["Fetal brain"])
    probability: float = Field(ge=0, le=1, description="Calibrated.", examples=[0.981])


class SubPlane(_Answer):
    """The finer class of a plane."""

    plane: str = Field(examples=["trans_thalamic"])
    label: str = Field(examples=["Trans-thalamic"])
    probability: float = Field(
        ge=0, le=1, description="Calibrated, given that the frame shows the first prediction.", examples=[0.93]
    )


class FrameInfo(_Answer):
    """What was read from the upload."""

    format: Format = Field(description="Told from the bytes.")
    width: int = Field(description="Of the upright frame, in pixels.")
    height: int
    index: int = Field(description="Which frame of the file, from 0.")
    count: int = Field(description="How many frames the file has.")
    crop: tuple[int, int, int, int] = Field(
        description="The part that the model saw: left, top, right, bottom in pixels, the last two exclusive."
    )
    crop_source: CropSource = Field(
        description="What gave the crop. `region`: the DICOM's Sequence of Ultrasound Regions; `sector`: the sector, "
        "found in the picture; `none`: nothing was cut."
    )


class ModelInfo(_Answer):
    """Which model answered."""

    name: str
    version: str
    sha256: str = Field(description="Of the package's manifest, which holds the sha256 of each of its other files.")


class Classification(_Answer):
    """The answer of `/classify`."""

    predictions: list[Prediction] = Field(
        description="The most probable planes, the first the most so: two, or as many as `top` asks."
    )
    abstain: bool = Field(description="Whether the predictions should not be relied on.")
    abstain_reason: AbstainReason | None = Field(
        description="`color-flow`: Doppler is painted over the tissue, and the model knows gray frames alone; "
        "`out-of-distribution`: unlike the frames of the training; `uncertain`: no plane is probable enough."
    )
    sub_plane: SubPlane | None = Field(
        default=None,
        description="Which standard plane of the first prediction it is. Null where the model tells none of that "
        "plane, and where it abstains.",
    )
    frame: FrameInfo
    model: ModelInfo
    request_id: str


class Overlay(_Answer):
    """The heat map painted over the frame, at the frame's own size."""

    media_type: PictureType
    width: int
    height: int
    data: str = Field(description="The picture, in base64.", json_schema_extra={"contentEncoding": "base64"})


class Explanation(_Answer):
    """The evidence for one plane."""

    method: Literal["grad-cam"] = "grad-cam"
    target: str = Field(description="The plane that was asked for, or the first prediction.")
    heatmap: list[list[float]] = Field(
        description="h rows of w values, 0..1, over the square that holds the crop, fitted and centered."
    )
    raw_max: float = Field(ge=0, description="What the raw map was divided by.")
    empty: bool = Field(description="Whether nothing in the frame speaks for the plane; the map is all zeros then.")
    overlay: Overlay | None = Field(description="Null where `overlay=false` was asked.")


class ExplainedClassification(Classification):
    """The answer of `/explain`."""

    explanation: Explanation


class Health(_Answer):
    """The verdict on the service."""

    status: Literal["alive", "ready"]


class Workers(_Answer):
    """How many frames are worked on at once."""

    count: int
    source: str = Field(description="What decided the count: a setting, a cgroup's CPU quota, the CPU affinity.")
    threads_per_run: int = 1
    threads_of_a_lone_run: int = Field(description="Of a run that is alone on the machine: it has every core.")


class Load(_Answer):
    """What is being worked on."""

    busy_workers: int
    waiting: int = Field(description="Pieces of work that wait for a worker.")
    requests: int = Field(description="Uploads taken in: coming, waiting or worked on.")
    max_requests: int = Field(description="Beyond so many, one more is refused.")
    held_bytes: int = Field(description="Of their uploads.")
    max_held_bytes: int


class HealthDetails(Health):
    """The verdict, and what there is to know beside it."""

    version: str = Field(description="Of the service.")
    model: ModelInfo
    workers: Workers
    load: Load
    expected_planes: list[str] = Field(description="What an exam should hold, as set, of what the model knows.")
    uptime_seconds: float = Field(ge=0)


class ProblemDetails(_Answer):
    """A refusal, as RFC 9457 has it."""

    type: str = Field(description="Stable; a path of this service that describes it.", examples=["/problems/not-found"])
    title: str = Field(description="The kind of problem, in words.", examples=["Not found"])
    status: int = Field(ge=400, le=599, examples=[404])
    detail: str = Field(description="One sentence on this very request.")
    code: str = Field(description="The last part of `type`.", examples=["not-found"])
    request_id: str

    @classmethod
    def of(cls, problem: Problem, request_id: str) -> "ProblemDetails":
        """Tell a problem."""
        return cls(
            type=problem.type_uri(),
            title=problem.title(),
            status=problem.status,
            detail=problem.detail,
            code=problem.code,
            request_id=request_id,
        )


class ProblemKind(_Answer):
    """A row of the table of problems."""

    type: str
    code: str
    status: int
    title: str
    meaning: str

    @classmethod
    def of(cls, kind: _ProblemClass) -> "ProblemKind":
        """Describe a kind of problem."""
        return cls(type=kind.type_uri(), code=kind.code, status=kind.status, title=kind.title(), meaning=kind.meaning)
