"""Refuses requests without a valid API key."""

import re
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problem_responses import problem_response_for
from service.api_keys import KeyRing
from service.errors import NoKey

# Probes come from machines without a key; the other paths serve public content only.
_PUBLIC = re.compile(r"/|/page/.*|/health(/.*)?|/docs(/.*)?|/openapi\.json|/problems(/.*)?")


class ApiKeyMiddleware:
    """Middleware that refuses a request without a valid key before any other code reads it."""

    def __init__(self, app: ASGIApp, keys: Callable[[], KeyRing | None]) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; only HTTP requests need a key."""
        keys = self.keys()
        if scope["type"] == "http" and keys is not None and not _PUBLIC.fullmatch(scope["path"]):
            headers = Headers(scope=scope)
            scheme, _, token = headers.get("authorization", "").partition(" ")
            caller = keys.holder(token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", ""))
            if caller is None:
                refusal = NoKey(NoKey.meaning, headers={"WWW-Authenticate": "Bearer", "Connection": "close"})
                await problem_response_for(refusal, scope)(scope, receive, send)
                return
            scope["state"]["caller"] = caller  # the request log writes it
        await self.app(scope, receive, send)
