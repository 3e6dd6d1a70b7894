"""Find where the parts of a DICOM object are, before anything is built from them."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import FrameTooLarge, UnreadableFrame, UnsupportedFormat
from service.imaging.dicom.dataset.elements import PIXELS, VRS, Element, ElementReader, WalkError
from service.imaging.dicom.dataset.elements import Data as Data
from service.imaging.dicom.dataset.walk import Walk, Wanted

IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

_META = 0x0002
_GROUP_LENGTH, _TRANSFER_SYNTAX = 0x0002_0000, 0x0002_0010
_PREAMBLE = 128
_MAX_META, _MAX_META_ELEMENTS = 4096, 100


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """Where the parts of a DICOM object are, as offsets in `walk.data`."""

    walk: Walk  # over the file, or over the inflated data set of a deflated one
    transfer_syntax: str  # UID in the file meta information; without it, the UID that the first element implies
    elements: Mapping[int, Element]  # the wanted elements, those of the file meta information as well
    meta: Mapping[int, bytes]  # values of the file meta information

    @property
    def data(self) -> Data:
        """The bytes that the offsets refer to."""
        return self.walk.data

    @property
    def pixels(self) -> Element | None:
        """The pixel data."""
        return self.elements.get(PIXELS)


def is_dicom(data: Data) -> bool:
    """Return whether `data` is DICOM: it has the prefix of PS3.10, or it starts with an element of group 2 or 8."""
    if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" or data[:4] == b"DICM":
        return True
    return _bare_encoding(data, 0) is not None


def scan_layout(data: Data, max_bytes: int, wanted: Wanted) -> DatasetLayout:
    """Find the pixel data and the wanted elements of a DICOM object, with or without file meta information.

    Nothing but what is wanted can be wrong: see `service.imaging.dicom.dataset.walk`.

    Raises
    ------
    UnreadableFrame
        A deflated object is damaged.
    UnsupportedFormat
        The transfer syntax is missing, and the first element does not imply it.
    FrameTooLarge
        A deflated object inflates to more than `max_bytes`.
    """
    # PS3.10, 7.1: 128 bytes of preamble, then `DICM`; some files lack the preamble, or both.
    magic = _PREAMBLE if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" else 0
    meta, at = _read_meta(data, magic + 4 if data[magic : magic + 4] == b"DICM" else 0)
    syntax = meta.get(_TRANSFER_SYNTAX, b"").split(b"\\")[0].strip(b"\0 ").decode("ascii", "replace")
    if syntax == DEFLATED:
        data, at = _inflate(data[at:], max_bytes), 0
    explicit, little = _encoding(data, at, syntax)
    if not syntax:
        if _bare_encoding(data, at) is None:
            raise UnsupportedFormat("The DICOM object does not state its transfer syntax.")
        syntax = (EXPLICIT_LITTLE if little else EXPLICIT_BIG) if explicit else IMPLICIT_LITTLE
    walk = Walk(data, explicit, little, wanted)
    elements: dict[int, Element] = {}
    tags = {tag for tag, _ in wanted}
    for tag, element in walk.elements(at):
        if tag in tags:
            elements.setdefault(tag, element)
    return DatasetLayout(walk, syntax, elements, meta)


def _read_meta(data: Data, at: int) -> tuple[dict[int, bytes], int]:
    """Return the values of the file meta information at `at`, and where it ends.

    It is explicit little-endian, but some gateways write it without VRs.
    """
    start, values = at, dict[int, bytes]()
    reader = ElementReader(data, bytes(data[at + 4 : at + 6]) in VRS, True)
    while bytes(data[at : at + 2]) == b"\x02\0" and len(values) < _MAX_META_ELEMENTS:
        try:
            tag, element = reader.element(at)
            values[tag], at = bytes(data[element.start : element.end]), element.end
        except WalkError:
            at = data.find(b"\x02\0\x10\0UI", at + 1, at + _MAX_META)
    if at < 0:
        at = start + 12 + int.from_bytes(values.get(_GROUP_LENGTH, b""), "little")
    return values, at


def _encoding(data: Data, at: int, syntax: str) -> tuple[bool, bool]:
    """Return explicit and little of the data set at `at`: by its first element, which the transfer syntax may belie."""
    head = bytes(data[at : at + 8])
    if head[4:6] in VRS:
        return True, head[0] != 0 or head[1] == 0  # the first group is below 256
    if syntax == IMPLICIT_LITTLE or ElementReader(data, False, True).is_regular(at):
        return False, True
    return True, syntax != EXPLICIT_BIG


def _bare_encoding(data: Data, at: int) -> tuple[bool, bool] | None:
    """Return explicit and little, implied by a first element of group 2 or 8; None where it is not such an element."""
    head = bytes(data[at : at + 8])
    if len(head) < 8:
        return None
    explicit = head[4:6] in VRS
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
