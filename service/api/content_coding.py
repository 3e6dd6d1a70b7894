"""Decompresses uploads that come with `Content-Encoding: gzip` or `deflate` (RFC 9110, 8.4)."""

import asyncio
import zlib

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from service.errors import MalformedRequest, UnsupportedEncoding, UploadTooLarge

MAX_RATIO = 100  # of the decompressed to the compressed bytes; speckle compresses to no less than half
_FREE = 2**20  # decompressed bytes that have no limit on the ratio
_STEP = 2**20  # bytes that are decompressed at once, in a thread
_MAX_MEMBERS = 10_000
_GZIP, _ZLIB, _RAW = 31, 15, -15  # values of `wbits`


def decoded(headers: Headers, receive: Receive) -> Receive:
    """Return a `receive` that gives the decompressed body; `receive` itself for a body that is not compressed.

    Raises `UnsupportedEncoding`.
    """
    codings = [coding.strip().lower() for coding in ",".join(headers.getlist("content-encoding")).split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if not codings:
        return receive
    if len(codings) > 1 or codings[0] not in ("gzip", "x-gzip", "deflate"):
        accepted = {"Accept-Encoding": "gzip, deflate"}
        raise UnsupportedEncoding("The body's `Content-Encoding` is neither gzip nor deflate.", headers=accepted)
    return _DecodedBody(receive, is_gzip=codings[0] != "deflate")


class _DecodedBody:
    """A `receive` that decompresses the body of another one, never more than a step ahead of its reader."""

    def __init__(self, receive: Receive, *, is_gzip: bool) -> None:
        self._receive = receive
        self._is_gzip = is_gzip
        self._decompressor = zlib.decompressobj(_GZIP) if is_gzip else None
        self._input = b""
        self._more = True
        self._ended = False
        self._received = self._produced = self._members = 0

    async def __call__(self) -> Message:
        """Return the next part of the decompressed body, or the message that the client has left.

        Raises `MalformedRequest` or `UploadTooLarge`.
        """
        while not self._ended:
            if self._more and not self._input:
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._input, self._more = message.get("body", b""), message.get("more_body", False)
                self._received += len(self._input)
            output = await asyncio.to_thread(self._step)
            self._produced += len(output)
            if self._produced > _FREE + MAX_RATIO * self._received:
                reason = f"The upload expands to more than {MAX_RATIO} times its compressed size."
                raise UploadTooLarge(reason, headers={"Connection": "close"})
            self._ended = not (self._more or self._input or output)
            if output or self._ended:
                self._check_end()
                return {"type": "http.request", "body": output, "more_body": not self._ended}
        return await self._receive()

    def _step(self) -> bytes:
        """Decompress at most `_STEP` bytes."""
        if self._decompressor is None:
            if not self._input:
                return b""
            # The name means the zlib format; some clients send the bare stream inside it.
            is_zlib = self._input[0] & 0x0F == zlib.DEFLATED
            self._decompressor = zlib.decompressobj(_ZLIB if is_zlib else _RAW)
        try:
            output = self._decompressor.decompress(self._input, _STEP)
        except zlib.error:
            raise MalformedRequest("The body is not what its `Content-Encoding` says.") from None
        self._input = self._decompressor.unconsumed_tail
        if self._decompressor.eof:
            self._input = self._decompressor.unused_data.lstrip(b"\0")  # padding
            if self._input:
                self._next_member()
        return output

    def _next_member(self) -> None:
        self._members += 1
        if not self._is_gzip or self._members > _MAX_MEMBERS:
            raise MalformedRequest("Bytes follow the end of the compressed body.")
        self._decompressor = zlib.decompressobj(_GZIP)

    def _check_end(self) -> None:
        complete = self._decompressor is None or self._decompressor.eof
        if self._ended and self._received and not complete:
            raise MalformedRequest("The compressed body is cut short.")
