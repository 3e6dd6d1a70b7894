"""Cut the bytes of one frame out of the pixel data, without reading the other frames (PS3.5, A.4).

`pydicom.encaps` does the same without a limit on the number of fragments, and once per frame; see the ADR on the scan.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise

from service.errors import UnreadableFrame
from service.imaging.dicom.scan import UNDEFINED, Data, DatasetLayout

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_MAX_FRAGMENTS = 200_000
_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51")  # of a JPEG or JPEG-LS codestream; of a JPEG 2000 codestream


@dataclass(frozen=True, slots=True)
class Fragment:
    """The value of an item of the pixel data: offsets `start` and, exclusive, `end` in the object."""

    start: int
    end: int


def native_frame(layout: DatasetLayout, index: int, count: int, length: int) -> bytes:
    """Return frame `index` of uncompressed pixel data, in little-endian order; each frame has `length` bytes.

    Raises UnreadableFrame where the pixel data are encapsulated, or too short for the `count` frames in the header.
    """
    begin, data = layout.pixels or 0, layout.data
    if layout.pixels_length == UNDEFINED:
        raise UnreadableFrame("The pixel data are encapsulated, but the transfer syntax is uncompressed.")
    available = min(layout.pixels_length, len(data) - begin)
    if available < length * count:
        raise UnreadableFrame(f"The pixel data have {available} bytes, too few for the {count} frames in the header.")
    first = index * length
    if layout.little or layout.pixels_vr != b"OW":
        return data[begin + first : begin + first + length]
    # Big-endian OW: 16-bit words are swapped from the first byte of the value on, also where a pixel has 8 bits. A
    # frame of an odd length begins in the middle of a word.
    even = first & ~1
    words = bytearray(data[begin + even : begin + min(first + length + 1 & ~1, available)])
    words[0:-1:2], words[1::2] = words[1::2], words[0:-1:2]
    return bytes(words[first - even : first - even + length])


def encapsulated_frames(layout: DatasetLayout, count: int) -> list[list[Fragment]]:
    """Return the fragments of each of the `count` frames of encapsulated pixel data, in order.

    As many fragments as frames: each is a frame. More fragments: the basic offset table gives the first fragment of
    each frame; where it is missing or wrong, every fragment that begins with a codestream begins a frame.

    Raises UnreadableFrame where the pixel data are not encapsulated, are cut short, or have fewer frames.
    """
    if layout.pixels_length != UNDEFINED:
        raise UnreadableFrame("The pixel data are not encapsulated, but the transfer syntax is compressed.")
    data = layout.data
    try:
        offsets, fragments = _scan(data, layout.pixels or 0)
    except struct.error as error:
        raise UnreadableFrame("The encapsulated pixel data are cut short.") from error
    if count == 1:
        if not fragments:
            raise UnreadableFrame("The encapsulated pixel data have no fragments.")
        return [fragments]
    if len(fragments) < count:
        raise UnreadableFrame(
            f"The pixel data have {len(fragments)} fragments, too few for the {count} frames in the header."
        )
    if len(fragments) == count:
        return [[part] for part in fragments]
    starts = _by_offsets(offsets, fragments, count) or [
        number for number, part in enumerate(fragments) if data[part.start : part.start + 4].startswith(_STARTS)
    ]
    if len(starts) != count:
        raise UnreadableFrame(f"The fragments of the pixel data do not form the {count} frames in the header.")
    return [fragments[first:last] for first, last in pairwise([*starts, len(fragments)])]


def join(layout: DatasetLayout, parts: list[Fragment]) -> bytes:
    """Return the bytes of one frame."""
    return b"".join(layout.data[part.start : part.end] for part in parts)


def _scan(data: Data, at: int) -> tuple[list[int], list[Fragment]]:
    """Return the basic offset table and every fragment; reads the headers of the items only."""
    table = _item(data, at)
    if table is None:
        raise UnreadableFrame("The encapsulated pixel data have no items.")
    offsets = [offset for (offset,) in struct.iter_unpack("<I", data[table.start : table.end])]
    fragments: list[Fragment] = []
    at = table.end
    while (part := _item(data, at)) is not None:
        fragments.append(part)
        at = part.end
        if len(fragments) > _MAX_FRAGMENTS:
            raise UnreadableFrame(f"The pixel data have more than {_MAX_FRAGMENTS} fragments.")
    return offsets, fragments


def _item(data: Data, at: int) -> Fragment | None:
    tag = data[at : at + 4]
    (length,) = struct.unpack_from("<I", data, at + 4)
    if tag == _END:
        return None
    if tag != _ITEM or length == UNDEFINED or at + 8 + length > len(data):
        raise UnreadableFrame("The encapsulated pixel data are damaged or cut short.")
    return Fragment(at + 8, at + 8 + length)


def _by_offsets(offsets: list[int], fragments: list[Fragment], count: int) -> list[int] | None:
    """Return the index of the first fragment of each frame by the offset table; None where the table is wrong."""
    # Offsets count from the first byte of the first fragment's item tag (PS3.5, A.4).
    by_offset = {part.start - fragments[0].start: number for number, part in enumerate(fragments)}
    starts = [by_offset.get(offset, -1) for offset in offsets]
    valid = len(starts) == count and starts[0] == 0 and all(a < b for a, b in pairwise(starts))
    return starts if valid else None
