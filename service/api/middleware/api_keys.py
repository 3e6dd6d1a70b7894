"""API keys: who may ask, where the operator says that not everybody may."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problem_responses import problem_response_for
from service.errors import NoKey

# Probes come from machines that hold no key, and these other pages hold nothing that is not public.
_FREE = re.compile(r"/|/page/.*|/health(/.*)?|/docs|/openapi\.json|/problems(/.*)?")
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64})\s+(?P<digest>[0-9a-f]{64})")


class KeyFileError(Exception):
    """A file of keys that must not be trusted; the message says why, and holds no key."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that are known, as SHA-256; a key is 256 random bits, so that no slower hash is called for."""

    digests: dict[str, bytes]

    @classmethod
    def load(cls, path: Path) -> "KeyRing":
        """Read a file of lines `name sha256`; empty lines and those that begin with `#` are passed over.

        Raises
        ------
        KeyFileError
            It cannot be read, has a line of another kind or a name twice, or holds no key at all.
        """
        try:
            lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"{path} cannot be read: {type(error).__name__}") from None
        digests: dict[str, bytes] = {}
        for number, line in enumerate(lines, 1):
            if not line or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line)
            if found is None or found["name"] in digests:
                raise KeyFileError(f"{path}, line {number}: not a new name and a SHA-256 in small hexadecimal digits")
            digests[found["name"]] = bytes.fromhex(found["digest"])
        if not digests:
            raise KeyFileError(f"{path} holds no key")
        return cls(digests)

    def whose(self, key: str) -> str | None:
        """The name that a key belongs to, or None; every key is compared, each in constant time."""
        offered = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        matches = [name for name, digest in self.digests.items() if hmac.compare_digest(digest, offered)]
        return matches[0] if matches else None


def load_keys(path: Path | None) -> KeyRing | None:
    """The ring of a file, or None without one; raises `KeyFileError`."""
    return None if path is None else KeyRing.load(path)


def new_key(name: str) -> tuple[str, str]:
    """A fresh key, and the line of the file that knows it."""
    key = secrets.token_urlsafe(32)
    return key, f"{name} {hashlib.sha256(key.encode()).hexdigest()}"


class ApiKeyMiddleware:
    """Middleware that refuses a request without a known key, before anything else looks at it."""

    def __init__(self, app: ASGIApp, ring: Callable[[], KeyRing | None]) -> None:
        self.app = app
        self.ring = ring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of any ASGI kind; only HTTP is checked."""
        ring = self.ring()
        if scope["type"] == "http" and ring is not None and not _FREE.fullmatch(scope["path"]):
            caller = ring.whose(_offered(Headers(scope=scope)))
            if caller is None:
                refusal = NoKey(NoKey.meaning, headers={"WWW-Authenticate": "Bearer", "Connection": "close"})
                await problem_response_for(refusal, scope)(scope, receive, send)
                return
            scope["state"]["caller"] = caller
        await self.app(scope, receive, send)


def _offered(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
