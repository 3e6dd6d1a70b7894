"""Static files of the browser pages: read once, served from memory with an ETag."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fastapi import Request, Response

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-cache",  # browsers keep the file and ask each time, so page and service never differ
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Asset(NamedTuple):
    """A file and its headers."""

    content: bytes
    media_type: str
    etag: str

    def reply(self, request: Request, policy: str) -> Response:
        """Return the file under a Content-Security-Policy, or 304 when the browser holds it already."""
        headers = _HEADERS | {"Content-Security-Policy": policy, "ETag": self.etag}
        held = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if held & {self.etag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)


def read_assets(paths: Iterable[Path]) -> dict[str, Asset]:
    """Return the files of known media types by name."""
    return {path.name: _read(path) for path in paths if path.suffix in _MEDIA_TYPES}


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, _MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
