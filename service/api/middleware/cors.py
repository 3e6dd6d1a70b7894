"""Lets pages of other origins use the service, where the operator allows it (the Fetch standard's CORS protocol)."""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EXPOSED = "Retry-After, X-Frames, X-Plane, X-Request-ID"
_METHODS = "GET, HEAD, POST, DELETE"
_MAX_AGE_S = "600"


class CorsMiddleware:
    """Middleware that adds the CORS headers to replies for allowed origins; OPTIONS itself is answered elsewhere.

    Keys come in headers that a page's script sets, so credentials of the browser are never allowed.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self.app = app
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; only HTTP replies have headers."""
        if scope["type"] != "http" or not self.origins:
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                allowed = add_cors_headers(headers, asked, self.origins)
                if allowed and scope["method"] == "OPTIONS" and "access-control-request-method" in asked:
                    headers["Access-Control-Allow-Methods"] = _METHODS
                    headers["Access-Control-Allow-Headers"] = asked.get("access-control-request-headers", "*")
                    headers["Access-Control-Max-Age"] = _MAX_AGE_S
            await send(message)

        await self.app(scope, receive, send_with_headers)


def add_cors_headers(headers: MutableHeaders, asked: Headers, origins: Collection[str]) -> bool:
    """Add the CORS headers of every reply where the operator allows `origins`; return whether the request's is one."""
    if not origins:
        return False
    origin = asked.get("origin", "")
    headers.add_vary_header("Origin")
    allowed = bool(origin) and ("*" in origins or origin.lower() in origins)
    if allowed:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = _EXPOSED
    return allowed
