"""Check the chunks of a WebP and count its frames; the decoder allocates the canvas as soon as it opens a file."""

import struct
from collections.abc import Iterator

from service.errors import UnreadableFrame

_MAX_CHUNKS = 100_000
_START = 12  # bytes of the RIFF header
_FRAME = b"ANMF"

# The chunks that decide pixels, frames or orientation; RFC 9649, section 2.
_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", _FRAME, b"EXIF"}


def check_webp(data: bytes) -> tuple[bytes, int]:
    """Return a WebP without the chunks that no pixel depends on, and the number of its frames.

    Raises
    ------
    UnreadableFrame
        A chunk is longer than the file, or there are too many.
    """
    kept = list[bytes]()
    frames = 0
    for number, (kind, chunk) in enumerate(_chunks(data)):
        if number > _MAX_CHUNKS:
            raise UnreadableFrame(f"The WebP has more than {_MAX_CHUNKS} chunks.")
        frames += kind == _FRAME
        if kind in _KEPT:
            kept.append(chunk)
    body = b"".join(kept)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body, max(1, frames)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type of each chunk, and the chunk with its length and padding."""
    (size,) = struct.unpack_from("<I", data, 4)
    at, last = _START, min(len(data), 8 + size)
    while at + 8 <= last:
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length
        if end > last:
            raise UnreadableFrame("The WebP is damaged or cut short: a chunk is longer than the rest of the file.")
        yield kind, data[at:end] + bytes(length % 2)
        at = end + length % 2
