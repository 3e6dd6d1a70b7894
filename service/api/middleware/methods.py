"""Answers OPTIONS for every path, and HEAD for every path that has GET (RFC 9110, 9.3)."""

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem_responses import allowed_methods


class MethodsMiddleware:
    """Middleware that answers OPTIONS itself, and HEAD by the head of the answer to GET."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; methods other than HEAD and OPTIONS pass."""
        method = scope["method"] if scope["type"] == "http" else None
        if method == "OPTIONS" and (allowed := allowed_methods(scope)):
            await Response(status_code=204, headers={"Allow": ", ".join(allowed)})(scope, receive, send)
        elif method == "HEAD":
            await self._head(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        get = {**scope, "method": "GET"}  # a copy: the server needs the method that the client sent
        try:
            await self.app(get, receive, send_without_body)
        finally:
            scope.update({name: get[name] for name in ("route",) if name in get})  # for the request log
