"""The attributes of a DICOM object that a result copies: those of its patient, its study and itself."""

import io
import struct
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from service.imaging.dicom.dataset.elements import UNDEFINED
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
    "SpecificCharacterSet", "BurnedInAnnotation", *INSTANCE, *PATIENT_AND_STUDY_TYPE_2, *PATIENT_AND_STUDY_TYPE_3
)  # fmt: skip
_TAGS = sorted(int(Tag(keyword)) for keyword in COPIED)
# The file meta information repeats the SOP Class and Instance UID.
_IN_META = {0x0008_0016: 0x0002_0002, 0x0008_0018: 0x0002_0003}
_MAX_LENGTH = 0xFFFE  # of a value whose VR has a 16-bit length


@dataclass(frozen=True, slots=True)
class DicomAttributes:
    """The attributes that a result copies, as bytes that can be sent to another process.

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
        return cls(b"".join(_encode(tag, value) for tag in _TAGS if (value := _value(layout, tag)) is not None))

    def dataset(self) -> Dataset:
        """Return the attributes as a data set; pydicom converts a value at its first use."""
        return read_dataset(io.BytesIO(self.encoded), is_implicit_VR=False, is_little_endian=True)


def _value(layout: DatasetLayout, tag: int) -> bytes | None:
    element = layout.elements.get(tag)
    if element is None or element.length == UNDEFINED:
        return layout.meta.get(_IN_META.get(tag, 0))
    return bytes(layout.data[element.start : element.end])


def _encode(tag: int, value: bytes) -> bytes:
    vr = dictionary_VR(tag).encode()
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    group, number = tag >> 16, tag & 0xFFFF
    if len(value) > _MAX_LENGTH:
        return struct.pack("<HH2sHI", group, number, b"UN", 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value
