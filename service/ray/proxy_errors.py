"""Problem documents for what the proxies of Ray Serve refuse themselves.

A proxy answers in plain text if all queues are full, or if a replica is lost with a request in it. Each proxy uses this
middleware if `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` is `service.ray.proxy_errors:middlewares`.
"""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem_responses import MEDIA_TYPE, problem_response
from service.errors import NotReady, Overloaded, Problem
from service.observability.trace import REQUEST_ID, new_request_id


def middlewares() -> list[Middleware]:
    """Return the middleware of each proxy."""
    return [Middleware(ProxyErrorMiddleware)]


class ProxyErrorMiddleware:
    """Turns a refusal of the proxy into a problem document; answers of the app pass unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].startswith("/-/"):  # the proxy's own probes
            await self.app(scope, receive, send)
            return
        replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and (document := _problem_document(message)) is not None:
                replaced = True
                await document(scope, receive, send)
            if not replaced:
                await send(message)

        await self.app(scope, receive, send_or_replace)


def _problem_document(start: Message) -> ASGIApp | None:
    """Return the document for a refusal of the proxy; None for an answer of the app, whose media type differs."""
    status, headers = start["status"], dict(start.get("headers", ()))
    if status < 500 or headers.get(b"content-type", b"").startswith(MEDIA_TYPE.encode()):
        return None
    request_id = new_request_id()
    added = {"Retry-After": "1", REQUEST_ID: request_id}
    if status == 503:
        problem: Problem = Overloaded("Every replica is full, and so is the queue. Try again later.", headers=added)
    else:
        problem = NotReady("The replica that worked on this request was lost. Try again.", headers=added)
    return problem_response(problem, request_id)
