"""Read a single element, in the form that its header states or in the one that it evidently has."""

import mmap
import struct
from collections.abc import Iterator
from typing import NamedTuple

Data = bytes | mmap.mmap

PIXELS = 0x7FE0_0010
UNDEFINED = 0xFFFF_FFFF
DELIMITERS = 0xFFFE  # the group of items and their delimiters
LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
SHORT = {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL",
         b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}  # fmt: skip
VRS = LONG | SHORT


class WalkError(Exception):
    """No element can be read at this place."""


class Element(NamedTuple):
    """A value: its VR (empty where implicit), its offset in the data and its length, which may be `UNDEFINED`."""

    vr: bytes
    start: int
    length: int

    @property
    def end(self) -> int:
        """The offset of the first byte behind the value."""
        return self.start + self.length


class ElementReader:
    """Reads elements in one encoding: with or without VRs, little-endian or big-endian."""

    def __init__(self, data: Data, explicit: bool, little: bool) -> None:
        self.data, self.explicit, self.little = data, explicit, little
        self._order = "<" if little else ">"
        self._head = struct.Struct(f"{self._order}HHI")

    def element(self, at: int) -> tuple[int, Element]:
        """Return tag and value of the element at `at`; raise WalkError where nothing there can be one.

        A value that its header states wrongly, in the wrong form or without VR, is recognized by what follows it.
        """
        size = len(self.data)
        if at + 8 > size:
            raise WalkError
        tag, _ = self.tag_and_length(at)
        if tag >> 16 == DELIMITERS:
            raise WalkError
        forms = self._forms(at)
        stated = next(forms)
        fits = stated is not None and (stated.length == UNDEFINED or tag == PIXELS or stated.end <= size)
        if stated is not None and fits and (stated.length == UNDEFINED or self.follows(tag, stated.end)):
            return tag, stated
        for form in forms:
            if form is not None and form.end <= size and self.follows(tag, form.end):
                return tag, form
        if stated is None or not fits:
            raise WalkError
        return tag, stated

    def is_regular(self, at: int) -> bool:
        """Return whether an element that this encoding allows is at `at`, and another one follows it."""
        if not self.follows(0, at) or at + 8 > len(self.data):
            return False
        stated = next(self._forms(at))
        return stated is not None and self.follows(self.tag_and_length(at)[0], stated.end)

    def _forms(self, at: int) -> Iterator[Element | None]:
        """Yield the forms that the element at `at` may have, the stated one first; None where it states none."""
        # PS3.5, 7.1.3: an implicit element is a tag and a 32-bit length. 7.1.2: an explicit one has, after its VR, a
        # 16-bit length, or two zeros and a 32-bit length.
        vr = bytes(self.data[at + 4 : at + 6])
        if not self.explicit:
            yield Element(b"", at + 8, self._integer("I", at + 4))
            if vr not in VRS:
                return
        elif vr not in VRS:
            yield None
        short = Element(vr, at + 8, self._integer("H", at + 6))
        long = None
        if self.data[at + 6 : at + 8] == b"\0\0" and at + 12 <= len(self.data):
            long = Element(vr, at + 12, self._integer("I", at + 8))
        yield from (long, short) if vr in LONG else (short, long)
        if self.explicit:
            yield Element(b"", at + 8, self._integer("I", at + 4))

    def _integer(self, kind: str, at: int) -> int:
        return int(struct.unpack_from(self._order + kind, self.data, at)[0])

    def follows(self, tag: int, at: int) -> bool:
        """Return whether the data end at `at`, or an element that can follow `tag` begins there."""
        if at + 8 > len(self.data):
            return at == len(self.data)
        following, length = self.tag_and_length(at)
        if following >> 16 == DELIMITERS:
            return True
        if following <= tag:
            return False
        start = at + 8
        if self.explicit:
            vr = bytes(self.data[at + 4 : at + 6])
            if vr in SHORT:
                length = self._integer("H", at + 6)
            elif vr in LONG and at + 12 <= len(self.data):
                start, length = at + 12, self._integer("I", at + 8)
            else:
                return False
        return following == PIXELS or length == UNDEFINED or start + length <= len(self.data)

    def tag_and_length(self, at: int) -> tuple[int, int]:
        """Return the tag at `at` and, for an element without VR, its length; zeros stand for a delimiter."""
        group, number, length = self._head.unpack_from(self.data, at)
        return group << 16 | number, length
