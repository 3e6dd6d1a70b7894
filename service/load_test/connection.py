"""A minimal HTTP/1.1 client: one kept-alive connection, one request at a time.

A full client needs more CPU per request than the service does, and would measure itself.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit


class Target(NamedTuple):
    """The endpoint under load: the parts of a plain `http` URL, and further headers such as that of the API key."""

    host: str
    port: int
    path: str  # with the query
    headers: Mapping[str, str] = {}

    @classmethod
    def parse(cls, url: str, headers: Mapping[str, str] | None = None) -> "Target":
        """Parse a URL; raises `ValueError` unless its scheme is `http`."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url} is not a URL that begins with http://")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname, parts.port or 80, path, headers or {})

    @property
    def is_local(self) -> bool:
        """Whether the host is this machine by its loopback address."""
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return self.host == "localhost"

    def request(self, frame: bytes) -> bytes:
        """Return the bytes of a POST request with one frame."""
        headers = {"Host": f"{self.host}:{self.port}", "Content-Length": str(len(frame)), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + frame


class Connection:
    """One connection. It opens with the first request, and again after the other side closed it."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.retry_after_s = 0.0  # seconds to wait before the next request, as the last reply asks

    async def send(self, request: bytes) -> int:
        """Send a request, read the whole reply, and return its status; 0 without a reply."""
        self.retry_after_s = 0.0
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send(request)
        except (OSError, EOFError, ValueError, TimeoutError):
            self.close()
            return 0

    def close(self) -> None:
        """Close the connection if it is open."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _send(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._target.host, self._target.port)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while length := int((await reader.readline()).split(b";")[0], 16):
                await reader.readexactly(length + 2)
            await reader.readline()
        else:
            await reader.readexactly(int(headers.get("content-length", "0")))
        retry_after = headers.get("retry-after", "")
        self.retry_after_s = float(retry_after) if retry_after.isdecimal() else 0.0
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(head[0].split()[1])
