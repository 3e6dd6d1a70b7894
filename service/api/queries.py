"""Query parameters that several routes share. Unknown parameters are refused."""

from pydantic import BaseModel, Field

from service.schemas.answers import DEFAULT_TOP_K


class FrameQuery(BaseModel, extra="forbid"):
    """Selects a frame of the upload."""

    frame: int = Field(default=0, ge=0, description="Index of the frame in the file, from 0.")


class ClassifyQuery(FrameQuery):
    """Selects a frame and the number of predictions."""

    top: int = Field(
        default=DEFAULT_TOP_K, ge=1, le=1000, description="Number of predictions in the answer, at most all planes."
    )


class SelectionQuery(BaseModel, extra="forbid"):
    """Selects frames of each file."""

    every: int = Field(
        default=1, ge=1, le=100_000, description="Classify every n-th frame of each file, starting with the first."
    )
    limit: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Maximum number of frames of each file. Default: no maximum."
    )


class BatchQuery(SelectionQuery):
    """Selects frames of each file and the number of predictions."""

    top: int = Field(
        default=DEFAULT_TOP_K, ge=1, le=1000, description="Number of predictions in each answer, at most all planes."
    )
