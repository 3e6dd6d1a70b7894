"""Logs and counts every request, gives it an id, and answers unexpected exceptions with a plain 500."""

import logging
from http import HTTPMethod
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem_responses import problem_response_for
from service.errors import InternalError
from service.execution.work import Work, work_context
from service.observability.metrics import Metrics
from service.observability.trace import REQUEST_ID, TRACEPARENT, choose_request_id, read_traceparent

_LOG = logging.getLogger("fetal_planes.requests")
_METHODS = set(HTTPMethod)  # any other method counts as `other`: a caller must not create time series at will
_CLIENT_LEFT = 499  # nginx's code for a client that closed the connection; it is logged and never sent
_PROBES = ("/health", "/metrics")


class RequestLogMiddleware:
    """Middleware that starts the request's work, counts and logs the request, and turns a bug into a plain 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; only HTTP requests are logged."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = RequestRecord(scope, self.metrics)
        work, status = record.work, 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).append(REQUEST_ID, work.request_id)
            await send(message)

        try:
            with work_context(work):
                await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_LEFT
        except Exception:
            _LOG.exception("unexpected exception", extra={"request_id": work.request_id, "route": _route(scope)})
            if status == 0:  # a reply that has begun can only be cut off
                with work_context(work):
                    reply = problem_response_for(InternalError("The service failed."), scope)
                await reply(scope, receive, send_with_id)
        finally:
            record.end(status)


class RequestRecord:
    """One request in the metrics and in the log, from its head to the end of its reply."""

    def __init__(self, scope: Scope, metrics: Metrics) -> None:
        headers = Headers(scope=scope)
        self.work = Work(choose_request_id(headers.get(REQUEST_ID)))
        scope.setdefault("state", {}).update(read_traceparent(headers.get(TRACEPARENT)))
        self._scope, self._metrics = scope, metrics
        self._started = perf_counter()
        metrics.begin_request()

    def end(self, status: int) -> None:
        """Count the request as answered, and log it; a problem and a caller are read from the state of the scope."""
        scope, seconds = self._scope, perf_counter() - self._started
        method, route = scope["method"] if scope["method"] in _METHODS else "other", _route(scope)
        self._metrics.end_request(method, route, status, seconds)
        fields = {"request_id": self.work.request_id, "method": method, "route": route, "status": status}
        state = scope["state"]
        if "problem" in state:
            self._metrics.count_refusal(state["problem"])
        fields |= {name: state[name] for name in ("problem", "caller", "trace_id", "parent_id") if name in state}
        level = logging.DEBUG if route.startswith(_PROBES) else logging.INFO
        _LOG.log(level, "request", extra=fields | {"milliseconds": round(seconds * 1000, 1)})


def _route(scope: Scope) -> str:
    """Return the route's pattern. The path itself may contain anything, so it is never logged."""
    return getattr(scope.get("route"), "path", "none")
