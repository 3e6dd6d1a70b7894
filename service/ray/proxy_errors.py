"""What Ray Serve's proxies refuse by themselves, told as the app tells its refusals.

A proxy answers in plain text where all queues are full, or where a replica was lost with a request in it. It wears this
middleware where `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` is `service.ray.proxy_errors:middlewares`.
"""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem_responses import MEDIA_TYPE, problem_response
from service.errors import NotReady, Overloaded, Problem
from service.observability.request_id import HEADER, new_request_id

_RETRY_AFTER_S = 1


def middlewares() -> list[Middleware]:
    """What each proxy is to wear."""
    return [Middleware(Refusals)]


class Refusals:
    """Turns a proxy's own refusal into a problem document; whatever the app says passes as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].startswith("/-/"):  # the proxy's own probes
            await self.app(scope, receive, send)
            return
        refused = False

        async def send_told(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and (problem := _own_refusal(message)) is not None:
                refused = True
                await _told(problem)(scope, receive, send)
            if not refused:
                await send(message)

        await self.app(scope, receive, send_told)


def _own_refusal(start: Message) -> Problem | None:
    """The problem that a proxy's own refusal is; None for an answer of the app, whose refusals are problems already."""
    status, headers = start["status"], dict(start.get("headers", ()))
    if status < 500 or headers.get(b"content-type", b"").startswith(MEDIA_TYPE.encode()):
        return None
    after = {"Retry-After": str(_RETRY_AFTER_S)}
    if status == 503:
        return Overloaded("Every replica is full, and so is the queue.", headers=after)
    return NotReady("The replica was lost that worked on this; nothing is kept of it. Ask again.", headers=after)


def _told(problem: Problem) -> ASGIApp:
    request_id = new_request_id()
    problem.headers[HEADER] = request_id
    return problem_response(problem, request_id)
