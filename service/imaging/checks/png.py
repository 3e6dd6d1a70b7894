"""Check the chunks of a PNG, and keep those that decide its pixels."""

import struct
from collections.abc import Iterator

from service.errors import UnreadableFrame

_MAX_CHUNKS = 100_000  # an encoder writes an IDAT chunk for every 8 KiB or more

# Chunks that decide pixels, frames or orientation; PNG specification, third edition, table 4.
_PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf"}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def check_png(data: bytes) -> bytes:
    """Return a PNG without the chunks that no pixel depends on.

    Raises
    ------
    UnreadableFrame
        A chunk is longer than the file, the header is missing or not the only one, or there are too many chunks.
    """
    kept = [_SIGNATURE]
    for number, (kind, chunk) in enumerate(_png_chunks(data)):
        if (kind == b"IHDR") != (number == 0):
            raise UnreadableFrame("The PNG must have one header (IHDR), as its first chunk.")
        if number > _MAX_CHUNKS:
            raise UnreadableFrame(f"The PNG has more than {_MAX_CHUNKS} chunks.")
        if kind in _PNG_KEPT:
            kept.append(chunk)
        if kind == b"IEND":
            break
    return b"".join(kept)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type of each chunk, and the chunk with its length and checksum."""
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise UnreadableFrame("The PNG is damaged or cut short: a chunk is longer than the rest of the file.")
        yield kind, data[at:end]
        at = end
