"""Refuses uploads from their heads, before the middleware, while every slot is taken."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from service.api.middleware.admission import DEADLINE_HEADER, declared_bytes
from service.api.middleware.api_keys import find_caller, may_be_public
from service.api.middleware.cors import add_cors_headers
from service.api.middleware.request_log import RequestRecord
from service.api.middleware.request_target import path_prefix
from service.api.middleware.security_headers import add_security_headers
from service.api.problem_responses import problem_response
from service.execution.admission import overloaded
from service.observability.trace import REQUEST_ID
from service.runtime import Runtime

# Headers by which the middleware may give another answer, or another end to the connection.
_DECISIVE = {b"content-encoding", b"expect", b"transfer-encoding", DEADLINE_HEADER.lower().encode()}


class EarlyRefusals:
    """Refuses what the middleware would refuse for want of a slot, with the same reply, log line and metrics.

    The middleware around an upload takes more CPU time than the refusal itself, and under overload there are as many
    refusals as answers.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._origins = runtime.settings.allowed_origins

    def refuse(self, scope: Scope) -> "EarlyRefusal | None":
        """Return the refusal of a request whose head is complete; None for one that the app must answer."""
        runtime = self._runtime
        if not runtime.admission.is_full or runtime.draining:
            return None
        headers = Headers(scope=scope)
        if not _is_ordinary(scope, headers, runtime.settings.max_upload_bytes):
            return None
        caller = None
        if (keys := runtime.keys) is not None:
            if may_be_public(scope["path"]):
                return None  # there the app asks for no key, and notes no caller
            if (caller := find_caller(keys, headers)) is None:
                return None  # the client must not learn the load

        record = RequestRecord(scope, runtime.metrics)
        problem, request_id = overloaded(), record.work.request_id
        scope["state"] |= {"problem": problem.code} | ({"caller": caller} if caller is not None else {})
        reply = problem_response(problem, request_id, path_prefix(headers, runtime.settings.root_path))
        reply.headers[REQUEST_ID] = request_id
        add_cors_headers(reply.headers, headers, self._origins)
        add_security_headers(reply.headers)
        return EarlyRefusal(reply, record)


class EarlyRefusal:
    """The reply that refuses a request, and the record that ends when it is sent."""

    def __init__(self, reply: Response, record: RequestRecord) -> None:
        self.reply = reply
        self._record = record

    def end(self) -> None:
        """Count and log the request."""
        self._record.end(self.reply.status_code)


def _is_ordinary(scope: Scope, headers: Headers, max_bytes: int) -> bool:
    """Return whether only admission can refuse an upload, and its connection goes on."""
    return (
        scope["method"] == "POST"
        and scope["http_version"] == "1.1"
        and scope["path"].startswith("/")  # not absolute, as clients send it to a proxy
        and _DECISIVE.isdisjoint(name for name, _ in headers.raw)
        and all(value.lower() == "keep-alive" for value in headers.getlist("connection"))
        and 0 < declared_bytes(headers) <= max_bytes
    )
