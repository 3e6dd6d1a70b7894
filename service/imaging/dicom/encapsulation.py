"""The bytes of one frame of the pixel data: cut out without looking at those of the others (PS3.5, annex A.4)."""

import struct
from dataclasses import dataclass
from itertools import pairwise

from service.errors import UnreadableFrame
from service.imaging.dicom.scan import UNDEFINED, Data, DatasetLayout

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_MAX_FRAGMENTS = 200_000
_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51")  # of a JPEG or JPEG-LS, of a JPEG 2000


@dataclass(frozen=True, slots=True)
class Fragment:
    """The content of an item of the pixel data: from `start` up to `end`, in bytes of the object."""

    start: int
    end: int


def native_frame(structure: DatasetLayout, index: int, count: int, length: int) -> bytes:
    """Frame `index` of uncompressed pixel data whose frames have `length` bytes each, as a little-endian file has them.

    Raises
    ------
    UnreadableFrame
        The pixel data are encapsulated, or too short for the `count` frames that the header claims.
    """
    begin, data = structure.pixels or 0, structure.data
    if structure.pixels_length == UNDEFINED:
        raise UnreadableFrame("The pixel data are encapsulated, but the transfer syntax is an uncompressed one.")
    available = min(structure.pixels_length, len(data) - begin)
    if available < length * count:
        raise UnreadableFrame(f"The pixel data have {available} bytes; the header's {count} frames need more.")
    first = index * length
    if structure.little or structure.pixels_vr != b"OW":
        return data[begin + first : begin + first + length]
    # Words are swapped from the value's first byte on, whatever the pixels' own width is.
    even = first & ~1
    words = bytearray(data[begin + even : begin + min(first + length + 1 & ~1, available)])
    words[0:-1:2], words[1::2] = words[1::2], words[0:-1:2]
    return bytes(words[first - even : first - even + length])


def encapsulated_frames(structure: DatasetLayout, count: int) -> list[list[Fragment]]:
    """Where each of the `count` frames of encapsulated pixel data lies: its fragments, in order.

    Told by the basic offset table; without one by the fragments, of which each is a frame or, where there are more than
    frames, begins one wherever a codestream begins.

    Raises
    ------
    UnreadableFrame
        The pixel data are not encapsulated, are cut short, or have fewer frames than the header claims.
    """
    if structure.pixels_length != UNDEFINED:
        raise UnreadableFrame("The pixel data are not encapsulated, but the transfer syntax is a compressed one.")
    data = structure.data
    try:
        offsets, fragments = _scan(data, structure.pixels or 0)
    except struct.error as error:
        raise UnreadableFrame("The encapsulated pixel data are cut short.") from error
    return _frames(data, offsets, fragments, count)


def join(structure: DatasetLayout, parts: list[Fragment]) -> bytes:
    """The bytes of one frame."""
    return b"".join(structure.data[part.start : part.end] for part in parts)


def _scan(data: Data, at: int) -> tuple[list[int], list[Fragment]]:
    """The basic offset table, and every fragment: by the items' headers alone."""
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


def _frames(data: Data, offsets: list[int], fragments: list[Fragment], count: int) -> list[list[Fragment]]:
    if count == 1:
        return [_not_empty(fragments)]
    if len(fragments) < count:
        raise UnreadableFrame(f"The pixel data have {len(fragments)} fragments; the header claims {count} frames.")
    if len(fragments) == count:
        return [[part] for part in fragments]
    starts = _by_offsets(offsets, fragments, count) or [
        number for number, part in enumerate(fragments) if data[part.start : part.start + 4].startswith(_STARTS)
    ]
    if len(starts) != count:
        raise UnreadableFrame(f"The fragments of the pixel data do not make up the {count} frames of the header.")
    return [fragments[first:last] for first, last in pairwise([*starts, len(fragments)])]


def _not_empty(fragments: list[Fragment]) -> list[Fragment]:
    if not fragments:
        raise UnreadableFrame("The encapsulated pixel data have no fragments.")
    return fragments


def _by_offsets(offsets: list[int], fragments: list[Fragment], count: int) -> list[int] | None:
    """The number of the first fragment of each frame, by the offset table; None where that leads elsewhere."""
    base = fragments[0].start - 8
    by_offset = {part.start - 8 - base: number for number, part in enumerate(fragments)}
    starts = [by_offset.get(offset, -1) for offset in offsets]
    sound = len(starts) == count and starts[0] == 0 and all(a < b for a, b in pairwise(starts))
    return starts if sound else None
