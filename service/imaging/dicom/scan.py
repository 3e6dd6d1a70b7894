"""Find where the parts of a DICOM object are, before a parser builds anything from them.

A parser that builds an object per element can be fed millions of empty elements, or sequences nested a thousand deep.
This walk (PS3.5, section 7) only steps from element to element, counts its steps, and ends at the pixel data. After it,
the header is known to be small enough for pydicom.
"""

import mmap
import struct
import zlib
from dataclasses import dataclass, replace

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
_MAX_STEPS = 50_000  # elements at all depths; scanners write some hundreds
_MAX_DEPTH = 16
_PREAMBLE = 128


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """Where the parts of a DICOM object are, as offsets in `data`."""

    data: Data  # the bytes of the file, or the inflated data set of a deflated one
    transfer_syntax: str  # UID in the file meta information; without it, the UID that the first element implies
    explicit: bool  # the elements carry their VR
    little: bool  # the elements are little-endian
    start: int  # of the data set
    header_end: int = 0  # the pixel data element; the end of the data where there is none
    pixels: int | None = None  # the pixel data's value; None where there are no pixel data
    pixels_length: int = 0  # of the value in bytes; `UNDEFINED` where it is encapsulated
    pixels_vr: bytes = b""  # empty where VRs are implicit


def is_dicom(data: Data) -> bool:
    """Return whether `data` is DICOM: it has the prefix of PS3.10, or it starts with an element of group 2 or 8."""
    if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" or data[:4] == b"DICM":
        return True
    return _bare_encoding(data, 0) is not None


def scan_layout(data: Data, max_bytes: int) -> DatasetLayout:
    """Find the parts of a DICOM object, with or without preamble and file meta information.

    Raises
    ------
    UnreadableFrame
        An element is cut short or invalid, there are too many elements, or sequences are nested too deep.
    UnsupportedFormat
        The transfer syntax is missing, and the first element does not imply it.
    FrameTooLarge
        A deflated object inflates to more than `max_bytes`.
    """
    try:
        found = _begin(data)
        if found.transfer_syntax == DEFLATED:
            found = DatasetLayout(_inflate(data[found.start :], max_bytes), DEFLATED, True, True, 0)
        return _Walk(found).to_pixels()
    except (struct.error, IndexError) as error:
        raise UnreadableFrame("The DICOM object is cut short within an element.") from error


def _begin(data: Data) -> DatasetLayout:
    # PS3.10, 7.1: 128 bytes of preamble, then `DICM`; some files lack the preamble, or both.
    magic = _PREAMBLE if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" else 0
    at = magic + 4 if data[magic : magic + 4] == b"DICM" else 0
    syntax, start = _read_meta(data, at)
    if syntax is not None:
        return DatasetLayout(data, syntax, syntax != IMPLICIT_LITTLE, syntax != EXPLICIT_BIG, start)
    bare = _bare_encoding(data, start)
    if bare is None:
        raise UnsupportedFormat("The DICOM object does not state its transfer syntax.")
    syntax = {(True, True): EXPLICIT_LITTLE, (True, False): EXPLICIT_BIG}.get(bare, IMPLICIT_LITTLE)
    return DatasetLayout(data, syntax, *bare, start)


def _read_meta(data: Data, at: int) -> tuple[str | None, int]:
    """Return the transfer syntax in the file meta information at `at` (always explicit little-endian), and its end."""
    walk, syntax = _Walk(DatasetLayout(data, EXPLICIT_LITTLE, True, True, at)), None
    while data[at : at + 2] == b"\x02\x00":
        tag, _, value, length = walk.element(at)
        at = value + length
        if tag == _TRANSFER_SYNTAX:
            syntax = data[value:at].rstrip(b"\0 ").decode("ascii", "replace")
    return syntax, at


def _bare_encoding(data: Data, at: int) -> tuple[bool, bool] | None:
    """Return explicit and little, implied by a first element of group 2 or 8; None where it is not such an element."""
    head = data[at : at + 8]
    if len(head) < 8:
        return None
    explicit = head[4:6] in _SHORT or head[4:6] in _LONG
    if head[:2] in (b"\x08\x00", b"\x02\x00") and head[3] == 0:
        # The first element is a length, a charset or a UID: at most 64 bytes.
        plausible = explicit or int.from_bytes(head[4:8], "little") <= 64
        return (explicit, True) if plausible else None
    return (True, False) if head[:3] == b"\x00\x08\x00" and explicit else None


def _inflate(deflated: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # Never more than one byte over the limit: a deflated megabyte can inflate to a gigabyte.
        data = inflater.decompress(deflated, max_bytes + 1)
    except zlib.error as error:
        raise UnreadableFrame("The deflated DICOM object is damaged.") from error
    if len(data) > max_bytes:
        raise FrameTooLarge(f"The deflated DICOM object inflates to more than the limit of {max_bytes} bytes.")
    return data


class _Walk:
    """Steps from element to element; the number of steps is limited."""

    def __init__(self, layout: DatasetLayout, steps: int = 0) -> None:
        self.layout = layout
        self.steps = steps
        self._integers = struct.Struct("<HHI" if layout.little else ">HHI")
        self._length = struct.Struct("<I" if layout.little else ">I")
        self._short_length = struct.Struct("<H" if layout.little else ">H")

    def to_pixels(self) -> DatasetLayout:
        """Walk the top level of the data set up to the pixel data."""
        data, at = self.layout.data, self.layout.start
        while at < len(data):
            tag, vr, value, length = self.element(at)
            if tag == _PIXELS:
                return replace(self.layout, header_end=at, pixels=value, pixels_length=length, pixels_vr=vr)
            if tag > _PIXELS:  # elements are sorted by tag: there are no pixel data
                break
            at = self._skip(tag, vr, value, length, 0)
        return replace(self.layout, header_end=min(at, len(data)))

    def element(self, at: int) -> tuple[int, bytes, int, int]:
        """Return tag, VR (empty where implicit), offset and length of the element at `at`, if its value is complete."""
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise UnreadableFrame(f"The DICOM object has more than {_MAX_STEPS} elements.")
        data = self.layout.data
        group, number, length = self._integers.unpack_from(data, at)
        # PS3.5, 7.1.3: implicit VR is tag and 32-bit length. Items and delimiters always look like that.
        tag, vr, value = group << 16 | number, b"", at + 8
        if self.layout.explicit and group != 0xFFFE:
            # PS3.5, 7.1.2: after the VR, a long form with a 32-bit length and a short form with a 16-bit length.
            vr = data[at + 4 : at + 6]
            if vr in _LONG:
                (length,), value = self._length.unpack_from(data, at + 8), at + 12
            elif vr in _SHORT:
                (length,) = self._short_length.unpack_from(data, at + 6)
            else:
                raise UnreadableFrame("The DICOM object has an element with an unknown value representation.")
        if length != UNDEFINED and tag != _PIXELS and value + length > len(data):
            raise UnreadableFrame("The DICOM object is cut short within an element.")
        return tag, vr, value, length

    def _skip(self, tag: int, vr: bytes, value: int, length: int, depth: int) -> int:
        """Return where the element ends; walk into sequences of undefined length, and those that are read later."""
        if length != UNDEFINED and tag != _REGIONS:
            return value + length
        if depth >= _MAX_DEPTH:
            raise UnreadableFrame(f"The DICOM object nests sequences deeper than {_MAX_DEPTH} levels.")
        end = value + length if length != UNDEFINED else len(self.layout.data)
        if vr != b"UN":
            return self._items(value, end, depth)
        # The content of UN always has implicit VRs (PS3.5, 6.2.2, note 2).
        walk = _Walk(DatasetLayout(self.layout.data, IMPLICIT_LITTLE, False, True, value), self.steps)
        end = walk._items(value, len(self.layout.data), depth)
        self.steps = walk.steps
        return end

    def _items(self, at: int, end: int, depth: int) -> int:
        """Return where the sequence whose items begin at `at` ends: at its delimiter, or at `end`."""
        while at < end:
            tag, _, value, length = self.element(at)
            if tag == _SEQUENCE_END:
                return value
            if tag != _ITEM:
                raise UnreadableFrame("The DICOM object has a sequence that contains something other than items.")
            at = self._item(value, value + length if length != UNDEFINED else end, depth)
        return at

    def _item(self, at: int, end: int, depth: int) -> int:
        """Return where the item whose elements begin at `at` ends."""
        while at < end:
            tag, vr, value, length = self.element(at)
            if tag == _ITEM_END:
                return value
            at = self._skip(tag, vr, value, length, depth + 1)
        return at
