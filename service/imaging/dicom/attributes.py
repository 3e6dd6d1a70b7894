"""The attributes of a DICOM object that a result needs: of its patient, its study, its machine and itself."""

import struct
from dataclasses import dataclass
from functools import cache

from service.imaging.dicom.dataset.elements import LONG, UNDEFINED
from service.imaging.dicom.dataset.walk import Walk
from service.imaging.dicom.scan import DatasetLayout

# A result belongs to the patient and study of its source: modules Patient and General Study (PS3.3, C.7.1.1 and
# C.7.2.1). Type 2 attributes are written even when they are empty.
INSTANCE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
PATIENT_AND_STUDY_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
PATIENT_AND_STUDY_TYPE_3 = (
    "IssuerOfPatientID", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight", "OtherPatientIDs",
    "PatientIdentityRemoved", "DeidentificationMethod",
)  # fmt: skip
COPIED = (
    "SpecificCharacterSet", "BurnedInAnnotation", *INSTANCE, *PATIENT_AND_STUDY_TYPE_2, *PATIENT_AND_STUDY_TYPE_3,
    "ManufacturerModelName",
)  # fmt: skip
ORIGIN = ("InstitutionName", "StationName", "OperatorsName", "ManufacturerModelName", "DeviceSerialNumber")
"""What the columns of an audit are made of; no result copies it."""
# The file meta information repeats the SOP Class and Instance UID.
_IN_META = {0x0008_0016: 0x0002_0002, 0x0008_0018: 0x0002_0003}
_MAX_LENGTH = 0xFFFE  # of a value whose VR has a 16-bit length


@dataclass(frozen=True, slots=True)
class DicomAttributes:
    """The attributes that results and audits need, as bytes that can be sent to another process.

    Attributes
    ----------
    encoded
        A data set in explicit VR little-endian. Every value has the bytes of the source; one that is too long for the
        VR of its attribute has the VR UN. It names the patient: never log it.
    """

    encoded: bytes

    @classmethod
    def of(cls, layout: DatasetLayout) -> "DicomAttributes":
        """Return the attributes of an object."""
        return cls(b"".join(_encode(tag, value) for tag in _vrs() if (value := _value(layout, tag)) is not None))

    def elements(self) -> dict[int, bytes]:
        """Return the bytes of each element, its tag and VR included, by tag."""
        return split_elements(self.encoded, 0)


def split_elements(data: bytes, at: int) -> dict[int, bytes]:
    """Return the bytes of each element of the explicit little-endian data set at `at`, by tag."""
    found = list(Walk(data, True, True).elements(at))
    heads = [element.start - (12 if element.vr in LONG else 8) for _, element in found]
    return {tag: data[first:last] for (tag, _), first, last in zip(found, heads, [*heads[1:], len(data)], strict=True)}


@cache
def _vrs() -> dict[int, bytes]:
    """Return the VR of each attribute, by its tag, in ascending order."""
    # Decoder processes encode; the service itself only reads the result, and pydicom takes 0.2 s to import.
    from pydicom.datadict import dictionary_VR
    from pydicom.tag import Tag

    return {tag: dictionary_VR(tag).encode() for tag in sorted({int(Tag(keyword)) for keyword in (*COPIED, *ORIGIN)})}


def _value(layout: DatasetLayout, tag: int) -> bytes | None:
    element = layout.elements.get(tag)
    value = None
    if element is not None and element.length != UNDEFINED:
        value = bytes(layout.data[element.start : element.end])
    if tag in _IN_META and not (value or b"").strip(b"\0 "):
        return layout.meta.get(_IN_META[tag], value)
    return value


def _encode(tag: int, value: bytes) -> bytes:
    vr = _vrs()[tag]
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    group, number = tag >> 16, tag & 0xFFFF
    if len(value) > _MAX_LENGTH:
        return struct.pack("<HH2sHI", group, number, b"UN", 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value
