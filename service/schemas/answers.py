"""Answers about one frame: `/classify` and `/explain`."""

from typing import Literal, get_args

from pydantic import Field

from service.schemas import Schema
from service.schemas.manifest import Precision

VideoFormat = Literal["mp4", "mov", "avi", "mkv", "wmv", "mpeg"]
Format = Literal["png", "jpeg", "bmp", "tiff", "webp", "gif", "avif", "dicom", VideoFormat]
CropSource = Literal["region", "sector", "none"]
AbstainReason = Literal["color-flow", "out-of-distribution", "uncertain"]
SubPlaneReason = Literal["close"]
PictureType = Literal["image/jpeg", "image/png"]
VIDEO_FORMATS = frozenset(get_args(VideoFormat))

DEFAULT_TOP_K = 2  # when the first prediction is wrong, the second is nearly always right


class Prediction(Schema):
    """A plane and its probability."""

    plane: str = Field(description="Id of the plane.", examples=["fetal_brain"])
    label: str = Field(description="Name of the plane for people.", examples=["Fetal brain"])
    probability: float = Field(ge=0, le=1, description="Calibrated probability.", examples=[0.981])


class SubPlane(Schema):
    """A standard plane of the same anatomy, such as the trans-thalamic plane of the fetal brain."""

    plane: str = Field(description="Id of the sub-plane.", examples=["trans_thalamic"])
    label: str = Field(description="Name of the sub-plane for people.", examples=["Trans-thalamic"])
    probability: float = Field(
        ge=0, le=1, description="Calibrated probability, given that the first prediction is right.", examples=[0.93]
    )


class PredictionSet(Schema):
    """The planes that a frame may show, at a level of coverage."""

    level: float = Field(
        description="The requested level: of the patients of a plane, the share for whom the set holds it. It is "
        "known for patients like those of the validation data only, and not for another hospital.",
        examples=[0.95],
    )
    planes: list[str] = Field(
        description="Ids of the planes in the set, the most probable first; at least the first prediction.",
        examples=[["fetal_brain"]],
    )
    empty: bool = Field(
        description="True when no plane is probable enough for the level: the frame fits none as well as validation "
        "frames do. `planes` then holds the first prediction, as an addition."
    )
    unsupported: list[str] = Field(
        description="Ids of planes with too few validation patients for this level. The set treats them by a limit "
        "of all planes together, and claims no coverage of them.",
        examples=[["maternal_cervix", "other"]],
    )


class FrameInfo(Schema):
    """The frame that the service read from the upload."""

    format: Format = Field(description="File format, detected from the bytes.")
    width: int = Field(description="Width of the upright frame, in pixels.")
    height: int = Field(description="Height of the upright frame, in pixels.")
    index: int = Field(description="Index of the frame in the file, from 0.")
    count: int = Field(description="Number of frames in the file.")
    seconds: float | None = Field(
        default=None,
        description="When a video or a loop shows the frame, from its first frame on; null for a file that states no "
        "times.",
        examples=[1.28],
    )
    crop: tuple[int, int, int, int] = Field(
        description="The part of the frame that the model saw: left, top, right, bottom in pixels. Right and bottom "
        "are exclusive."
    )
    crop_source: CropSource = Field(
        description="Where the crop comes from. `region`: the Sequence of Ultrasound Regions of the DICOM object; "
        "`sector`: the insonated sector, found in the pixels; `none`: the frame was not cropped."
    )


class ModelInfo(Schema):
    """The model that answered."""

    name: str = Field(description="Name of the model package.")
    version: str = Field(description="Version of the model package.")
    sha256: str = Field(description="SHA-256 of the manifest, which holds the SHA-256 of every other file.")
    precision: Precision = Field(default="float32", description="Precision in which the network was computed.")


class Classification(Schema):
    """The answer of `/classify`."""

    predictions: list[Prediction] = Field(
        description="The most probable planes, in descending order; `top` sets how many."
    )
    abstain: bool = Field(description="True when the model abstains: do not use the predictions.")
    abstain_reason: AbstainReason | None = Field(
        description="`color-flow`: color Doppler covers the tissue, and the model was trained on gray frames only; "
        "`out-of-distribution`: the frame shows too little of any plane, or looks like another organ or no ultrasound; "
        "`uncertain`: no plane is probable enough."
    )
    sub_plane: SubPlane | None = Field(
        default=None,
        description="The standard plane of the first prediction. Null when the model knows no sub-planes of that "
        "plane, when it abstains, and when two are close.",
    )
    sub_plane_reason: SubPlaneReason | None = Field(
        default=None, description="`close`: the model names no sub-plane, as two are almost equally probable."
    )
    prediction_set: PredictionSet | None = Field(
        default=None,
        description="Null unless the request says `set`, and when the model abstains for `color-flow` or "
        "`out-of-distribution`: a set says nothing about such a frame.",
    )
    frame: FrameInfo
    model: ModelInfo
    request_id: str = Field(description="Id of the request; the log lines of the request carry it too.")


class Overlay(Schema):
    """The heat map, painted over the frame in the frame's own size."""

    media_type: PictureType
    width: int = Field(description="In pixels.")
    height: int = Field(description="In pixels.")
    data: str = Field(description="The picture in Base64.", json_schema_extra={"contentEncoding": "base64"})


class Explanation(Schema):
    """The evidence for one plane."""

    method: Literal["grad-cam"] = Field(default="grad-cam", description="Method that computed the heat map.")
    target: str = Field(description="Id of the explained plane: the requested one, or the first prediction.")
    heatmap: list[list[float]] = Field(
        description="h rows of w values from 0 to 1. The map covers the square network input, which holds the crop "
        "letterboxed."
    )
    raw_max: float = Field(ge=0, description="Maximum of the Grad-CAM map before it was scaled to 1.")
    empty: bool = Field(description="True when no part of the frame supports the plane; the map is all zeros then.")
    overlay: Overlay | None = Field(description="Null when the request says `overlay=false`.")


class ExplainedClassification(Classification):
    """The answer of `/explain`."""

    explanation: Explanation
