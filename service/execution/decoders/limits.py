"""The limits of a decoder process."""

import math
from typing import NamedTuple

from service.imaging.frame import Limits

BYTES_PER_PIXEL = 28
"""Memory that decoding takes for each pixel of the largest frame that the header names: the 25.5 bytes of an animated
WebP, the hungriest format (`bench.decoder_memory`), and a tenth more."""
ALLOWANCE = 32 * 2**20
"""Bytes that any file may take beyond that: tables, metadata, and what the allocator keeps."""
LARGE = 64 * 2**20
"""Files and frames that need more bytes than this beyond the allowance are decoded one after the other."""
KEPT = 16 * 2**20
"""Bytes that a decoder may keep when it has no file open; one that keeps more ends, and another one starts."""
COPIES_OF_FILE = 3
"""Copies of the file in the decoder: the upload, its checked parts, and the decoder's own."""


class DecoderLimits(NamedTuple):
    """What one decoder process may use.

    Attributes
    ----------
    max_bytes
        Of an upload.
    max_pixels
        Of a frame.
    cpu_s
        CPU seconds for one frame.
    allowance
        Bytes of memory that any file may take, whatever its header says.
    """

    max_bytes: int
    max_pixels: int
    cpu_s: float = 10
    allowance: int = ALLOWANCE

    @property
    def file(self) -> Limits:
        """The limits on a file."""
        return Limits(self.max_bytes, self.max_pixels)

    @property
    def memory(self) -> int:
        """The bytes that the largest permitted file may take in the decoder, beyond those of an idle one."""
        return self.allowance + COPIES_OF_FILE * self.max_bytes + frame_bytes(self.max_pixels)

    @property
    def wall_s(self) -> float:
        """Seconds after which a decoder is taken for hung: it also waits for a core, at the lowest priority."""
        return 3 * math.ceil(self.cpu_s)


def frame_bytes(pixels: int) -> int:
    """Return the bytes that decoding a frame with this number of pixels takes."""
    return BYTES_PER_PIXEL * pixels
