"""Reads the target of a request: its form, and the path below which a proxy serves this service."""

import re

from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problem_responses import problem_response_for
from service.errors import MalformedRequest

PREFIX_HEADER = "X-Forwarded-Prefix"

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")  # nothing that could lead to another host
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_MAX_PREFIX = 256


class RequestTargetMiddleware:
    """Middleware that reduces every target to a path of this service, and refuses bodies of ambiguous length."""

    def __init__(self, app: ASGIApp, root_path: str | None) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; only HTTP requests have a target."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if _ABSOLUTE.match(scope["path"]):  # RFC 9112, 3.2.2: as clients send it to a proxy
                scope["path"] = _ABSOLUTE.sub("", scope["path"], count=1) or "/"
            if prefix := path_prefix(headers, self.root_path):
                _add_prefix(scope, prefix)
            if "transfer-encoding" in headers and "content-length" in headers:
                # RFC 9112, 6.3: a proxy may have taken the other one for the length, which smuggles requests.
                refusal = MalformedRequest(
                    "The request has both `Transfer-Encoding` and `Content-Length`.", headers={"Connection": "close"}
                )
                await problem_response_for(refusal, scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def path_prefix(headers: Headers, root_path: str | None) -> str:
    """Return the path below which a proxy serves this service: as the proxy says, or as the operator set it."""
    return read_prefix(headers.getlist(PREFIX_HEADER)) or (root_path or "").rstrip("/")


def read_prefix(headers: list[str]) -> str:
    """Return the path of `X-Forwarded-Prefix`; several proxies each add theirs. Empty where it is not a path."""
    prefix = "".join(part.strip().rstrip("/") for header in headers for part in header.split(","))
    return prefix if len(prefix) <= _MAX_PREFIX and _PREFIX.fullmatch(prefix) else ""


def _add_prefix(scope: Scope, prefix: str) -> None:
    """Set `root_path`, and the path as ASGI has it: with the prefix, whether or not the proxy has taken it off."""
    path = scope["path"]
    kept = path == prefix or path.startswith(f"{prefix}/")
    if kept and any(route.matches(scope)[0] is not Match.NONE for route in scope["app"].routes):
        kept = False  # the prefix is the name of a path of ours, too, and the proxy has taken it off
    scope["root_path"] = prefix
    scope["path"] = path if kept else prefix + path
