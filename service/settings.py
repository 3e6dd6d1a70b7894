"""The service's settings, from the environment: `FETAL_PLANES_` and the field's name in capitals."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.execution.admission import AdmissionLimits
from service.imaging.frame import Limits

SHIPPED_MODEL = Path(__file__).parent / "models" / "default"

_REQUESTS_A_WORKER = 8  # so nobody waits longer than eight frames take; who would, had better ask elsewhere
_LONGEST_UPLOADS = 8


class Settings(BaseSettings):
    """What an operator may choose."""

    model_config = SettingsConfigDict(env_prefix="FETAL_PLANES_", frozen=True)

    model: Path = Field(default=SHIPPED_MODEL, description="Folder of the model package to serve.")
    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Frames worked on at once, one thread each. Unset: the cores that the container grants.",
    )
    max_upload_bytes: int = Field(
        default=32 * 2**20, ge=1024, description="The longest upload that is read, in bytes; a longer one gets 413."
    )
    max_frame_pixels: int = Field(
        default=32_000_000,
        ge=1,
        le=150_000_000,
        description="The largest frame that is decoded, in pixels by its header; a larger one gets 413. "
        "Decoding and painting need up to about 20 bytes a pixel.",
    )
    max_requests: int | None = Field(
        default=None,
        ge=1,
        description="Uploads taken in at once, whether coming in, waiting or worked on; one more gets 503. "
        "Unset: 8 a worker, so that nobody waits longer than eight frames take.",
    )
    max_held_bytes: int | None = Field(
        default=None,
        ge=1024,
        description="Bytes of uploads held at once; what does not fit beside the others gets 503. "
        "Unset: eight of the longest uploads, and one of many files.",
    )
    deadline_s: float = Field(
        default=30,
        gt=0,
        description="Seconds from an upload's end to its answer's beginning; after it, 504, and the work is ended. "
        "The header `X-Deadline-Ms`, counted from the request's head, can only shorten it.",
    )
    upload_s: float = Field(
        default=20,
        gt=0,
        description="Seconds that an upload may take to come, for each `FETAL_PLANES_MAX_UPLOAD_BYTES` of a longer "
        "one; a slower one gets 408.",
    )
    drain_s: float = Field(
        default=5,
        ge=0,
        description="Seconds from SIGTERM, when the service ceases to be ready, until it takes in no more.",
    )
    api_keys: Path | None = Field(
        default=None,
        description="File of hashed API keys, as `fetal-planes key` prints them. Unset: no key is asked for.",
    )
    max_batch_bytes: int = Field(
        default=256 * 2**20,
        ge=1024,
        description="The longest upload of many files, in bytes; a longer one gets 413. Each of its files is held to "
        "the limit of one upload.",
    )
    max_batch_frames: int = Field(
        default=20_000,
        ge=1,
        description="Frames after which the answer to an upload of many files ends, with `complete` false; "
        "more files than that get 413.",
    )
    expected_planes: str | None = Field(
        default=None,
        description="Planes that an exam should hold, with commas between them; those that the model does not know do "
        "not count. Unset: all that the model knows but `other`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe log line that is written."
    )

    @property
    def limits(self) -> Limits:
        """The limits on one upload."""
        return Limits(self.max_upload_bytes, self.max_frame_pixels)

    def bounds(self, workers: int) -> AdmissionLimits:
        """How much is taken in at once by a pool of so many workers."""
        return AdmissionLimits(
            self.max_requests or _REQUESTS_A_WORKER * workers,
            self.max_held_bytes or _LONGEST_UPLOADS * self.max_upload_bytes + self.max_batch_bytes,
        )
