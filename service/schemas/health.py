"""Answers of the health routes."""

from typing import Literal

from pydantic import Field

from service.schemas import Schema
from service.schemas.answers import ModelInfo


class Health(Schema):
    """The state of the service."""

    status: Literal["alive", "ready"]


class Workers(Schema):
    """The worker threads."""

    count: int = Field(description="Frames that the service works on at the same time, one thread per frame.")
    source: str = Field(description="What set the count: the setting, the cgroup's CPU quota or the CPU affinity.")
    threads_per_inference: int = Field(default=1, description="Threads of one inference while several requests run.")
    threads_for_single_request: int = Field(description="Threads of one inference while a single request runs.")


class Load(Schema):
    """The work in progress."""

    busy_workers: int = Field(description="Workers that work on a frame.")
    queued: int = Field(description="Jobs that wait for a worker.")
    requests: int = Field(description="Admitted uploads: in transfer, queued or in work.")
    max_requests: int = Field(description="The service refuses further uploads at this number.")
    held_bytes: int = Field(description="Bytes of the admitted uploads in memory.")
    max_held_bytes: int = Field(description="The service refuses uploads that would exceed this number of bytes.")


class HealthDetails(Health):
    """The state of the service with details."""

    service_version: str = Field(description="Version of the service; `model.version` is that of the model.")
    model: ModelInfo
    providers: list[str] = Field(description="What computes the network: providers of ONNX Runtime, in order.")
    workers: Workers
    load: Load
    corrections: bool = Field(description="True when the service keeps corrections: `POST /corrections`.")
    correction_frames: bool = Field(description="True when it keeps the pictures of corrected frames, too.")
    uptime_seconds: float = Field(ge=0, description="Seconds since the service became ready.")
