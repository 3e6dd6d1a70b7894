"""Refuses requests without a valid API key."""

import re
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problem_responses import problem_response_for
from service.api_keys import KeyRing
from service.errors import NoKey

# Probes come from machines without a key; the other paths serve public content only.
_PUBLIC = re.compile(r"/|/page/.*|/health(/.*)?|/docs(/.*)?|/openapi\.json|/problems(/.*)?|/sample(/.*)?")
_PUBLIC_BELOW_PREFIX = re.compile(f".*({_PUBLIC.pattern})", re.DOTALL)

_MAX_OFFERED = 4  # each costs a comparison with every key


class ApiKeyMiddleware:
    """Middleware that refuses a request without a valid key before any other code reads it."""

    def __init__(self, app: ASGIApp, keys: Callable[[], KeyRing | None]) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection; only HTTP requests need a key."""
        keys = self.keys()
        if scope["type"] == "http" and keys is not None and not _PUBLIC.fullmatch(_path(scope)):
            caller = find_caller(keys, Headers(scope=scope))
            if caller is None:
                refusal = NoKey(NoKey.meaning, headers={"WWW-Authenticate": "Bearer", "Connection": "close"})
                await problem_response_for(refusal, scope)(scope, receive, send)
                return
            scope["state"]["caller"] = caller  # the request log writes it
        await self.app(scope, receive, send)


def find_caller(keys: KeyRing, headers: Headers) -> str | None:
    """Return the holder of the first valid key that a request offers; None where it offers none."""
    holders = (keys.holder(key) for key in _offered_keys(headers))
    return next((holder for holder in holders if holder is not None), None)


def may_be_public(path: str) -> bool:
    """Return whether a path may need no key: which prefix of it belongs to a proxy is not known yet."""
    return _PUBLIC_BELOW_PREFIX.fullmatch(path) is not None


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _offered_keys(headers: Headers) -> list[str]:
    """Return the keys in `X-API-Key` and in `Authorization: Bearer`; a gateway may add a token of its own to either."""
    bearers = [value.partition(" ") for value in headers.getlist("authorization")]
    tokens = [token.strip() for scheme, _, token in bearers if scheme.lower() == "bearer"]
    return [*headers.getlist("x-api-key"), *tokens][:_MAX_OFFERED]
