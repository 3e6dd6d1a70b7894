"""The service's settings, from the environment: `FETAL_PLANES_` and the field's name in capitals."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.imaging.decode import Limits

SHIPPED_MODEL = Path(__file__).parent / "models" / "default"


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
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe log line that is written."
    )

    @property
    def limits(self) -> Limits:
        """The limits on one upload."""
        return Limits(self.max_upload_bytes, self.max_frame_pixels)
