"""Query parameters that several routes share. Unknown parameters are refused."""

from collections.abc import Callable, Coroutine
from typing import Any, Self

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, model_validator

from service.analysis.batch import Selection
from service.api.negotiation import JSON, NDJSON
from service.errors import BadParameter
from service.inference.prediction_set import SetRule
from service.schemas.answers import DEFAULT_TOP_K
from service.schemas.manifest import Manifest

_WITH_SETS = (JSON, NDJSON)


class FrameQuery(BaseModel, extra="forbid"):
    """Selects a frame of the upload."""

    frame: int = Field(default=0, ge=0, description="Index of the frame in the file, from 0.")


class SetQuery(BaseModel, extra="forbid"):
    """Asks for prediction sets."""

    set_level: float | None = Field(
        default=None,
        alias="set",
        ge=0.5,
        lt=1,
        description="Level of a prediction set, such as 0.95: the answer holds the smallest set of planes with this "
        "coverage on validation patients. Default: no set.",
    )

    def set_rule(self, manifest: Manifest, media_type: str) -> SetRule | None:
        """Return the rule of the model's sets at the requested level, None where no set is wanted.

        Raises `BadParameter` where the model or the media type of the reply has no sets at this level.
        """
        if self.set_level is None:
            return None
        if media_type not in _WITH_SETS:
            raise BadParameter("`set` needs a JSON reply; the header `Accept` asks for another one.")
        return SetRule.of(manifest.planes, manifest.prediction_sets, self.set_level)


class ClassifyQuery(SetQuery, FrameQuery):
    """Selects a frame, the number of predictions and the prediction set."""

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
    fps: float | None = Field(
        default=None,
        ge=0.001,
        le=1000,
        description="Classify this many frames of each second of a video, an animated GIF or a DICOM loop: the first "
        "of each 1/fps seconds, also where the frame rate varies. Files that state no times are not affected. Not "
        "together with `every`.",
    )

    @model_validator(mode="after")
    def _check_selection(self) -> Self:
        if self.fps is not None and self.every != 1:
            raise ValueError("`fps` and `every` select frames in two ways; send one of them")
        return self

    @property
    def selection(self) -> Selection:
        """The frames that are selected."""
        return Selection(self.every, self.limit, self.fps)


class BatchQuery(SetQuery, SelectionQuery):
    """Selects frames of each file, the number of predictions and the prediction sets."""

    top: int = Field(
        default=DEFAULT_TOP_K, ge=1, le=1000, description="Number of predictions in each answer, at most all planes."
    )


class FrameRoute(APIRoute):
    """A route whose endpoint takes the request, the query's model, the loaded model and the header `Accept`.

    FastAPI takes a fifth of the event loop's time to read the parameters of a request. Most requests have none: they
    get the defaults here. All others, and so all that can be wrong, go through FastAPI.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers a request."""
        read_parameters = super().get_route_handler()
        endpoint = self.endpoint
        (query,) = self.dependant.query_params
        defaults = query.field_info.annotation()  # type: ignore[misc]  # a pydantic model whose fields all have one

        async def handle(request: Request) -> Response:
            if request.scope["query_string"]:
                return await read_parameters(request)
            reply: Response = await endpoint(
                request, defaults, request.app.state.runtime.model, request.headers.get("accept")
            )
            return reply

        return handle
