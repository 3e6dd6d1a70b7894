"""Watches every request from outside: its id, its place in log and metrics, and the last net under a bug."""

import logging
from http import HTTPMethod
from time import perf_counter

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem_responses import problem_response_for
from service.errors import InternalError
from service.observability.metrics import Metrics
from service.observability.request_id import HEADER, choose_request_id
from service.observability.trace import TRACEPARENT, read_traceparent

_LOG = logging.getLogger("fetal_planes.requests")
_METHODS = set(HTTPMethod)  # any other word would let a caller make as many time series as it likes
_CLIENT_LEFT = 499  # never sent: nobody is there to read it
_RAW_HEADER = HEADER.lower().encode()
_PROBES = ("/health", "/metrics")


class RequestLogMiddleware:
    """Gives each request its id, counts and logs it, and turns an exception that nobody expected into a plain 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of any ASGI kind; only HTTP is watched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = choose_request_id(headers.get(HEADER))
        scope.setdefault("state", {}).update(read_traceparent(headers.get(TRACEPARENT)), request_id=request_id)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_RAW_HEADER, request_id.encode())]
            await send(message)

        started = perf_counter()
        self.metrics.begin()
        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_LEFT
        except Exception:
            _LOG.exception("a bug ended the request", extra={"request_id": request_id, "route": _route(scope)})
            if status == 0:  # once a reply has begun there is nothing to do but to break it off
                await problem_response_for(InternalError("The service failed."), scope)(scope, receive, send_with_id)
        finally:
            self._record(scope, request_id, status, perf_counter() - started)

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        method, route = scope["method"] if scope["method"] in _METHODS else "other", _route(scope)
        self.metrics.end(method, route, status, seconds)
        fields = {"request_id": request_id, "method": method, "route": route, "status": status}
        state = scope["state"]
        if (problem := state.get("problem")) is not None:
            self.metrics.refused(problem)
            fields["problem"] = problem
        fields |= {name: state[name] for name in ("caller", "trace_id", "parent_id") if name in state}
        level = logging.DEBUG if route.startswith(_PROBES) else logging.INFO
        _LOG.log(level, "request", extra=fields | {"milliseconds": round(seconds * 1000, 1)})


def _route(scope: Scope) -> str:
    """The route's pattern; never the path as it was sent, which may hold anything."""
    return getattr(scope.get("route"), "path", "none")
