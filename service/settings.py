"""The settings of the service, from environment variables: `FETAL_PLANES_` and the field's name in capitals."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.execution.admission import AdmissionLimits
from service.execution.decoders.limits import DecoderLimits
from service.imaging.frame import Limits
from service.schemas.manifest import PrecisionChoice
from service.store.options import StoreError, StoreOptions

SHIPPED_MODEL = Path(__file__).parent / "models" / "default"
PREFIX = "FETAL_PLANES_"
_OTHER_NAMES = {"FETAL_PLANES_CLIENT_KEY"}  # of the command line
# Kubernetes sets variables for every Service, named after it: `fetal-planes` itself, or `fetal-planes-metrics`.
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_KUBERNETES = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_DAY_S = 86_400


def _decode_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('not JSON, such as {"OpenVINOExecutionProvider": {"device_type": "CPU"}}') from None


Seconds = Annotated[float, Field(ge=0, le=_DAY_S, allow_inf_nan=False)]
Level = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value),
]
Providers = Annotated[dict[str, dict[str, str]], NoDecode, BeforeValidator(_decode_json)]
_ORIGIN = r"(?i:\*|https?://[^\s,;/]+/?)"


class Settings(BaseSettings):
    """The choices of an operator. An empty variable is an unset one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, use_attribute_docstrings=True)

    model: Path = SHIPPED_MODEL
    """Folder of the model package."""
    precision: PrecisionChoice = "auto"
    """Precision of the network: `float32`, `int8`, or `auto`, which takes INT8 where the package has it, the CPU has
    VNNI or Arm's dot product, and INT8 is faster in a test at start. `int8` is refused where one of the first two is
    missing."""
    providers: Providers = Field(default={})
    """Execution providers of ONNX Runtime that compute the network, in JSON, each with its options, such as
    `{"OpenVINOExecutionProvider": {"device_type": "CPU"}}`. Their answers are compared with the CPU's at start, and
    refused beyond a tolerance. Default: the CPU's provider."""
    workers: int | None = Field(default=None, ge=1, le=1024)
    """Number of worker threads; each works on one frame. Default: the cores that the container grants."""
    max_upload_bytes: int = Field(default=32 * 2**20, ge=1024)
    """Maximum size of an uploaded file, in bytes; a longer one gets 413."""
    max_frame_pixels: int = Field(default=32_000_000, ge=1, le=150_000_000)
    """Maximum size of a frame, in pixels by its header; a larger one gets 413. Decoding needs up to 28 bytes per
    pixel, drawing 14."""
    max_requests: int | None = Field(default=None, ge=1)
    """Maximum number of admitted uploads, in transfer, queued or in work; further ones get 503. Default: 8 requests per
    worker, so a request never queues behind more than eight frames."""
    max_held_bytes: int | None = Field(default=None, ge=1024)
    """Maximum bytes of all admitted uploads and unread replies in memory; an upload that does not fit gets 503.
    Default: eight uploads of the maximum size plus one batch of the maximum size."""
    max_decode_s: Seconds = Field(default=10, gt=0)
    """CPU seconds for decoding one frame; a file that needs more gets 422. An ordinary frame needs 0.01."""
    deadline_s: Seconds = Field(default=30, gt=0)
    """Seconds from the end of an upload to the start of its reply; after them the work stops and the request gets 504.
    The header `X-Deadline-Ms`, counted from the request's head, can only shorten this."""
    upload_s: Seconds = Field(default=20, gt=0)
    """Seconds for the transfer of an upload; a slower one gets 408. A batch gets this time for each
    `FETAL_PLANES_MAX_UPLOAD_BYTES` of its length."""
    drain_s: Seconds = 5
    """Seconds from SIGTERM, when the service reports not ready, until it accepts no further requests."""
    load_s: Seconds = Field(default=30, gt=0)
    """Seconds to read and check a model package, as many to open it and warm it up, and as many for protocols and for
    keys, at start and at a reload. What is slower, as on a share that hangs, is refused."""
    api_keys: Path | None = None
    """File of hashed API keys, one line of `fetal-planes key` each. Default: requests need no key."""
    max_batch_bytes: int = Field(default=256 * 2**20, ge=1024)
    """Maximum size of an upload of many files, in bytes; a longer one gets 413. The limit on one file applies to each
    of them."""
    max_batch_frames: int = Field(default=20_000, ge=1)
    """Maximum number of frames in the answer to many files; the answer ends there, with `complete` false. More files
    than this get 413."""
    protocols: Path | None = None
    """Folder of protocols, one TOML file each, in addition to those that ship. A file that does not fit the model ends
    the start."""
    default_protocol: str | None = None
    """Id of the protocol of an exam that names none. Default: `all-planes`, each plane of the model except `other`."""
    store: SecretStr | None = None
    """Database in which corrections are kept, such as `sqlite:////data/store.db` or
    `postgresql://user:password@host/database`. Default: corrections are not kept."""
    store_secret: Path | None = None
    """File of the site's secret, at least 32 random characters; a store and `--audit-columns` need it. Studies,
    patients and operators are kept as hashes that it keys."""
    store_retention_days: int | None = Field(default=None, ge=1, le=36_500)
    """Days after which corrections and their frames are deleted. Default: they are kept until they are erased."""
    store_frames: Path | None = None
    """Folder in which the sectors of corrected frames are kept as PNG. Default: no pixels are kept."""
    store_frames_bytes: int = Field(default=10 * 2**30, ge=1024)
    """Maximum bytes of all kept frames; a further one gets 507."""
    root_path: str | None = Field(default=None, pattern=r"^(/[A-Za-z0-9._~-]+)*/?$")
    """Path below which a proxy serves the service, such as `/ai/fetal`, whether or not the proxy takes it off. The
    header `X-Forwarded-Prefix` of a request goes before it."""
    cors_origins: str | None = Field(default=None, pattern=rf"^\s*({_ORIGIN}(\s*,\s*{_ORIGIN})*)?\s*$")
    """Origins of web pages that may use the service, such as `https://viewer.example`, separated by commas; `*` allows
    every page. Default: only the service's own pages."""
    log_level: Level = "info"
    """Lowest severity of the log lines: `debug`, `info`, `warning` or `error`, in any case."""

    @model_validator(mode="before")
    @classmethod
    def _read_environment(cls, values: dict[str, Any]) -> dict[str, Any]:
        _check_names(os.environ, cls.model_fields)
        return {name: value for name, value in values.items() if not (isinstance(value, str) and not value.strip())}

    @property
    def limits(self) -> Limits:
        """The limits on one uploaded file."""
        return Limits(self.max_upload_bytes, self.max_frame_pixels)

    @property
    def decoder_limits(self) -> DecoderLimits:
        """The limits on each process that decodes uploads."""
        return DecoderLimits(self.max_upload_bytes, self.max_frame_pixels, self.max_decode_s)

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins in `cors_origins`."""
        origins = (origin.strip().rstrip("/").lower() for origin in (self.cors_origins or "").split(","))
        return frozenset(origin for origin in origins if origin)

    @property
    def store_options(self) -> StoreOptions | None:
        """The store of corrections; None where nothing is kept. Raises `StoreError` for frames without a store."""
        if self.store is None:
            if self.store_frames is not None:
                raise StoreError(f"{PREFIX}STORE_FRAMES needs {PREFIX}STORE")
            return None
        retention = None if self.store_retention_days is None else timedelta(days=self.store_retention_days)
        url = self.store.get_secret_value()
        return StoreOptions(url, self.store_secret, retention, self.store_frames, self.store_frames_bytes)

    def admission_limits(self, workers: int) -> AdmissionLimits:
        """Return the limits on all admitted uploads, for a number of workers."""
        return AdmissionLimits(
            self.max_requests or 8 * workers,
            self.max_held_bytes or 8 * self.max_upload_bytes + self.max_batch_bytes,
        )


def describe_errors(error: ValidationError) -> str:
    """Return one sentence that names each invalid environment variable and what is wrong with its value."""
    return "; ".join(map(_describe_error, error.errors()))


def _describe_error(entry: ErrorDetails) -> str:
    if not entry["loc"]:
        return entry["msg"].removeprefix("Value error, ")
    field = str(entry["loc"][0])
    reason = entry["msg"]
    if entry["type"] == "string_pattern_mismatch":  # its message is a regular expression
        meaning = " ".join((Settings.model_fields[field].description or "").split()).partition(". ")[0]
        reason = f"{entry['input']!r} is not of the right form: {meaning[:1].lower()}{meaning[1:].rstrip('.')}"
    return f"{PREFIX}{field.upper()}: {reason}"


def _check_names(environment: Mapping[str, str], fields: Iterable[str]) -> None:
    """Raise ValueError for a variable that no setting has, and for empty API keys; case does not matter."""
    known = {f"{PREFIX}{field.upper()}" for field in fields} | _OTHER_NAMES
    for name, value in environment.items():
        upper = name.upper()
        if not upper.startswith(PREFIX) or _KUBERNETES.fullmatch(upper):
            continue
        if upper not in known:
            (nearest,) = get_close_matches(upper, known, n=1, cutoff=0)
            raise ValueError(f"{name} is not a setting; the nearest name is {nearest}")
        if upper == f"{PREFIX}API_KEYS" and not value.strip():
            raise ValueError(f"{name} is empty; name a file of keys, or unset it to serve without keys")
