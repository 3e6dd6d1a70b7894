"""The values that the service reads of a DICOM object, taken as tolerantly as they can be without guessing."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR, tag_for_keyword

from service.imaging.dicom.dataset.elements import UNDEFINED, Element
from service.imaging.dicom.dataset.walk import Walk, Wanted

_NUMBERS = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8", "OW": "u2"}
_TEXTUAL = ("IS", "DS")


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag


def _vrs(tag: int) -> list[str]:
    return dictionary_VR(tag).split(" or ")


def wanted(keywords: Iterable[str]) -> Wanted:
    """Return the tags of attributes, for a walk to search for."""
    return tuple((tag, (*(vr.encode() for vr in _vrs(tag)), b"UN")) for tag in sorted({*map(_tag, keywords)}))


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The values of a data set, or of an item of a sequence.

    A value is read by the VR that the standard gives its attribute where it states none, or one of another kind.
    """

    walk: Walk
    elements: Mapping[int, Element]

    def raw(self, keyword: str) -> bytes | None:
        """Return the bytes of a value; None where the element is missing or has no value of its own."""
        element = self.elements.get(_tag(keyword))
        if element is None or element.length == UNDEFINED:
            return None
        return bytes(self.walk.data[element.start : element.end])

    def text(self, keyword: str) -> str:
        """Return the first of the values of a text, without padding; empty where there is none."""
        return first_text(self.raw(keyword) or b"")

    def numbers(self, keyword: str) -> list[float]:
        """Return the values that are numbers up to the first that is not; a decimal comma is a decimal point."""
        value, vr = self.raw(keyword) or b"", self._vr(keyword)
        if vr in _NUMBERS:
            kind = np.dtype(("<" if self.walk.little else ">") + _NUMBERS[vr])
            return [float(each) for each in np.frombuffer(value[: len(value) - len(value) % kind.itemsize], kind)]
        numbers = []
        for text in value.decode("ascii", "replace").strip(" \0").split("\\"):
            try:
                numbers.append(float(text.strip().replace(",", ".")))
            except ValueError:
                break
        return numbers

    def integers(self, keyword: str) -> list[int]:
        """Return the numbers as integers, up to the first that is infinite."""
        return [int(number) for number in takewhile(math.isfinite, self.numbers(keyword))]

    def words(self, keyword: str) -> NDArray[np.uint16]:
        """Return a value as 16-bit words, as entries of a look-up table are."""
        value = self.raw(keyword) or b""
        return np.frombuffer(value[: len(value) & ~1], "<u2" if self.walk.little else ">u2").astype("<u2")

    def first(self, keyword: str) -> float | None:
        """Return the first number; None where there is none, or it is infinite."""
        number = next(iter(self.numbers(keyword)), math.nan)
        return number if math.isfinite(number) else None

    def items(self, keyword: str) -> list["Values"]:
        """Return the items of a sequence, as far as they can be read."""
        tag = _tag(keyword)
        element = self.elements.get(tag)
        return [] if element is None else [Values(self.walk, item) for item in self.walk.items(tag, element)]

    def _vr(self, keyword: str) -> str:
        tag = _tag(keyword)
        stated = self.elements[tag].vr.decode("latin-1") if tag in self.elements else ""
        return stated if stated in _NUMBERS or stated in _TEXTUAL else _vrs(tag)[0]


def first_text(value: bytes) -> str:
    """Return the first of the values of a text, without padding."""
    return value.split(b"\\")[0].strip(b" \0").decode("ascii", "replace")
