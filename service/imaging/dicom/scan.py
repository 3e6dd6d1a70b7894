"""Where the parts of a DICOM object lie, found without reading them, and before anything is built from them.

A parser that builds an object for each element can be fed millions of empty ones, or sequences nested a thousand deep.
This walk (PS3.5, section 7) only steps from element to element, counts its steps, and ends at the pixel data.
"""

import mmap
import struct
import zlib
from dataclasses import dataclass

from service.errors import FrameTooLarge, UnreadableFrame, UnsupportedFormat

Data = bytes | mmap.mmap

IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFF_FFFF

_TRANSFER_SYNTAX, _REGIONS, _PIXELS = 0x0002_0010, 0x0018_6011, 0x7FE0_0010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_SHORT = {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL",
          b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}  # fmt: skip
_MAX_STEPS = 50_000  # elements, of all depths; scanners write some hundreds
_MAX_DEPTH = 16
_PREAMBLE = 128


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """A DICOM object laid open.

    Attributes
    ----------
    data
        The bytes that the offsets count in: the object's own, or what a deflated one inflates to.
    transfer_syntax
        Its UID, as the file says or, where it has no file meta information, as its first element shows.
    explicit, little
        How the elements of the data set are written: with their VR, in little-endian order.
    start
        Where the data set begins.
    header_end
        Where its pixel data element begins; the end of the data where there is none.
    pixels
        Where the pixel data's value begins; None where there is none.
    pixels_length
        Its length in bytes, `UNDEFINED` where it is encapsulated.
    pixels_vr
        Its value representation; empty where VRs are implicit.
    """

    data: Data
    transfer_syntax: str
    explicit: bool
    little: bool
    start: int
    header_end: int = 0
    pixels: int | None = None
    pixels_length: int = 0
    pixels_vr: bytes = b""


def is_dicom(data: Data) -> bool:
    """Whether bytes are DICOM: by the prefix of PS3.10, or, without a preamble, by a first element of group 2 or 8."""
    if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" or data[:4] == b"DICM":
        return True
    return _bare_encoding(data, 0) is not None


def scan_layout(data: Data, max_bytes: int) -> DatasetLayout:
    """Find the parts of a DICOM object.

    Parameters
    ----------
    data
        The whole file, with or without preamble and file meta information.
    max_bytes
        The most that a deflated object may inflate to.

    Raises
    ------
    UnreadableFrame
        An element is cut short or has no sense; there are too many or they are nested too deep.
    UnsupportedFormat
        The transfer syntax is not named, and the bytes do not show it.
    FrameTooLarge
        A deflated object inflates to more than `max_bytes`.
    """
    try:
        found = _begin(data)
        if found.transfer_syntax == DEFLATED:
            found = DatasetLayout(_inflate(data[found.start :], max_bytes), DEFLATED, True, True, 0)
        return _Walk(found).to_pixels()
    except (struct.error, IndexError) as error:
        raise UnreadableFrame("The DICOM is cut short within an element.") from error


def _begin(data: Data) -> DatasetLayout:
    magic = _PREAMBLE if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" else 0
    at = magic + 4 if data[magic : magic + 4] == b"DICM" else 0
    syntax, start = _read_meta(data, at)
    if syntax is not None:
        return DatasetLayout(data, syntax, syntax != IMPLICIT_LITTLE, syntax != EXPLICIT_BIG, start)
    bare = _bare_encoding(data, start)
    if bare is None:
        raise UnsupportedFormat("The DICOM names no transfer syntax.")
    explicit, little = bare
    return DatasetLayout(data, {(True, True): EXPLICIT_LITTLE, (True, False): EXPLICIT_BIG}.get(bare, IMPLICIT_LITTLE),
                     explicit, little, start)  # fmt: skip


def _read_meta(data: Data, at: int) -> tuple[str | None, int]:
    """The transfer syntax of the file meta information at `at`, and where that ends."""
    walk, syntax = _Walk(DatasetLayout(data, EXPLICIT_LITTLE, True, True, at)), None
    while data[at : at + 2] == b"\x02\x00":
        tag, _, value, length = walk.element(at)
        at = value + length
        if tag == _TRANSFER_SYNTAX:
            syntax = data[value:at].rstrip(b"\0 ").decode("ascii", "replace")
    return syntax, at


def _bare_encoding(data: Data, at: int) -> tuple[bool, bool] | None:
    """Explicit and little, by the first element of a data set (of group 2 or 8); None where it looks like none."""
    head = data[at : at + 8]
    if len(head) < 8:
        return None
    explicit = head[4:6] in _SHORT or head[4:6] in _LONG
    if head[:2] in (b"\x08\x00", b"\x02\x00") and head[3] == 0:
        plausible = explicit or int.from_bytes(head[4:8], "little") <= 64  # of the first, a UID is the longest
        return (explicit, True) if plausible else None
    return (True, False) if head[:3] == b"\x00\x08\x00" and explicit else None


def _inflate(deflated: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(deflated, max_bytes + 1)
    except zlib.error as error:
        raise UnreadableFrame("The deflated DICOM is damaged.") from error
    if len(data) > max_bytes:
        raise FrameTooLarge(f"The deflated DICOM inflates to more than the limit of {max_bytes} bytes.")
    return data


class _Walk:
    """Steps through elements, each costing one of a limited number of steps."""

    def __init__(self, structure: DatasetLayout) -> None:
        self.structure = structure
        self.steps = 0
        self._integers = struct.Struct("<HHI" if structure.little else ">HHI")
        self._length = struct.Struct("<I" if structure.little else ">I")
        self._short_length = struct.Struct("<H" if structure.little else ">H")

    def to_pixels(self) -> DatasetLayout:
        data, at = self.structure.data, self.structure.start
        plain = (data, self.structure.transfer_syntax, self.structure.explicit, self.structure.little, at)
        while at < len(data):
            tag, vr, value, length = self.element(at)
            if tag == _PIXELS:
                return DatasetLayout(*plain, header_end=at, pixels=value, pixels_length=length, pixels_vr=vr)
            if tag > _PIXELS:
                break
            at = self._skip(tag, vr, value, length, 0)
        return DatasetLayout(*plain, header_end=min(at, len(data)))

    def element(self, at: int) -> tuple[int, bytes, int, int]:
        """Tag, VR (empty where implicit), where the value begins, and its length; that it is all there is checked."""
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise UnreadableFrame(f"The DICOM has more than {_MAX_STEPS} elements.")
        data = self.structure.data
        group, number, length = self._integers.unpack_from(data, at)
        tag, vr, value = group << 16 | number, b"", at + 8
        if self.structure.explicit and group != 0xFFFE:
            vr = data[at + 4 : at + 6]
            if vr in _LONG:
                (length,), value = self._length.unpack_from(data, at + 8), at + 12
            elif vr in _SHORT:
                (length,) = self._short_length.unpack_from(data, at + 6)
            else:
                raise UnreadableFrame("The DICOM has an element of no known value representation.")
        if length != UNDEFINED and tag != _PIXELS and value + length > len(data):
            raise UnreadableFrame("The DICOM is cut short within an element.")
        return tag, vr, value, length

    def _skip(self, tag: int, vr: bytes, value: int, length: int, depth: int) -> int:
        """Where the element ends. Sequences are entered where their length is undefined, or they will be read."""
        if length != UNDEFINED and tag != _REGIONS:
            return value + length
        if depth >= _MAX_DEPTH:
            raise UnreadableFrame(f"The DICOM nests sequences deeper than {_MAX_DEPTH}.")
        if vr == b"UN":  # always written with implicit VRs (PS3.5, 6.2.2, note 2)
            walk = _Walk(DatasetLayout(self.structure.data, IMPLICIT_LITTLE, False, True, value))
            walk.steps = self.steps
            end = walk._items(value, len(self.structure.data), depth)
            self.steps = walk.steps
            return end
        return self._items(value, value + length if length != UNDEFINED else len(self.structure.data), depth)

    def _items(self, at: int, end: int, depth: int) -> int:
        while at < end:
            tag, _, value, length = self.element(at)
            if tag == _SEQUENCE_END:
                return value
            if tag != _ITEM:
                raise UnreadableFrame("The DICOM has a sequence that holds something other than items.")
            at = self._item(value, value + length if length != UNDEFINED else end, depth)
        return at

    def _item(self, at: int, end: int, depth: int) -> int:
        while at < end:
            tag, vr, value, length = self.element(at)
            if tag == _ITEM_END:
                return value
            at = self._skip(tag, vr, value, length, depth + 1)
        return at
