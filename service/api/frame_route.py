"""The route of a frame: it spares requests without parameters the framework's reading of parameters."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


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
