"""The marker segments at the head of a JPEG or JPEG-LS (ITU-T T.81, annex B)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from service.errors import UnreadableFrame

SOI = b"\xff\xd8"
DHT, SOS, DRI = 0xC4, 0xDA, 0xDD
LOSSLESS, EXTENDED, JPEG_LS_SOF = 0xC3, 0xC1, 0xF7

_SOF_SKIP = {DHT, 0xC8, 0xCC}  # markers in the range of SOF that are not SOF: DHT, JPG, DAC
_MAX_SEGMENTS = 1000  # encoders write about 10


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker, its body, and the offset of its end in the codestream."""

    marker: int
    body: bytes
    end: int

    @property
    def is_frame(self) -> bool:
        """Whether it is a frame header: an SOF of T.81, or that of JPEG-LS."""
        return self.marker == JPEG_LS_SOF or (0xC0 <= self.marker <= 0xCF and self.marker not in _SOF_SKIP)


def segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments in order. Only those up to the first scan header are reliable: coded data follow it."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if data[:2] != SOI or at + 4 > len(data) or data[at] != 0xFF:
            return
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + length
        yield Segment(marker, data[at + 4 : end], end)
        at = end
    raise UnreadableFrame(f"The JPEG has more than {_MAX_SEGMENTS} segments.")
