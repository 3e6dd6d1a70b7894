"""The source of a result: its patient and study, which the result copies, and its UIDs, which the result references."""

import io
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from service.errors import NoDicomSource
from service.imaging.dicom.attributes import (
    INSTANCE,
    PATIENT_AND_STUDY_TYPE_2,
    PATIENT_AND_STUDY_TYPE_3,
    split_elements,
)  # fmt: skip
from service.imaging.dicom.header import ULTRASOUND
from service.imaging.frame import FrameMetadata
from service.reports.dicom import DicomObject

_NAMESPACE = uuid.UUID("0c1d5a52-6d3e-5b0f-9a41-6c1f5f6d7a10")
_CURRENT_CLASS = {  # retired Ultrasound and Ultrasound Multi-frame classes -> their successors (PS3.4, B.6)
    "1.2.840.10008.5.1.4.1.1.6": "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.3": "1.2.840.10008.5.1.4.1.1.3.1",
}
_OPTIONAL = {int(Tag(keyword)) for keyword in PATIENT_AND_STUDY_TYPE_3}
_COPIED = {int(Tag(keyword)) for keyword in PATIENT_AND_STUDY_TYPE_2} | _OPTIONAL
_CHARACTER_SET = int(Tag("SpecificCharacterSet"))
_UTF_8 = "ISO_IR 192"
_DECIMAL = re.compile(rb" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *")  # a decimal string (PS3.5, 6.2)
_HEAD = 8  # bytes before a value: tag, VR and 16-bit length
_DATA_SET = 144  # where the data set of a file begins, without the length of its file meta information
_MAX_MEANING = 64  # characters of a Code Meaning


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The DICOM object and the frame that a result refers to."""

    elements: Mapping[int, bytes]  # of the object, those that a result copies: each with its tag and VR
    study: str
    series: str
    instance: str
    sop_class: str  # a retired one is replaced by its successor
    frame: int | None  # counted from 1 as in DICOM; None for a single-frame object

    def derive_uid(self, *purpose: str) -> UID:
        """Return the UID of a result; the same frame and purpose give the same UID, so a repeat replaces it."""
        return derive_uid(self.study, self.instance, str(self.frame), *purpose)

    @property
    def burned_in(self) -> str:
        """Burned In Annotation (PS3.3, C.7.6.1): "NO" only when the source states it."""
        # Pixels may name the patient, and an overlay keeps them.
        return "NO" if _first(self.elements, "BurnedInAnnotation") == "NO" else "YES"

    @property
    def encodings(self) -> list[str]:
        """The terms of the source's Specific Character Set."""
        return _ascii(self.elements.get(_CHARACTER_SET, b"")[_HEAD:]).split("\\")

    def text(self, text: str, otherwise: str) -> str:
        """Return `text` for an attribute of a result, at most 64 characters long.

        Where the patient's values hold the result to a character set without these characters, return `otherwise`.
        """
        if not text.isascii() and not self._is_free():
            try:
                text.encode(python_encoding[self.encodings[0]] if self.encodings[0] else "ascii")
            except (KeyError, UnicodeError):
                text = otherwise
        return text if len(text) <= _MAX_MEANING else text[: _MAX_MEANING - 3] + "..."

    def write(self, result: Dataset) -> DicomObject:
        """Copy the Patient and General Study attributes of the source into `result` and return it as a PS3.10 file.

        The bytes of each value stay as they are, and with them the character set. An optional number that is not a
        decimal string is left out.
        """
        copied = {tag: element for tag, element in self.elements.items() if tag in _COPIED and _is_valid(tag, element)}
        if any(_vr(element) == b"UN" for element in copied.values()):
            raise NoDicomSource("A value of the patient or study is too long to be copied into a DICOM result.")
        foreign = not all(_is_ascii(element.value) for element in result.iterall())
        if foreign:
            result.SpecificCharacterSet = _UTF_8 if self._is_free() else self.encodings
        if _CHARACTER_SET in self.elements and not (foreign and self._is_free()):
            copied[_CHARACTER_SET] = self.elements[_CHARACTER_SET]
        buffer = io.BytesIO()
        result.save_as(buffer, enforce_file_format=True)
        return DicomObject(str(result.SOPInstanceUID), _merge(buffer.getvalue(), copied))

    def _is_free(self) -> bool:
        """Return whether the copied values are the same text in UTF-8, because all of it is ASCII."""
        # ISO-IR 13 and 14 have other characters for two of the codes, and escapes switch between sets.
        japanese = any(name.endswith(("IR 13", "IR 14")) for name in self.encodings)
        values = (element[_HEAD:] for tag, element in self.elements.items() if tag in _COPIED)
        return not japanese and all(value.isascii() and b"\x1b" not in value for value in values)


def derive_uid(*parts: str) -> UID:
    """Return the UUID-derived UID of `parts`, always the same for the same parts (PS3.5, B.2)."""
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}")


def read_source(frame: FrameMetadata) -> Source:
    """Return the source of a frame, from the attributes that were read when the frame was decoded.

    Of several values of a UID the first counts.

    Raises
    ------
    NoDicomSource
        The frame is not of a DICOM object, or the object lacks its Study, Series or SOP Instance UID.
    """
    if frame.dicom is None:
        raise NoDicomSource("A DICOM result needs a DICOM upload: it belongs to the patient and study of the upload.")
    elements = frame.dicom.elements()
    study, series, instance, sop_class = (_first(elements, keyword) for keyword in INSTANCE)
    if not (study and series and instance and sop_class):
        raise NoDicomSource(
            "The DICOM object lacks its Study, Series or SOP Instance UID; a result cannot refer to it."
        )
    sop_class = _CURRENT_CLASS.get(sop_class, sop_class)
    multi_frame = frame.count > 1 or ULTRASOUND.get(sop_class, "").startswith("Ultrasound Multi")
    return Source(elements, study, series, instance, sop_class, frame.index + 1 if multi_frame else None)


def _first(elements: Mapping[int, bytes], keyword: str) -> str:
    return _ascii(elements.get(int(Tag(keyword)), b"")[_HEAD:]).split("\\")[0].strip()


def _ascii(value: bytes) -> str:
    return value.decode("ascii", "ignore").strip(" \0")


def _is_ascii(value: object) -> bool:
    return not isinstance(value, str) or value.isascii()


def _vr(element: bytes) -> bytes:
    return element[4:6]


def _is_valid(tag: int, element: bytes) -> bool:
    """Return whether a result can have the element; one that is not optional is never left out."""
    if tag not in _OPTIONAL:
        return True
    return _vr(element) != b"UN" and (_vr(element) != b"DS" or _DECIMAL.fullmatch(element[_HEAD:]) is not None)


def _merge(file: bytes, elements: dict[int, bytes]) -> bytes:
    """Return an explicit little-endian PS3.10 file with these elements in place of its own of the same tags."""
    start = _DATA_SET + int.from_bytes(file[_DATA_SET - 4 : _DATA_SET], "little")
    return file[:start] + b"".join(piece for _, piece in sorted((split_elements(file, start) | elements).items()))
