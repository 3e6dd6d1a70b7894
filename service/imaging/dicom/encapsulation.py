"""Cut the bytes of one frame out of the pixel data, without reading the other frames (PS3.5, A.4).

Number of Frames may be missing, zero or too small: the frames that are stored count. `pydicom.encaps` has no limit on
the number of fragments, and reads them once per frame; see the ADR on the scan.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise

from service.errors import UnreadableFrame, UploadTooLarge
from service.imaging.dicom.dataset.elements import UNDEFINED, Data, Element
from service.imaging.dicom.scan import DatasetLayout

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_MAX_FRAGMENTS = 200_000
# Of a JPEG or JPEG-LS codestream; of a JPEG 2000 codestream, bare or in boxes.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")


@dataclass(frozen=True, slots=True)
class Fragment:
    """The value of an item of the pixel data: offsets `start` and, exclusive, `end` in the object."""

    start: int
    end: int


def available_bytes(layout: DatasetLayout) -> int:
    """Return the number of bytes of uncompressed pixel data; raise UnreadableFrame where they are encapsulated."""
    pixels = _pixels(layout)
    if pixels.length == UNDEFINED:
        raise UnreadableFrame("The pixel data are encapsulated, but the transfer syntax is uncompressed.")
    return min(pixels.length, len(layout.data) - pixels.start)


def native_count(layout: DatasetLayout, declared: int, length: int) -> int:
    """Return the number of frames of uncompressed pixel data; each frame has `length` bytes.

    More frames than declared count where they fill the pixel data, up to a byte of padding.

    Raises UnreadableFrame where the pixel data are too short for the declared frames.
    """
    available, declared = available_bytes(layout), max(1, declared)
    if available < length * declared:
        raise UnreadableFrame(
            f"The pixel data have {available} bytes, too few for the {declared} frames in the header."
        )
    stored, rest = divmod(available, length)
    return stored if rest <= 1 else declared


def native_frame(layout: DatasetLayout, index: int, length: int) -> bytes:
    """Return frame `index` of uncompressed pixel data, in little-endian order; each frame has `length` bytes."""
    pixels, data = _pixels(layout), layout.data
    begin, first = pixels.start, index * length
    if layout.walk.little or pixels.vr != b"OW":
        return data[begin + first : begin + first + length]
    # Big-endian OW: 16-bit words are swapped from the first byte of the value on, also where a pixel has 8 bits. A
    # frame of an odd length begins in the middle of a word.
    even = first & ~1
    words = bytearray(data[begin + even : begin + min(first + length + 1 & ~1, available_bytes(layout))])
    words[0:-1:2], words[1::2] = words[1::2], words[0:-1:2]
    return bytes(words[first - even : first - even + length])


def encapsulated_frames(layout: DatasetLayout, declared: int) -> list[list[Fragment]]:
    """Return the fragments of each frame of encapsulated pixel data, in order.

    As many fragments as declared frames: each is a frame. Otherwise the basic offset table gives the first fragment of
    each frame; where it is missing or wrong, every fragment that begins with a codestream begins a frame.

    Raises UnreadableFrame where the pixel data are not encapsulated, are cut short, or have fewer frames than declared.
    """
    pixels, data = _pixels(layout), layout.data
    if pixels.length != UNDEFINED:
        raise UnreadableFrame("The pixel data are not encapsulated, but the transfer syntax is compressed.")
    offsets, fragments = _scan(data, pixels.start)
    if not fragments:
        raise UnreadableFrame("The encapsulated pixel data have no fragments.")
    if len(fragments) == declared:
        return [[part] for part in fragments]
    starts = _starts(data, offsets, fragments, declared)
    if len(starts) < declared:
        raise UnreadableFrame(
            f"The {len(fragments)} fragments of the pixel data do not form the {declared} frames in the header."
        )
    return [fragments[first:last] for first, last in pairwise([*starts, len(fragments)])]


def encapsulated_stream(layout: DatasetLayout, max_bytes: int) -> bytes:
    """Return the fragments of encapsulated pixel data as one stream, as a video is stored (PS3.5, A.4.5 and later).

    Raises UnreadableFrame where the pixel data are not encapsulated or are cut short, UploadTooLarge where they have
    more than `max_bytes`.
    """
    pixels = _pixels(layout)
    if pixels.length != UNDEFINED:
        raise UnreadableFrame("The pixel data are not encapsulated, but the transfer syntax is that of a video.")
    _, fragments = _scan(layout.data, pixels.start)
    length = sum(part.end - part.start for part in fragments)
    if length > max_bytes:
        raise UploadTooLarge(f"The video in the DICOM object has {length} bytes; the limit is {max_bytes} bytes.")
    return join(layout, fragments)


def join(layout: DatasetLayout, parts: list[Fragment]) -> bytes:
    """Return the bytes of one frame."""
    return b"".join(layout.data[part.start : part.end] for part in parts)


def _pixels(layout: DatasetLayout) -> Element:
    assert layout.pixels is not None  # `read_header` has refused an object without
    return layout.pixels


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
    """Return the fragment at `at`; None where the pixel data end: with a delimiter, zeros, or the end of the data."""
    tag = data[at : at + 4]
    if tag in (_END, b"\0\0\0\0") or at + 8 > len(data):
        return None
    (length,) = struct.unpack_from("<I", data, at + 4)
    if tag != _ITEM or at + 8 + length > len(data):
        raise UnreadableFrame("The encapsulated pixel data are damaged or cut short.")
    return Fragment(at + 8, at + 8 + length)


def _starts(data: Data, offsets: list[int], fragments: list[Fragment], declared: int) -> list[int]:
    """Return the index of the first fragment of each frame; one frame where nothing says where frames begin."""
    # Offsets count from the first byte of the first fragment's item tag (PS3.5, A.4).
    by_offset = {part.start - fragments[0].start: number for number, part in enumerate(fragments)}
    table = [by_offset.get(offset, -1) for offset in offsets]
    if len(table) >= max(1, declared) and table[0] == 0 and all(a < b for a, b in pairwise(table)):
        return table
    starts = [number for number, part in enumerate(fragments) if _is_start(bytes(data[part.start : part.start + 8]))]
    return starts if starts[:1] == [0] else [0]


def _is_start(head: bytes) -> bool:
    # RLE has the number of its segments, at most 15, and then the offset of the first, which is 64.
    return head.startswith(_STARTS) or (0 < int.from_bytes(head[:4], "little") < 16 and head[4:8] == b"\x40\0\0\0")
